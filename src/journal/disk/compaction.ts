import { HEADER_BYTES } from '../../durable-log/file-header.ts';
import {
  discard,
  type FileSystem,
  type OpenFile,
  tryRemove,
  writeFully,
} from '../../durable-log/file-system.ts';
import type { FrameCipher } from '../../durable-log/frame-cipher.ts';
import {
  COMMIT_FRAME_BYTES,
  FRAME_HEADER_BYTES,
  FrameType,
  GroupWriter,
  writeFrameHeader,
} from '../../durable-log/frame.ts';
import type { LogScanner, RecordRuns } from '../../durable-log/log-scanner.ts';
import type { SegmentProgress } from '../recovery/checkpoint.ts';
import { RecordSet } from '../recovery/record-set.ts';
import {
  COMPACTING_SUFFIX,
  encodeSegmentHeader,
  newHeader,
  SalvagedFile,
  scannerOf,
  type SegmentHeader,
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
  readonly #header: SegmentHeader;
  readonly #cipher: FrameCipher | undefined;
  readonly #writer: GroupWriter;
  #offset = HEADER_BYTES;

  constructor(fs: FileSystem, segment: StoredSegment, journalKey: Buffer | undefined) {
    this.#fs = fs;
    this.#segment = segment;
    this.#path = segmentPath(segment) + COMPACTING_SUFFIX;
    this.#source = new SalvagedFile(fs.open(segmentPath(segment), 'read'));
    const { header, cipher } = newHeader(segment.header, journalKey);
    this.#header = header;
    this.#cipher = cipher;
    this.#writer = new GroupWriter(header, cipher);
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
    let bytes = 0;
    for (let index = from; index < to; index++) {
      bytes += FRAME_HEADER_BYTES + (runs.ends[index] as number) - (runs.starts[index] as number);
    }
    const plain = Buffer.alloc(bytes + COMMIT_FRAME_BYTES);
    let at = 0;
    for (let index = from; index < to; index++) {
      const body = (runs.buffers[index] as Buffer).subarray(runs.starts[index], runs.ends[index]);
      writeFrameHeader(plain, at, FrameType.Record, body.length);
      plain.set(body, at + FRAME_HEADER_BYTES);
      at += FRAME_HEADER_BYTES + body.length;
    }
    const group = { bytes, records: to - from, firstNumber: runs.recordNumbers[from] as number };
    const encoded = this.#writer.encode(plain, group, this.#offset, this.#segment.header.createdAtMs);
    writeFully(this.#target, encoded, this.#offset);
    this.#offset += encoded.length;
  }

  #finish(): void {
    const segment = this.#segment;
    const header: SegmentHeader = {
      ...this.#header,
      compactedEnd: this.#offset,
      compactedRecords: segment.records,
    };
    writeFully(this.#target, encodeSegmentHeader(header), 0);
    this.#target.sync();
    this.#target.close();
    this.#source.close();
    this.#fs.rename(this.#path, segmentPath(segment));
    segment.header = header;
    segment.cipher = this.#cipher;
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
