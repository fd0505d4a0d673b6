import type { FullPolicy } from '../core/profile/profile.ts';
import type { KeySource } from './disk/journal-key.ts';
import { JournalError } from './errors.ts';
import { MAX_RECORDS_PER_SEGMENT } from './journal-record.ts';

export interface JournalSettings {
  /**
   * Where the segments are, in order of preference: the first directory that works is written to, the others stand
   * in. One journal spans them all.
   */
  readonly directories: readonly string[];
  /** Bytes that all segments take together, at most. */
  readonly maxBytes?: number;
  /** Records that wait for Kafka for longer, while gateways run, are dropped; Infinity: none are. */
  readonly maxAgeMs?: number;
  /** For records of accounts that have no policy of their own. */
  readonly whenFull?: FullPolicy;
  /** A segment's size; the largest record is a quarter of it. */
  readonly segmentBytes?: number;
  /** A segment is closed at this age, so that it can be removed when it is done. */
  readonly segmentMaxAgeMs?: number;
  /** Records wait so long for company before they are synced, unless {@link commitBytes} come together. */
  readonly commitIntervalMs?: number;
  readonly commitBytes?: number;
  /** Memory for records on their way to the disk. */
  readonly bufferBytes?: number;
  /** Progress is made durable so often: what Kafka acknowledged in between may be repeated after a crash. */
  readonly checkpointIntervalMs?: number;
  /** A commit that takes longer is reported. */
  readonly stalledAfterMs?: number;
  /** Encrypts what is written from now on. */
  readonly key?: KeySource;
}

export type ResolvedSettings = Required<Omit<JournalSettings, 'key'>> & {
  readonly key: KeySource | undefined;
  readonly maxRecordBytes: number;
};

const MIB = 1 << 20;

const DEFAULT_SETTINGS = {
  maxBytes: 4096 * MIB,
  maxAgeMs: Number.POSITIVE_INFINITY,
  whenFull: 'block',
  segmentBytes: 64 * MIB,
  segmentMaxAgeMs: 3_600_000,
  commitIntervalMs: 5,
  commitBytes: MIB,
  bufferBytes: 16 * MIB,
  checkpointIntervalMs: 1_000,
  stalledAfterMs: 1_000,
} as const satisfies Partial<JournalSettings>;

/** Records gather in pieces of this size, each a group of its own on the disk. */
export const CHUNK_BYTES = 256 << 10;

const SMALLEST_SEGMENT_BYTES = 64 << 10;
const LARGEST_SEGMENT_BYTES = MAX_RECORDS_PER_SEGMENT * 64;

/** @throws JournalError JOURNAL_SETTINGS naming the setting */
export function resolveSettings(settings: JournalSettings): ResolvedSettings {
  const resolved = { ...DEFAULT_SETTINGS, key: undefined, ...settings };
  const { directories, maxBytes, maxAgeMs, segmentBytes, bufferBytes } = resolved;
  if (directories.length === 0) throw contradiction('the journal needs at least one directory');
  if (new Set(directories).size !== directories.length) {
    throw contradiction("the journal's directories must differ");
  }
  for (const [name, value] of Object.entries({ ...resolved, maxAgeMs: 0 })) {
    if (typeof value !== 'number' || (Number.isFinite(value) && value >= 0)) continue;
    throw contradiction(`the journal's ${name} is ${value}; expected a number, 0 or more`);
  }
  // This one may be Infinity.
  if (!(maxAgeMs > 0)) {
    throw contradiction(`the journal's maxAgeMs is ${maxAgeMs}; expected a number above 0`);
  }
  if (segmentBytes < SMALLEST_SEGMENT_BYTES || segmentBytes > LARGEST_SEGMENT_BYTES) {
    const range = `${SMALLEST_SEGMENT_BYTES} to ${LARGEST_SEGMENT_BYTES}`;
    throw contradiction(`the journal's segmentBytes is ${segmentBytes}; expected ${range}`);
  }
  if (maxBytes < 4 * segmentBytes) {
    const least = `at least four segments of ${segmentBytes} bytes`;
    throw contradiction(`the journal's maxBytes (${maxBytes}) must hold ${least}`);
  }
  return {
    ...resolved,
    // What is dropped for its age goes by segments: each holds a quarter of it at most.
    segmentMaxAgeMs: Math.min(resolved.segmentMaxAgeMs, resolved.maxAgeMs / 4),
    maxRecordBytes: Math.floor(Math.min(segmentBytes / 4, bufferBytes / 2)),
  };
}

function contradiction(message: string): JournalError {
  return new JournalError('JOURNAL_SETTINGS', message);
}
