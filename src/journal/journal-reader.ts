import type { DiskCursor, ReadResult } from './disk/disk-port.ts';
import {
  decodeRecord,
  type JournalRecord,
  type Position,
  positionOf,
  recordNumberOf,
  segmentOf,
} from './journal-record.ts';

/** Records that were read together. */
export class JournalBatch {
  readonly #result: ReadResult;
  readonly #isSettled: (segmentId: number, recordNumber: number) => boolean;
  readonly #onUnreadable: (position: Position) => void;
  readonly #source: Buffer;
  readonly #from: number;
  #index = 0;

  constructor(
    result: ReadResult,
    from: number,
    isSettled: (segmentId: number, recordNumber: number) => boolean,
    onUnreadable: (position: Position) => void,
  ) {
    this.#result = result;
    this.#from = from;
    this.#isSettled = isSettled;
    this.#onUnreadable = onUnreadable;
    this.#source = Buffer.from(result.bytes.buffer, result.bytes.byteOffset, result.bytes.byteLength);
  }

  /** Memory that the batch holds, bytes. */
  get bytes(): number {
    return this.#source.length;
  }

  /**
   * Reads the next record that is not done into `into`, whose bytes are views on the batch; false at the end. What
   * was done since the batch was read is left out.
   */
  next(into: JournalRecord): boolean {
    const { segmentId, ends, recordNumbers } = this.#result;
    while (this.#index < ends.length) {
      const index = this.#index++;
      const recordNumber = recordNumbers[index] as number;
      if (recordNumber < this.#from || this.#isSettled(segmentId, recordNumber)) continue;
      const start = index === 0 ? 0 : (ends[index - 1] as number);
      if (decodeRecord(this.#source, start, ends[index] as number, into)) {
        into.position = positionOf(segmentId, recordNumber);
        return true;
      }
      this.#onUnreadable(positionOf(segmentId, recordNumber));
    }
    return false;
  }
}

/** What a reader needs of its journal. */
export interface ReaderHost {
  read(cursor: DiskCursor, maxBytes: number): Promise<ReadResult>;
  isSettled(segmentId: number, recordNumber: number, withClaimed: boolean): boolean;
  /** The record can't be read, and never will be. */
  lose(position: Position): void;
  /** Resolves after the next commit, or when the journal closes. */
  nextCommit(): Promise<void>;
}

export interface ReaderOptions {
  /** Begins with the first record at or behind it; left out, with the oldest. */
  readonly from?: Position;
  /**
   * Records that somebody is sending on are read too: for looking at everything that is open, not for sending.
   */
  readonly withClaimed?: boolean;
}

/**
 * Reads the journal in the order of the appends. It moves only when asked: whoever asks takes as much as fits beside
 * the live traffic. Several readers may be at different places.
 */
export class JournalReader {
  readonly #host: ReaderHost;
  readonly #withClaimed: boolean;
  #cursor: DiskCursor;
  /** Every record in front of it has been handed out. */
  #nextPosition: Position;
  #reading = false;

  constructor(host: ReaderHost, { from = 0, withClaimed = false }: ReaderOptions) {
    this.#host = host;
    this.#withClaimed = withClaimed;
    this.#nextPosition = from;
    this.#cursor = {
      segmentId: segmentOf(from),
      generation: -1,
      offset: 0,
      recordNumber: recordNumberOf(from),
    };
  }

  /** Where the next batch begins. */
  get position(): Position {
    return this.#nextPosition;
  }

  /** Leaves out what is in front of `position`: not to be called while a batch is being read. */
  skipTo(position: Position): void {
    if (position <= this.#nextPosition) return;
    this.#nextPosition = position;
    const segmentId = segmentOf(position);
    // In the same segment the place in the file is kept, or it would be read again from its beginning.
    if (segmentId === this.#cursor.segmentId) return;
    this.#cursor = { segmentId, generation: -1, offset: 0, recordNumber: recordNumberOf(position) };
  }

  /**
   * The next batch of about `maxBytes` (at least one group of records), or undefined when the reader has caught up.
   * Not to be called again before it has answered. Rejects with what the disk says; the same call may then succeed
   * later, and nothing is skipped.
   */
  async next(maxBytes = 256 << 10): Promise<JournalBatch | undefined> {
    if (this.#reading) throw new Error('the reader is read by one caller at a time');
    this.#reading = true;
    try {
      const result = await this.#host.read(this.#cursor, maxBytes);
      if (result.atEnd) return undefined;
      const from =
        result.segmentId === segmentOf(this.#nextPosition) ? recordNumberOf(this.#nextPosition) : 0;
      this.#reportGaps(result, from);
      this.#cursor = result.next;
      this.#nextPosition = Math.max(this.#nextPosition, positionOf(result.segmentId, result.toNumber));
      return new JournalBatch(
        result,
        from,
        (segmentId, recordNumber) => this.#host.isSettled(segmentId, recordNumber, this.#withClaimed),
        (position) => {
          this.#host.lose(position);
        },
      );
    } finally {
      this.#reading = false;
    }
  }

  /** Resolves when there may be more than {@link next} last found. */
  more(): Promise<void> {
    return this.#host.nextCommit();
  }

  /** Records that should be in the batch and aren't were lost to damage, unless they were done before. */
  #reportGaps(result: ReadResult, from: number): void {
    let expected = Math.max(result.fromNumber, from);
    const loseUpTo = (end: number): void => {
      for (; expected < end; expected++) {
        if (!this.#host.isSettled(result.segmentId, expected, false)) {
          this.#host.lose(positionOf(result.segmentId, expected));
        }
      }
    };
    for (const recordNumber of result.recordNumbers) {
      if (recordNumber < expected) continue;
      loseUpTo(recordNumber);
      expected = recordNumber + 1;
    }
    loseUpTo(result.toNumber);
  }
}
