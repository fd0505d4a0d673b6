import type { DiskState } from '../disk/disk-port.ts';
import type { SegmentEnd } from '../disk/segment-file.ts';
import { type Position, positionOf, recordNumberOf, segmentOf } from '../journal-record.ts';
import type { SegmentProgress } from '../recovery/checkpoint.ts';
import { RecordSet } from '../recovery/record-set.ts';

/** What is known of one segment on the event loop's side. */
class SegmentEntry {
  readonly id: number;
  records = 0;
  bytes = 0;
  closed = false;
  /** Time that passed since, as {@link SegmentBook.passTime} was told. */
  closedForMs = 0;
  /** Delivered, lost to damage, or dropped. */
  done = new RecordSet();
  /** Records that somebody is sending on; readers of this process leave them out. */
  readonly claimed = new RecordSet();
  /** `done.size` at the last look: one that does not grow is stuck. */
  doneAtLastLook = 0;
  /** Records not done when it was last compacted. */
  openAtCompaction = 0;

  constructor(id: number) {
    this.id = id;
  }

  get progress(): SegmentProgress {
    const { id, done, closedForMs } = this;
    return { id, low: done.low, bits: done.bitsAboveLow(), closedForMs };
  }
}

/** Compacting pays when at least three quarters of what a segment holds are done. */
const WORTHWHILE_SHARE = 0.25;
const WORTHWHILE_BYTES = 32 << 10;

/** Which records of which segments are done. */
export class SegmentBook {
  /** Oldest first. */
  readonly #entries = new Map<number, SegmentEntry>();
  #finished: number[] = [];
  #last: SegmentEntry | undefined;
  /** Something happened that a checkpoint should hold, or one could not be written. */
  dirty = false;
  /** Records on the disk that are not done. */
  openRecords = 0;
  /** Behind the last record on the disk. */
  end: Position = 0;
  /** What lies behind it must stay readable, done or not: see disk/survey.ts. */
  pinnedFrom: Position = Number.POSITIVE_INFINITY;

  get hasFinished(): boolean {
    return this.#finished.length > 0;
  }

  restore(state: DiskState, progress: readonly SegmentProgress[]): void {
    for (const { id, low, bits, closedForMs = 0 } of progress) {
      const entry = this.#entry(id);
      entry.done = RecordSet.restore(low, bits);
      entry.closedForMs = closedForMs;
    }
    for (const info of state.closed) {
      const entry = this.#entry(info.id);
      entry.records = info.records;
      this.openRecords += info.records - entry.done.size;
      this.#close(entry, info);
    }
  }

  /** Takes over what an answer of the disk says. */
  update(state: DiskState): void {
    for (const info of state.closed) this.#close(this.#entry(info.id), info);
    if (state.current !== undefined) this.#entry(state.current.id).bytes = state.current.endOffset;
  }

  #close(entry: SegmentEntry, { endOffset, records }: SegmentEnd): void {
    entry.records = records;
    this.end = Math.max(this.end, positionOf(entry.id, records));
    entry.bytes = endOffset;
    entry.closed = true;
    entry.openAtCompaction = records;
    this.dirty = true;
    if (entry.done.size >= records) this.#finished.push(entry.id);
  }

  #entry(id: number): SegmentEntry {
    let entry = this.#entries.get(id);
    if (entry === undefined) {
      entry = new SegmentEntry(id);
      this.#entries.set(id, entry);
    }
    return entry;
  }

  /** Records were made durable. */
  placed(segmentId: number, records: number): void {
    const entry = this.#entry(segmentId);
    entry.records += records;
    this.openRecords += records;
    this.end = positionOf(segmentId, entry.records);
  }

  claim(position: Position): void {
    const id = segmentOf(position);
    const entry = this.#last?.id === id ? this.#last : this.#entries.get(id);
    entry?.claimed.add(recordNumberOf(position));
  }

  /** Marks a record as done; false if it was, or if its segment is gone. */
  finish(position: Position): boolean {
    const id = segmentOf(position);
    const entry = this.#last?.id === id ? this.#last : this.#entries.get(id);
    if (entry === undefined) return false;
    this.#last = entry;
    const recordNumber = recordNumberOf(position);
    if (recordNumber >= entry.records || !entry.done.add(recordNumber)) return false;
    this.openRecords--;
    this.dirty = true;
    if (entry.closed && entry.done.size >= entry.records) this.#finished.push(id);
    return true;
  }

  /** True for a record that a reader leaves out: it is done, or somebody is sending it on. */
  isSettled(segmentId: number, recordNumber: number): boolean {
    const entry = this.#entries.get(segmentId);
    return entry === undefined || entry.done.has(recordNumber) || entry.claimed.has(recordNumber);
  }

  /**
   * What a checkpoint should hold, and the segments that it lets go. They are forgotten here. `withPinned`: also what
   * is pinned, because its room is needed.
   */
  takeCheckpoint(withPinned = false): {
    readonly progress: readonly SegmentProgress[];
    readonly finished: readonly number[];
  } {
    const finished = this.#finished.filter((id) => withPinned || !this.#isPinned(id));
    this.#finished = this.#finished.filter((id) => !finished.includes(id));
    // What is held back goes with the next one.
    this.dirty = this.#finished.length > 0;
    const progress: SegmentProgress[] = [];
    // The finished ones too: a file that was removed may be back after a loss of power.
    for (const entry of this.#entries.values()) {
      if (entry.done.size > 0 || entry.closedForMs > 0) progress.push(entry.progress);
    }
    for (const id of finished) this.#forget(id);
    return { progress, finished };
  }

  #isPinned(id: number): boolean {
    return positionOf(id, this.#entries.get(id)?.records ?? 0) > this.pinnedFrom;
  }

  #forget(id: number): void {
    this.#entries.delete(id);
    if (this.#last?.id === id) this.#last = undefined;
  }

  /** A closed segment of which little is left and nothing gets done: what a dead partition would pin. */
  nextToCompact(): SegmentProgress | undefined {
    let chosen: SegmentEntry | undefined;
    for (const entry of this.#entries.values()) {
      const stuck = entry.doneAtLastLook === entry.done.size;
      entry.doneAtLastLook = entry.done.size;
      const open = entry.records - entry.done.size;
      if (chosen !== undefined || !entry.closed || !stuck || entry.bytes < WORTHWHILE_BYTES) continue;
      if (open > 0 && open <= entry.openAtCompaction * WORTHWHILE_SHARE && !this.#isPinned(entry.id))
        chosen = entry;
    }
    return chosen?.progress;
  }

  progressOf(segmentId: number): SegmentProgress | undefined {
    return this.#entries.get(segmentId)?.progress;
  }

  compacted(segmentId: number, bytes: number): void {
    const entry = this.#entries.get(segmentId);
    if (entry === undefined) return;
    entry.bytes = bytes;
    entry.openAtCompaction = entry.records - entry.done.size;
  }

  has(segmentId: number): boolean {
    return this.#entries.has(segmentId);
  }

  /** Closed segments with something in them that is not done, oldest first; closed for so long at least. */
  openSegments(closedForMs = 0): readonly number[] {
    return [...this.#entries.values()]
      .filter((entry) => entry.closed && entry.done.size < entry.records && entry.closedForMs >= closedForMs)
      .map(({ id }) => id);
  }

  /** Closed segments grow older. */
  passTime(elapsedMs: number): void {
    for (const entry of this.#entries.values()) if (entry.closed) entry.closedForMs += elapsedMs;
  }
}
