import { HEADER_BYTES } from '../../durable-log/file-header.ts';
import {
  discard,
  type FileSystem,
  type OpenFile,
  tryRemove,
  writeFully,
} from '../../durable-log/file-system.ts';
import { COMMIT_FRAME_BYTES, GroupWriter, recordFrames } from '../../durable-log/frame.ts';
import type { LogScanner, RecordRuns } from '../../durable-log/log-scanner.ts';
import type { SegmentProgress } from '../recovery/checkpoint.ts';
import { RecordSet } from '../recovery/record-set.ts';
import {
  COMPACTING_SUFFIX,
  encodeSegmentHeader,
  type NewHeader,
  newHeader,
  SalvagedFile,
  scannerOf,
  segmentPath,
  type StoredSegment,
} from './segment-file.ts';

/** Reading goes on for so many bytes a step; between the steps commits have their turn. */
const STEP_BYTES = 2 << 20;

/**
 * Replaces a closed segment by one that holds only what is not done, in the same place: same id, same numbers.
 *
 * Survivors could be appended at the tail instead, but there they would stand behind newer records of their keys:
 * replay after a crash would turn a device's messages around, and every position that somebody holds would have to
 * be translated. In place, order and positions stay what they were, and the change is one rename: before it the old
 * file counts, after it the new one.
 */
export class Compaction {
  readonly #fs: FileSystem;
  readonly #segment: StoredSegment;
  readonly #path: string;
  readonly #source: SalvagedFile;
  readonly #target: OpenFile;
  readonly #scanner: LogScanner;
  readonly #new: NewHeader;
  readonly #writer: GroupWriter;
  #offset = HEADER_BYTES;

  constructor(fs: FileSystem, segment: StoredSegment, journalKey: Buffer | undefined) {
    this.#fs = fs;
    this.#segment = segment;
    this.#path = segmentPath(segment) + COMPACTING_SUFFIX;
    this.#source = new SalvagedFile(fs.open(segmentPath(segment), 'read'));
    this.#new = newHeader(segment.header, journalKey);
    this.#writer = new GroupWriter(this.#new.header, this.#new.cipher);
    this.#scanner = scannerOf(segment, this.#source);
    this.#target = fs.open(this.#path, 'create');
  }

  get id(): number {
    return this.#segment.id;
  }

  /** Goes on for a while; true when the new file has taken the old one's place. Throws what the disk throws. */
  step(progress: SegmentProgress): boolean {
    const done = RecordSet.restore(progress.low, progress.bits);
    const from = this.#scanner.offset;
    while (this.#scanner.offset - from < STEP_BYTES) {
      const group = this.#scanner.next();
      if (group === undefined) {
        this.#finish();
        return true;
      }
      this.#copy(group.runs, done);
    }
    return false;
  }

  /** Writes what is not done as groups of successive numbers: a group names only its first one. */
  #copy(runs: RecordRuns, done: RecordSet): void {
    let index = 0;
    while (index < runs.count) {
      if (done.has(runs.recordNumbers[index] as number)) {
        index++;
        continue;
      }
      const first = index;
      do index++;
      while (
        index < runs.count &&
        runs.recordNumbers[index] === (runs.recordNumbers[index - 1] as number) + 1 &&
        !done.has(runs.recordNumbers[index] as number)
      );
      this.#writeGroup(runs, first, index);
    }
  }

  #writeGroup(runs: RecordRuns, from: number, to: number): void {
    const bodies = Array.from({ length: to - from }, (_, index) => runs.body(from + index));
    const plain = recordFrames(bodies);
    const bytes = plain.length - COMMIT_FRAME_BYTES;
    const group = { bytes, records: bodies.length, firstNumber: runs.recordNumbers[from] as number };
    const encoded = this.#writer.encode(plain, group, this.#offset, this.#segment.header.createdAtMs);
    writeFully(this.#target, encoded, this.#offset);
    this.#offset += encoded.length;
  }

  #finish(): void {
    const segment = this.#segment;
    const ends = { compactedEnd: this.#offset, compactedRecords: segment.records };
    const header = { ...this.#new.header, ...ends };
    writeFully(this.#target, encodeSegmentHeader(header), 0);
    this.#target.sync();
    this.#target.close();
    this.#source.close();
    this.#fs.rename(this.#path, segmentPath(segment));
    segment.header = header;
    segment.cipher = this.#new.cipher;
    segment.endOffset = this.#offset;
    segment.generation++;
    this.#fs.syncDirectory(segment.directory);
  }

  /** Leaves the old file as it is. */
  abandon(): void {
    discard(this.#source);
    discard(this.#target);
    // A file that is left over is removed at the next start.
    tryRemove(this.#fs, this.#path);
  }
}
