import { SluiceError } from '../core/errors.ts';

/** The journal can't be opened, or a record can't be taken: what a person has to know or do is in the message. */
export class JournalError extends SluiceError {}

/** A configured directory can't be used at the start. At run time that is a {@link JournalHealth}, not an error. */
export function unavailable(directory: string, reason: string, options?: ErrorOptions): JournalError {
  const fault = `the journal directory ${directory} can't be used: ${reason}`;
  const advice = 'mount it or correct its permissions, or take it out of the configuration';
  const message = `${fault}; ${advice} (what it holds is then not replayed)`;
  return new JournalError('JOURNAL_UNAVAILABLE', message, options);
}

/** The operating system's code of a failed file operation, e.g. `ENOSPC`. */
export function systemCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'UNKNOWN';
}
