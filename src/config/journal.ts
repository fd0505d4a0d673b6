import { resolve } from 'node:path';
import type { KeyFault } from '../core/fault.ts';
import type { FullPolicy } from '../core/profile/profile.ts';
import type { Folders } from './config.ts';
import type { ConfigDocument } from './schema.ts';

type JournalDocument = ConfigDocument['journal'];

/** Store and forward as it is configured; docs/journal.md says what each setting does. */
export interface JournalConfig {
  /** Absolute paths, in order of preference. */
  readonly directories: readonly string[];
  readonly maxBytes: number;
  /** Infinity: records wait for Kafka for as long as it takes. */
  readonly maxAgeMs: number;
  /** For device types that say nothing of their own. */
  readonly whenFull: FullPolicy;
  readonly segmentBytes: number;
  readonly segmentMaxAgeMs: number;
  readonly commitIntervalMs: number;
  readonly commitBytes: number;
  readonly bufferBytes: number;
  readonly checkpointIntervalMs: number;
  readonly stalledAfterMs: number;
  /** Where the key for encryption at rest is; undefined: not encrypted. */
  readonly key: { readonly file: string } | { readonly environment: string } | undefined;
  /** When contract kafka-or-journal turns to the disk. */
  readonly spill: {
    /** Kafka has not acknowledged for so long. */
    readonly afterMs: number;
    /** So much of buffer.memory is taken. */
    readonly bufferShare: number;
  };
  readonly replay: {
    /** Records a second; Infinity: as fast as Kafka takes them. */
    readonly rate: number;
    /** Of the gateway's time, while devices send. */
    readonly share: number;
  };
}

export function toJournal(document: JournalDocument, folders: Folders): JournalConfig {
  const file = document['key.file'];
  const environment = document['key.env'];
  const rate = document['replay.rate'];
  const maxAge = document['max.age.ms'];
  return {
    directories: document.directories.map((directory) => resolve(folders.data, directory)),
    maxBytes: document['max.bytes'],
    maxAgeMs: maxAge === 'unlimited' ? Number.POSITIVE_INFINITY : maxAge,
    whenFull: document['when.full'],
    segmentBytes: document['segment.bytes'],
    segmentMaxAgeMs: document['segment.max.age.ms'],
    commitIntervalMs: document['commit.interval.ms'],
    commitBytes: document['commit.bytes'],
    bufferBytes: document['buffer.bytes'],
    checkpointIntervalMs: document['checkpoint.interval.ms'],
    stalledAfterMs: document['stalled.after.ms'],
    key:
      file !== undefined
        ? { file: resolve(folders.config, file) }
        : environment !== undefined
          ? { environment }
          : undefined,
    spill: { afterMs: document['spill.after.ms'], bufferShare: document['spill.buffer.share'] },
    replay: { rate: rate === 'unlimited' ? Number.POSITIVE_INFINITY : rate, share: document['replay.share'] },
  };
}

/** What no single key of the journal can know. */
export function journalFaults(document: JournalDocument): KeyFault[] {
  const faults: KeyFault[] = [];
  const fault = (key: string, found: string, expected: string): void => {
    faults.push({ path: ['journal', key], found, expected });
  };
  const segment = document['segment.bytes'];
  if (document['max.bytes'] < 4 * segment) {
    fault('max.bytes', String(document['max.bytes']), `at least four times segment.bytes (${segment})`);
  }
  if (new Set(document.directories).size !== document.directories.length) {
    fault('directories', 'a list', 'folders that differ');
  }
  if (document['key.file'] !== undefined && document['key.env'] !== undefined) {
    fault('key.env', JSON.stringify(document['key.env']), 'nothing: key.file says already where the key is');
  }
  return faults;
}
