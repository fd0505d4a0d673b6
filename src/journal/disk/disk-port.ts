import { errorMessage } from '../../core/errors.ts';
import type { RecalledPublication } from '../../core/publication.ts';
import type { DamagedBytes } from '../../durable-log/log-scanner.ts';
import { systemCode } from '../errors.ts';
import type { RecallMark, SegmentProgress } from '../recovery/checkpoint.ts';
import type { ResolvedSettings } from '../settings.ts';
import type { SegmentEnd } from './segment-file.ts';
import type { Chunk } from './segment-writer.ts';

/** What the disk's side needs to know. */
export type DiskSettings = Pick<
  ResolvedSettings,
  'directories' | 'segmentBytes' | 'segmentMaxAgeMs' | 'maxBytes' | 'key'
>;

/** A failed operation of a disk. */
export interface DiskFault {
  /** The operating system's, e.g. `ENOSPC`, `EIO`, `EROFS`. */
  readonly code: string;
  readonly directory: string;
  readonly message: string;
}

/** What is on the disk. */
export interface DiskState {
  /** Segments that were closed since the last answer, oldest first; when the journal opens, all. */
  readonly closed: readonly SegmentEnd[];
  /** The segment being written, as far as it is durable. */
  readonly current: SegmentEnd | undefined;
  /** Bytes of all segments; a spare file is not counted. */
  readonly usedBytes: number;
}

export interface RecoveryReport {
  readonly segments: number;
  readonly records: number;
  readonly bytes: number;
  /** Segments whose end had to be looked for: one after a crash, none after a clean stop. */
  readonly scanned: number;
  /** Records of a group that nobody was told of, and that could be read nevertheless. */
  readonly unacknowledged: number;
  readonly damage: readonly Damage[];
  /** Open records of segments that are gone or were set aside whole: no reader comes across them. */
  readonly lostWithSegments: number;
  /** Without one, all that is in the segments is read again, and nobody knows whether some are missing. */
  readonly hadCheckpoint: boolean;
  /** Files that could not be made sense of and were renamed. */
  readonly setAside: readonly string[];
}

/** Bytes of a segment that can't be what was written. */
export interface Damage extends DamagedBytes {
  readonly segmentId: number;
  /** The whole file is gone. */
  readonly gone?: true;
}

/** What a start finds of QoS 2 publications that their sessions may not know. */
export interface Recalled {
  /** Oldest first, each number once. */
  readonly publications: readonly RecalledPublication[];
  readonly mark: RecallMark;
}

export interface OpenResult {
  readonly state: DiskState;
  readonly progress: readonly SegmentProgress[];
  readonly note: string;
  readonly recalled: Recalled;
  readonly report: RecoveryReport;
}

export interface Placement {
  readonly segmentId: number;
  readonly firstNumber: number;
}

export interface CommitResult {
  /** Where the chunks are that are now durable: the first so many of those that were given. */
  readonly placements: readonly Placement[];
  /** Why the rest is not. Or, when all are, why a directory is not written to while another stands in. */
  readonly fault: DiskFault | undefined;
  readonly syncs: number;
  readonly state: DiskState;
}

/** Where a reader stands. */
export interface DiskCursor {
  readonly segmentId: number;
  readonly generation: number;
  readonly offset: number;
  readonly recordNumber: number;
}

export interface ReadResult {
  readonly segmentId: number;
  /** Record bodies, one behind the other. */
  readonly bytes: Uint8Array;
  /** Where each record ends in `bytes`, and its number. */
  readonly ends: Uint32Array;
  readonly recordNumbers: Uint32Array;
  /** Every readable record of these numbers is in the batch. */
  readonly fromNumber: number;
  readonly toNumber: number;
  readonly next: DiskCursor;
  /** Nothing durable is behind it at present. */
  readonly atEnd: boolean;
  readonly damage: readonly Damage[];
  readonly setAside: readonly string[];
}

/** The records of a segment that are not done, and whose they are. */
export interface Survey {
  readonly owners: readonly { readonly topic: string; readonly account: string }[];
  readonly recordNumbers: Uint32Array;
  /** Of each of these numbers: an index in {@link owners}. */
  readonly ownerOf: Uint32Array;
}

export interface CompactResult {
  readonly finished: boolean;
  /** What the segment takes now. */
  readonly bytes: number;
  readonly state: DiskState;
}

/** The disk's operations, in order and one at a time. A failure is an error with the operating system's code. */
export interface DiskOperations {
  open(settings: DiskSettings): OpenResult;
  commit(chunks: readonly Chunk[]): CommitResult;
  read(cursor: DiskCursor, maxBytes: number): ReadResult;
  /** Begins to remove finished segments, and makes the progress of the others and the note durable. */
  checkpoint(
    progress: readonly SegmentProgress[],
    finished: readonly number[],
    note: string,
    recall: RecallMark,
  ): DiskState;
  /** Does a piece of the work of removing finished segments. True: all that can be done is. */
  clear(): boolean;
  /** Does a piece of the work of replacing a segment by one with only what is not done. True: finished. */
  compact(progress: SegmentProgress): CompactResult;
  /** Looks through a closed segment; nothing of one that is gone. */
  survey(progress: SegmentProgress): Survey;
  close(): void;
}

/** The same from the event loop: answers come later, in the order of the calls. */
export type DiskPort = {
  readonly [K in keyof DiskOperations]: (
    ...args: Parameters<DiskOperations[K]>
  ) => Promise<ReturnType<DiskOperations[K]>>;
} & {
  /** Called once if the disk's side is gone for good. */
  onLost: (error: Error) => void;
  /** Gives up on a disk that does not answer; after a close it does nothing. */
  abandon(): void;
};

/** A failed operation that says in which directory. */
export class DiskFaultError extends Error {
  readonly fault: DiskFault;

  constructor(fault: DiskFault, options?: ErrorOptions) {
    super(fault.message, options);
    this.name = 'DiskFaultError';
    this.fault = fault;
  }
}

export function faultOf(error: unknown, directory: string): DiskFault {
  if (error instanceof DiskFaultError) return error.fault;
  return { code: systemCode(error), directory, message: errorMessage(error) };
}
