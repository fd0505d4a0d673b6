import { SluiceError } from '../core/errors.ts';

/** The journal can't be opened, or a record can't be taken: what a person has to know or do is in the message. */
export class JournalError extends SluiceError {}

/** Another process has the journal. */
export class JournalLockedError extends JournalError {
  constructor(directory: string, owner: string | undefined, options?: ErrorOptions) {
    super(
      'JOURNAL_LOCKED',
      `the journal in ${directory} is in use by ${owner ?? 'another process'}; stop that gateway, or give this one a directory of its own`,
      options,
    );
  }
}

/** The directory holds what a newer version wrote. */
export class JournalVersionError extends JournalError {
  constructor(file: string, found: number, known: number) {
    super(
      'JOURNAL_VERSION',
      `${file} was written in journal format ${found}, and this version reads up to ${known}; ` +
        'run the newer version until the journal is drained, or use another directory',
    );
  }
}

/** The key is missing, malformed, or not the one that the journal was written with. */
export class JournalKeyError extends JournalError {
  constructor(message: string, options?: ErrorOptions) {
    super('JOURNAL_KEY', message, options);
  }
}

/** A configured directory can't be used at the start. At run time that is a {@link JournalHealth}, not an error. */
export class JournalUnavailableError extends JournalError {
  constructor(directory: string, reason: string, options?: ErrorOptions) {
    super(
      'JOURNAL_UNAVAILABLE',
      `the journal directory ${directory} can't be used: ${reason}; mount it or correct its permissions, ` +
        'or take it out of the configuration (what it holds is then not replayed)',
      options,
    );
  }
}

/** The path of a directory leads nowhere, or to another one than at the start: its disk was unplugged. */
export class DirectoryGoneError extends JournalError {
  constructor(directory: string) {
    super(
      'JOURNAL_DIRECTORY_GONE',
      `${directory} is not the directory that the journal was opened in: mount its disk again`,
    );
  }
}

/** The settings contradict each other. */
export class JournalSettingsError extends JournalError {
  constructor(message: string) {
    super('JOURNAL_SETTINGS', message);
  }
}

/** The record will never fit. */
export class JournalRecordTooLargeError extends JournalError {
  constructor(topic: string, sizeBytes: number, limitBytes: number) {
    super(
      'JOURNAL_RECORD_TOO_LARGE',
      `a record of up to ${sizeBytes} bytes for topic '${topic}' is larger than the journal takes (${limitBytes})`,
    );
  }
}

/** The record itself can't be written down. */
export class JournalRecordError extends JournalError {
  constructor(topic: string, reason: string) {
    super('JOURNAL_RECORD_INVALID', `a record for topic '${topic}' can't be journaled: ${reason}`);
  }
}

/** `close()` was called. */
export class JournalClosedError extends JournalError {
  constructor() {
    super('JOURNAL_CLOSED', 'the journal is closed');
  }
}

/** The thread that owns the files died: nothing more is acknowledged, and a restart recovers. */
export class JournalThreadError extends JournalError {
  constructor(reason: string, options?: ErrorOptions) {
    super(
      'JOURNAL_THREAD',
      `the journal's disk thread ended: ${reason}; restart the gateway, what was acknowledged is on the disk`,
      options,
    );
  }
}

/** The operating system's code of a failed file operation, e.g. `ENOSPC`. */
export function systemCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'UNKNOWN';
}
