import { HEADER_BYTES } from '../../durable-log/file-header.ts';
import {
  discard,
  type FileSystem,
  type OpenFile,
  tryTruncate,
  writeFully,
} from '../../durable-log/file-system.ts';
import type { FrameCipher } from '../../durable-log/frame-cipher.ts';
import { GroupWriter } from '../../durable-log/frame.ts';
import { MAX_RECORDS_PER_SEGMENT } from '../journal-record.ts';
import {
  encodeSegmentHeader,
  type NewHeader,
  type SegmentHeader,
  segmentPath,
  SPARE_NAME,
  type StoredSegment,
} from './segment-file.ts';

/** Record frames with blank CRCs, and room for a commit frame behind them: what is written as one group. */
export interface Chunk {
  readonly memory: SharedArrayBuffer;
  readonly bytes: number;
  readonly records: number;
}

/**
 * Small commits find their blocks allocated and written: then fdatasync has no metadata to write (0.17 ms instead of
 * 0.26 at 40 KB a commit on ext4; ftruncate alone gains nothing, because its extents are still to be converted).
 * Large commits grow the file themselves: zeros would double what they write.
 */
const EXTENT_BYTES = 1 << 20;
const SMALL_COMMIT_BYTES = 64 << 10;
const ZEROS = Buffer.alloc(EXTENT_BYTES);

/**
 * Writes one segment, strictly forward. Whatever fails ends it: after a failed fdatasync the kernel may have marked
 * pages clean that never reached the disk, so that another one proves nothing about them; what was not durable
 * before is written again in another segment.
 */
export class SegmentWriter {
  readonly directory: string;
  readonly header: SegmentHeader;
  readonly cipher: FrameCipher | undefined;
  /** What a completed {@link sync} covers. */
  durableOffset = HEADER_BYTES;
  durableRecords = 0;
  readonly #file: OpenFile;
  readonly #segmentBytes: number;
  readonly #writer: GroupWriter;
  #offset = HEADER_BYTES;
  #records = 0;
  /** Up to here the file has blocks with zeros or old content. */
  #allocated: number;

  /**
   * Begins a segment, `spare`: in the directory's spare file instead of a new one. Throws what the file system throws;
   * a file of it may then remain, and is void.
   */
  constructor(
    fs: FileSystem,
    directory: string,
    { header, cipher }: NewHeader,
    segmentBytes: number,
    spare: boolean,
  ) {
    this.directory = directory;
    this.header = header;
    this.cipher = cipher;
    this.#writer = new GroupWriter(header, cipher);
    this.#segmentBytes = segmentBytes;
    const path = segmentPath({ id: header.id, directory });
    if (spare) fs.rename(`${directory}/${SPARE_NAME}`, path);
    this.#file = fs.open(path, spare ? 'write' : 'create');
    try {
      this.#allocated = this.#file.size();
      writeFully(this.#file, encodeSegmentHeader(header), 0);
      fs.syncDirectory(directory);
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  get id(): number {
    return this.header.id;
  }

  /** What is durable of it, as a segment that can be read. */
  get stored(): StoredSegment {
    const { id, directory, header, cipher, durableOffset: endOffset, durableRecords: records } = this;
    return { id, directory, header, cipher, endOffset, records, generation: 0 };
  }

  /** Bytes that the file takes on the disk. */
  get fileBytes(): number {
    return Math.max(this.#allocated, this.#offset);
  }

  /** It holds something, and has been open for so long. */
  isOld(nowMs: number, maxAgeMs: number): boolean {
    const ageMs = nowMs - this.header.createdAtMs;
    // A clock that jumped back does not keep a segment open for ever.
    return this.durableRecords > 0 && (ageMs < 0 || ageMs >= maxAgeMs);
  }

  hasRoom(chunk: Chunk): boolean {
    if (this.#records === 0) return true;
    return (
      this.#offset + this.#writer.boundBytes(chunk.bytes) <= this.#segmentBytes &&
      this.#records + chunk.records <= MAX_RECORDS_PER_SEGMENT
    );
  }

  /** Writes the chunk as one group, closed by its commit frame; returns its first record's number. Not yet durable. */
  write(chunk: Chunk, wallMs: number): number {
    const { bytes, records } = chunk;
    const firstNumber = this.#records;
    const plain = Buffer.from(chunk.memory);
    const group = this.#writer.encode(plain, { bytes, records, firstNumber }, this.#offset, wallMs);
    writeFully(this.#file, group, this.#offset);
    this.#offset += group.length;
    this.#records += records;
    if (this.#offset > this.#allocated) this.#extend(group.length);
    return firstNumber;
  }

  #extend(lastBytes: number): void {
    this.#allocated = this.#offset;
    if (lastBytes > SMALL_COMMIT_BYTES) return;
    const to = Math.min(Math.ceil(this.#offset / EXTENT_BYTES) * EXTENT_BYTES, this.#segmentBytes);
    if (to <= this.#offset) return;
    try {
      writeFully(this.#file, ZEROS.subarray(0, to - this.#offset), this.#offset);
      this.#allocated = to;
    } catch {
      // Room ahead is a matter of speed: where the disk is full, the records themselves may still fit.
    }
  }

  /** Returns when all that was written is on stable storage. */
  sync(): void {
    this.#file.sync();
    this.durableOffset = this.#offset;
    this.durableRecords = this.#records;
  }

  /** Ends the segment where it is durable, and gives back what lies behind, if the disk lets us. */
  finish(): StoredSegment {
    // The end is also in the next segment's header, and in the checkpoint.
    if (this.fileBytes > this.durableOffset) tryTruncate(this.#file, this.durableOffset);
    discard(this.#file);
    return this.stored;
  }
}
