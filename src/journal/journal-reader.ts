import type { DiskCursor, ReadResult } from './disk/disk-port.ts';
import type { JournalParts } from './journal-parts.ts';
import {
  decodeRecord,
  type JournalRecord,
  type Position,
  positionOf,
  recordNumberOf,
  segmentOf,
} from './journal-record.ts';
import type { SegmentBook } from './room/segment-book.ts';

/** Records that were read together. */
export class JournalBatch {
  readonly #result: ReadResult;
  readonly #book: SegmentBook;
  readonly #onUnreadable: (position: Position) => void;
  readonly #source: Buffer;
  readonly #from: number;
  #index = 0;

  constructor(
    result: ReadResult,
    from: number,
    book: SegmentBook,
    onUnreadable: (position: Position) => void,
  ) {
    this.#result = result;
    this.#from = from;
    this.#book = book;
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
      if (recordNumber < this.#from || this.#book.isSettled(segmentId, recordNumber)) continue;
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

/**
 * Reads the journal in the order of the appends. It moves only when asked: whoever asks takes as much as fits beside
 * the live traffic. Several readers may be at different places.
 */
export class JournalReader {
  readonly #parts: JournalParts;
  readonly #onLost: () => void;
  readonly #nextCommit: () => Promise<void>;
  #cursor: DiskCursor;
  /** Where the next batch begins: every record in front of it has been handed out. */
  position: Position;
  #reading = false;

  /** `onLost` hears of each record that can't be read; `nextCommit` resolves at the next commit or at the end. */
  constructor(parts: JournalParts, from: Position, onLost: () => void, nextCommit: () => Promise<void>) {
    this.#parts = parts;
    this.#onLost = onLost;
    this.#nextCommit = nextCommit;
    this.position = from;
    this.#cursor = cursorAt(from);
  }

  /** Leaves out what is in front of `position`: not to be called while a batch is being read. */
  skipTo(position: Position): void {
    if (position <= this.position) return;
    this.position = position;
    // In the same segment the place in the file is kept, or it would be read again from its beginning.
    if (segmentOf(position) !== this.#cursor.segmentId) this.#cursor = cursorAt(position);
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
      const result = await this.#parts.disk.read(this.#cursor, maxBytes);
      this.#reportDamage(result);
      if (result.atEnd) return undefined;
      const { segmentId } = result;
      const from = segmentId === segmentOf(this.position) ? recordNumberOf(this.position) : 0;
      this.#reportGaps(result, from);
      this.#cursor = result.next;
      this.position = Math.max(this.position, positionOf(segmentId, result.toNumber));
      return new JournalBatch(result, from, this.#parts.book, (position) => this.#lose(position));
    } finally {
      this.#reading = false;
    }
  }

  /** Resolves when there may be more than {@link next} last found. */
  more(): Promise<void> {
    return this.#nextCommit();
  }

  /** Records that should be in the batch and aren't were lost to damage, unless they were done before. */
  #reportGaps(result: ReadResult, from: number): void {
    const { book } = this.#parts;
    let expected = Math.max(result.fromNumber, from);
    const loseUpTo = (end: number): void => {
      for (; expected < end; expected++) {
        if (!book.isSettled(result.segmentId, expected)) this.#lose(positionOf(result.segmentId, expected));
      }
    };
    for (const recordNumber of result.recordNumbers) {
      if (recordNumber < expected) continue;
      loseUpTo(recordNumber);
      expected = recordNumber + 1;
    }
    loseUpTo(result.toNumber);
  }

  #reportDamage({ damage, setAside }: ReadResult): void {
    const { stats, logger } = this.#parts;
    stats.damages += damage.length;
    for (const piece of damage) {
      logger.error({ ...piece, setAside }, 'the journal is damaged: what could not be read was skipped');
    }
  }

  /** The record can't be read, and never will be. */
  #lose(position: Position): void {
    if (!this.#parts.book.finish(position)) return;
    this.#parts.stats.lostRecords++;
    this.#onLost();
  }
}

function cursorAt(position: Position): DiskCursor {
  const recordNumber = recordNumberOf(position);
  return { segmentId: segmentOf(position), generation: -1, offset: 0, recordNumber };
}
