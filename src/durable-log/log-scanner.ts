import { HEADER_BYTES } from './file-header.ts';
import { fill, type ReadableFile } from './file-system.ts';
import type { FrameCipher } from './frame-cipher.ts';
import {
  bodyBytesAt,
  COMMIT_FRAME_BYTES,
  FRAME_HEADER_BYTES,
  frameCrc,
  type FrameSeed,
  FrameType,
  type GroupCommit,
  MARK_BYTES,
  MARK_OFFSET,
  readCommit,
} from './frame.ts';

/** Where records stand in memory, with their numbers in the file: parallel arrays instead of an object a record. */
export class RecordRuns {
  readonly buffers: Buffer[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  readonly recordNumbers: number[] = [];
  #unnumberedFrom = 0;

  get count(): number {
    return this.starts.length;
  }

  add(buffer: Buffer, start: number, end: number): void {
    this.buffers.push(buffer);
    this.starts.push(start);
    this.ends.push(end);
  }

  /** A record's bytes: a view. */
  body(index: number): Buffer {
    return (this.buffers[index] as Buffer).subarray(this.starts[index], this.ends[index]);
  }

  /** Gives those that have no number yet theirs, in order from `first`. */
  number(first: number): void {
    for (let index = this.#unnumberedFrom; index < this.count; index++) {
      this.recordNumbers.push(first + index - this.#unnumberedFrom);
    }
    this.#unnumberedFrom = this.count;
  }

  /** Takes over another's records, which have their numbers. */
  append(other: RecordRuns): void {
    for (let index = 0; index < other.count; index++) {
      this.add(other.buffers[index] as Buffer, other.starts[index] as number, other.ends[index] as number);
      this.recordNumbers.push(other.recordNumbers[index] as number);
    }
    this.#unnumberedFrom = this.count;
  }
}

/** Bytes that can't be what was written. */
export interface DamagedBytes {
  readonly offset: number;
  readonly bytes: number;
  /** Records that can't be read because of it. In a compacted segment at most so many. */
  readonly lostRecords: number;
}

/** Records that were read, and where to go on. */
export interface ScannedGroup {
  readonly runs: RecordRuns;
  readonly damage: DamagedBytes | undefined;
  /** A commit frame says that the group was written whole. */
  readonly committed: boolean;
}

export interface ScanLimits {
  /** Where the data ends: known, or the size of the file when {@link records} is undefined. */
  readonly endOffset: number;
  /** Records up to the end. undefined: the end is not known, and what is behind the last commit is a torn tail. */
  readonly records: number | undefined;
}

/** A place between two groups of a file. */
export interface LogPlace {
  readonly offset: number;
  /** Of the next record. */
  readonly recordNumber: number;
}

/** Where the first group of a file begins. */
export const BEGINNING: LogPlace = { offset: HEADER_BYTES, recordNumber: 0 };

const WINDOW_BYTES = 1 << 20;
/** A search for sound frames in damaged bytes gives up after computing checksums over so many bytes. */
const RESYNC_BUDGET_BYTES = 256 << 20;

/**
 * Reads the groups of a log file in order.
 *
 * Bad bytes with a valid commit behind them are damage: what they held was acknowledged. The sound frames around
 * them are still read. Bad bytes with no commit behind them, where the end isn't known, are the torn tail of a group
 * that nobody was told of; its sound beginning is read nevertheless, because the commit frame alone may be what is
 * broken, and a repeat is better than a loss. Never what stands behind a gap in it: that could overtake.
 */
export class LogScanner {
  /** Where the next group begins; after the last one, where the sound data ends. */
  offset: number;
  /** The next record's number. */
  recordNumber: number;
  readonly #file: Pick<ReadableFile, 'read'>;
  readonly #seed: FrameSeed;
  readonly #cipher: FrameCipher | undefined;
  readonly #limits: ScanLimits;
  #window: Buffer = Buffer.alloc(0);
  #windowOffset = 0;
  #resyncBudget = 0;
  /** Records at the end that no commit covers. */
  uncommitted = 0;

  constructor(
    file: Pick<ReadableFile, 'read'>,
    seed: FrameSeed,
    cipher: FrameCipher | undefined,
    limits: ScanLimits,
    start: LogPlace = BEGINNING,
  ) {
    this.#file = file;
    this.#seed = seed;
    this.#cipher = cipher;
    this.#limits = limits;
    this.offset = start.offset;
    this.recordNumber = start.recordNumber;
  }

  /** The next group with its damage, or undefined at the end. Throws what the file throws. */
  next(): ScannedGroup | undefined {
    const { endOffset, records: knownRecords } = this.#limits;
    if (this.offset >= endOffset) return undefined;
    const start = this.offset;
    const runs = new RecordRuns();
    let at = start;
    while (at < endOffset) {
      const bytes = this.#validFrame(at, endOffset);
      if (bytes === 0) return this.#damagedGroup(start, at, runs);
      const position = at - this.#windowOffset;
      if (this.#window[position + 4] === FrameType.Commit) {
        const commit = readCommit(this.#window, position, this.#seed);
        if (commit?.startOffset !== start || commit.records !== runs.count) {
          return this.#damagedGroup(start, at, runs);
        }
        return this.#finished(runs, commit.firstNumber, at + bytes, commit.firstNumber + commit.records);
      }
      if (!this.#take(at, bytes, runs)) return this.#damagedGroup(start, at, runs);
      at += bytes;
    }
    // Up to a known end without a commit: the sound part of a tail that recovery found and kept.
    if (knownRecords === undefined) return this.#tail(runs, at);
    if (this.recordNumber + runs.count === knownRecords) {
      return this.#finished(runs, this.recordNumber, at, knownRecords);
    }
    return this.#damagedGroup(start, at, runs);
  }

  #finished(
    runs: RecordRuns,
    firstNumber: number,
    nextOffset: number,
    nextNumber: number,
    damage?: DamagedBytes,
  ): ScannedGroup {
    runs.number(firstNumber);
    this.offset = nextOffset;
    this.recordNumber = nextNumber;
    return { runs, damage, committed: true };
  }

  /** The torn tail: nothing behind `end` was acknowledged, and of what is in front of it nobody was told either. */
  #tail(runs: RecordRuns, end: number): ScannedGroup {
    this.uncommitted += runs.count;
    const group = this.#finished(runs, this.recordNumber, end, this.recordNumber + runs.count);
    return { ...group, committed: false };
  }

  /** `runs` is what could be read from `start` on, `bad` where it ended. */
  #damagedGroup(start: number, bad: number, runs: RecordRuns): ScannedGroup | undefined {
    const { endOffset, records: knownRecords } = this.#limits;
    const first = this.recordNumber;
    const behind = first + runs.count;
    const found = this.#findCommit(bad, endOffset);

    if (found === undefined) {
      if (knownRecords === undefined) {
        const group = this.#tail(runs, bad);
        return runs.count === 0 ? undefined : group;
      }
      const lostRecords = Math.max(0, knownRecords - behind);
      const damage = { offset: bad, bytes: endOffset - bad, lostRecords };
      return this.#finished(runs, first, endOffset, knownRecords, damage);
    }

    const { commit, offset: commitOffset } = found;
    if (commit.startOffset !== start) {
      // Whole groups are gone, their commits included; the one that was found is read next.
      const next = Math.max(bad, commit.startOffset);
      const lostRecords = Math.max(0, commit.firstNumber - behind);
      const damage = { offset: bad, bytes: next - bad, lostRecords };
      return this.#finished(runs, first, next, commit.firstNumber, damage);
    }
    const missing = commit.records - runs.count;
    runs.number(commit.firstNumber);
    const sound = this.#resync(bad, commitOffset, missing);
    const damage = {
      offset: bad,
      bytes: (sound?.offset ?? commitOffset) - bad,
      lostRecords: missing - (sound?.runs.count ?? 0),
    };
    const nextNumber = commit.firstNumber + commit.records;
    if (sound !== undefined) {
      sound.runs.number(nextNumber - sound.runs.count);
      runs.append(sound.runs);
    }
    return this.#finished(runs, commit.firstNumber, commitOffset + COMMIT_FRAME_BYTES, nextNumber, damage);
  }

  /** The first frames behind `bad` that lead, one sound frame after the other, exactly to the commit. */
  #resync(bad: number, commitOffset: number, atMostRecords: number) {
    this.#resyncBudget = RESYNC_BUDGET_BYTES;
    for (let offset = bad + 1; offset < commitOffset; offset++) {
      if (this.#resyncBudget <= 0) return undefined;
      const runs = this.#chain(offset, commitOffset);
      if (runs !== undefined && runs.count > 0 && runs.count <= atMostRecords) return { offset, runs };
    }
    return undefined;
  }

  #chain(offset: number, end: number): RecordRuns | undefined {
    const runs = new RecordRuns();
    let at = offset;
    while (at < end) {
      const bytes = this.#validFrame(at, end);
      if (bytes === 0) return undefined;
      if (this.#window[at - this.#windowOffset + 4] === FrameType.Commit) return undefined;
      if (!this.#take(at, bytes, runs)) return undefined;
      at += bytes;
    }
    return runs;
  }

  /** The first valid commit frame at or behind `from`. */
  #findCommit(from: number, end: number): { commit: GroupCommit; offset: number } | undefined {
    let at = from;
    while (at + COMMIT_FRAME_BYTES <= end) {
      const bytes = Math.min(WINDOW_BYTES, end - at);
      this.#load(at, bytes);
      const windowOffset = this.#windowOffset;
      const base = at - windowOffset;
      const index = this.#window.subarray(base, base + bytes).indexOf(this.#seed.mark);
      if (index === -1) {
        if (at + bytes >= end) return undefined;
        at += bytes - MARK_BYTES - MARK_OFFSET;
        continue;
      }
      const offset = at + index - MARK_OFFSET;
      if (offset >= from && this.#validFrame(offset, end) > 0) {
        const commit = readCommit(this.#window, offset - this.#windowOffset, this.#seed);
        if (commit !== undefined) return { commit, offset };
      }
      at += index + 1;
    }
    return undefined;
  }

  /** Adds the record frame, or the records of the sealed frame, at `offset`; false when they can't be. */
  #take(offset: number, frameBytes: number, runs: RecordRuns): boolean {
    const window = this.#window;
    const body = offset - this.#windowOffset + FRAME_HEADER_BYTES;
    const bodyEnd = offset - this.#windowOffset + frameBytes;
    if (window[body - FRAME_HEADER_BYTES + 4] === FrameType.Record) {
      if (this.#cipher !== undefined) return false;
      runs.add(window, body, bodyEnd);
      return true;
    }
    if (bodyEnd - body < 4) return false;
    const plain = this.#cipher?.open(window.subarray(body + 4, bodyEnd), offset);
    if (plain === undefined) return false;
    for (let at = 0; at < plain.length;) {
      const end = at + FRAME_HEADER_BYTES + bodyBytesAt(plain, at);
      runs.add(plain, at + FRAME_HEADER_BYTES, end);
      at = end;
    }
    return true;
  }

  /** Bytes of the sound frame at `offset`, now in the window; 0 if there is none that ends before `end`. */
  #validFrame(offset: number, end: number): number {
    if (offset + FRAME_HEADER_BYTES > end) return 0;
    this.#load(offset, FRAME_HEADER_BYTES);
    let position = offset - this.#windowOffset;
    const type = this.#window[position + 4];
    if (type !== FrameType.Record && type !== FrameType.Sealed && type !== FrameType.Commit) return 0;
    const bytes = FRAME_HEADER_BYTES + bodyBytesAt(this.#window, position);
    if (offset + bytes > end) return 0;
    this.#load(offset, bytes);
    position = offset - this.#windowOffset;
    if (position + bytes > this.#window.length) return 0;
    this.#resyncBudget -= bytes;
    const expected = this.#window.readUInt32LE(position);
    return frameCrc(this.#window, position, offset, this.#seed.crcSeed) === expected ? bytes : 0;
  }

  /** Makes the window hold `bytes` from `offset` on; where the file is shorter, zeros. */
  #load(offset: number, bytes: number): void {
    if (offset >= this.#windowOffset && offset + bytes <= this.#windowOffset + this.#window.length) return;
    const wanted = Math.max(bytes, Math.min(WINDOW_BYTES, this.#limits.endOffset - offset));
    // A new one each time: records that were handed out are views on the old.
    this.#window = Buffer.alloc(wanted);
    this.#windowOffset = offset;
    fill(this.#file, this.#window, offset);
  }
}
