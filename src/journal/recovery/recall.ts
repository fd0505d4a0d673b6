import type { PublicationMemory, RecalledPublication } from '../../core/publication.ts';
import type { RecallMark } from './checkpoint.ts';
import type { JournalFs } from '../disk/journal-fs.ts';
import { ordinalOf, positionOf, segmentOf } from '../position.ts';
import { decodeRecord, emptyJournalRecord } from '../record-codec.ts';
import type { SegmentBook } from './segment-book.ts';
import { SalvagedFile, segmentPath, type StoredSegment } from '../disk/segment-files.ts';
import { HEADER_BYTES } from '../disk/segment-header.ts';
import { SegmentScanner } from '../disk/segment-scan.ts';

/*
 * A QoS 2 publication is on the disk with its record; that its session knows the packet identifier is on the disk a
 * moment later, somewhere else. A crash between the two leaves a publication that its device sends again, and that
 * would be taken for another one. So a start reads the last records once more and hands over whose they are. How far
 * back: to the place up to which the sessions are known to be on the disk, as of the last checkpoint. What lies behind
 * it stays readable until then, even if Kafka has it, unless its room is needed.
 */

/** What a start finds. */
export interface Recalled {
  /** Oldest first, each ordinal once. */
  readonly publications: readonly RecalledPublication[];
  readonly mark: RecallMark;
}

/** Of a journal whose owner has nobody who needs to know. */
export const NO_PUBLICATIONS: PublicationMemory = {
  nextOrdinal: 1,
  whenKept(callback) {
    callback();
  },
};

/** Finds the publications at and behind the mark. A segment that can't be read has none: repeats are taken again. */
export function recallPublications(
  fs: JournalFs,
  segments: readonly StoredSegment[],
  { from, nextOrdinal }: RecallMark,
): Recalled {
  const publications = new Map<number, RecalledPublication>();
  let next = nextOrdinal;
  for (const segment of segments) {
    if (positionOf(segment.id, segment.records) <= from) continue;
    const firstOrdinal = segment.id === segmentOf(from) ? ordinalOf(from) : 0;
    try {
      for (const found of publicationsIn(fs, segment, firstOrdinal)) {
        publications.set(found.ordinal, found);
        next = Math.max(next, found.ordinal + 1);
      }
    } catch {
      // Whoever reads the records reports it.
    }
  }
  return { publications: [...publications.values()], mark: { from, nextOrdinal: next } };
}

function* publicationsIn(
  fs: JournalFs,
  segment: StoredSegment,
  firstOrdinal: number,
): Generator<RecalledPublication> {
  const file = new SalvagedFile(fs.open(segmentPath(segment), 'read'));
  try {
    const limits = { segmentId: segment.id, endOffset: segment.endOffset, records: segment.records };
    const start = { offset: HEADER_BYTES, ordinal: 0 };
    const scanner = new SegmentScanner(file, segment.header, segment.cipher, limits, start);
    const record = emptyJournalRecord();
    let group;
    while ((group = scanner.next()) !== undefined) {
      const { buffers, starts, ends, ordinals, count } = group.runs;
      for (let index = 0; index < count; index++) {
        if ((ordinals[index] as number) < firstOrdinal) continue;
        const source = buffers[index] as Buffer;
        if (!decodeRecord(source, starts[index] as number, ends[index] as number, record)) continue;
        const { clientId, packetId, ordinal } = record;
        if (ordinal > 0) yield { clientId, packetId, ordinal };
      }
    }
  } finally {
    file.close();
  }
}

/** Moves the mark on: at each checkpoint, as far as the sessions have been on the disk since the last one. */
export class Recall {
  readonly #book: SegmentBook;
  readonly #memory: () => PublicationMemory | undefined;
  #mark: RecallMark;
  #waiting = false;

  constructor(book: SegmentBook, mark: RecallMark, memory: () => PublicationMemory | undefined) {
    this.#book = book;
    this.#mark = mark;
    this.#memory = memory;
    book.pinnedFrom = mark.from;
  }

  /** What a checkpoint of this moment is to say. */
  mark(): RecallMark {
    const memory = this.#memory();
    if (memory === undefined) return this.#mark;
    const nextOrdinal = Math.max(memory.nextOrdinal, this.#mark.nextOrdinal);
    this.#mark = { ...this.#mark, nextOrdinal };
    if (!this.#waiting) {
      const from = this.#book.end;
      this.#waiting = true;
      memory.whenKept(() => {
        this.#waiting = false;
        this.#mark = { ...this.#mark, from: Math.max(from, this.#mark.from) };
        this.#book.pinnedFrom = this.#mark.from;
      });
    }
    return this.#mark;
  }
}
