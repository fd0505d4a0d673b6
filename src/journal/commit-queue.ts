import type { SerializedRecord } from '../core/record.ts';
import type { Placement } from './disk/disk-port.ts';
import { COMMIT_FRAME_BYTES, FRAME_HEADER_BYTES, FrameType, writeFrameHeader } from './disk/frame.ts';
import { type Position, positionOf } from './position.ts';
import { encodeRecord, type RecordMeta } from './record-codec.ts';
import type { Chunk } from './disk/segment-writer.ts';
import { CHUNK_BYTES } from './settings.ts';

/**
 * Who is told that a record is on the disk: one object for many records, so that the hot path allocates nothing a
 * record.
 */
export interface JournalTarget {
  /**
   * Called exactly once for each appended record, after the fdatasync that covers it, in the order of the appends;
   * with {@link DROPPED} for a record that the policy dropped, and then possibly before `append` returns. It must
   * not throw.
   */
  recordJournaled(token: number, position: Position): void;
}

/** Records that will be one group on the disk. */
export class PendingChunk implements Chunk {
  readonly memory: SharedArrayBuffer;
  readonly #buffer: Buffer;
  readonly #targets: JournalTarget[] = [];
  readonly #tokens: number[] = [];
  bytes = 0;
  records = 0;
  /** Monotonic milliseconds of the first append. */
  firstAppendMs = 0;

  constructor(capacityBytes: number) {
    // Shared, not transferred: when a commit fails, the same bytes are written again.
    this.memory = new SharedArrayBuffer(capacityBytes + COMMIT_FRAME_BYTES);
    this.#buffer = Buffer.from(this.memory);
  }

  get capacityBytes(): number {
    return this.memory.byteLength - COMMIT_FRAME_BYTES;
  }

  append(record: SerializedRecord, meta: RecordMeta, target: JournalTarget, token: number): void {
    const start = this.bytes;
    const body = start + FRAME_HEADER_BYTES;
    const end = encodeRecord(this.#buffer, body, record, meta);
    writeFrameHeader(this.#buffer, start, FrameType.Record, end - body);
    this.bytes = end;
    this.records++;
    this.#targets.push(target);
    this.#tokens.push(token);
  }

  /** Tells every record's target where it is. */
  complete({ segmentId, firstOrdinal }: Placement, onThrow: (error: unknown) => void): void {
    const first = positionOf(segmentId, firstOrdinal);
    for (let index = 0; index < this.#targets.length; index++) {
      try {
        (this.#targets[index] as JournalTarget).recordJournaled(this.#tokens[index] as number, first + index);
      } catch (error) {
        onThrow(error);
      }
    }
  }

  clear(): void {
    this.bytes = 0;
    this.records = 0;
    this.#targets.length = 0;
    this.#tokens.length = 0;
  }
}

/** The records that are not on the disk yet, in chunks that are used again. */
export class CommitQueue {
  /** First in, first out; the last one is being filled. */
  readonly #chunks: PendingChunk[] = [];
  readonly #pool: PendingChunk[] = [];
  readonly #bufferBytes: number;
  #heldBytes = 0;
  /** Chunks at the front that the disk is at. */
  #inFlight = 0;
  /** Bytes of records that wait or are in flight. */
  bytes = 0;

  constructor(bufferBytes: number) {
    this.#bufferBytes = bufferBytes;
  }

  /** Bytes that no commit is at. */
  get waitingBytes(): number {
    let bytes = 0;
    for (let index = this.#inFlight; index < this.#chunks.length; index++) {
      bytes += (this.#chunks[index] as PendingChunk).bytes;
    }
    return bytes;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  get hasWaiting(): boolean {
    return this.#chunks.length > this.#inFlight;
  }

  /** Monotonic milliseconds at which the oldest record that no commit is at was appended. */
  get oldestWaitingMs(): number {
    return this.#chunks[this.#inFlight]?.firstAppendMs ?? Number.POSITIVE_INFINITY;
  }

  /** A chunk with room for a record of up to `bytes`, or undefined when the memory is used up. */
  chunkFor(bytes: number, nowMs: () => number): PendingChunk | undefined {
    const last = this.#chunks.length > this.#inFlight ? this.#chunks.at(-1) : undefined;
    if (last !== undefined && last.bytes + bytes <= last.capacityBytes) return last;
    const fresh = bytes <= CHUNK_BYTES ? this.#pool.pop() : undefined;
    const capacity = Math.max(CHUNK_BYTES, bytes);
    if (this.#chunks.length > 0 && this.#heldBytes + capacity > this.#bufferBytes) {
      if (fresh !== undefined) this.#pool.push(fresh);
      return undefined;
    }
    const chunk = fresh ?? new PendingChunk(capacity);
    this.#heldBytes += chunk.capacityBytes;
    chunk.firstAppendMs = nowMs();
    this.#chunks.push(chunk);
    return chunk;
  }

  hasRoom(bytes: number): boolean {
    return this.#chunks.length === 0 || this.#heldBytes + Math.max(CHUNK_BYTES, bytes) <= this.#bufferBytes;
  }

  /** Everything that waits goes to the disk together. */
  beginCommit(): readonly PendingChunk[] {
    this.#inFlight = this.#chunks.length;
    return this.#chunks.slice();
  }

  /** The first `count` chunks are durable; the others wait again. */
  endCommit(count: number): readonly PendingChunk[] {
    this.#inFlight = 0;
    return this.#chunks.splice(0, count);
  }

  recycle(chunk: PendingChunk): void {
    this.#heldBytes -= chunk.capacityBytes;
    chunk.clear();
    if (chunk.capacityBytes === CHUNK_BYTES) this.#pool.push(chunk);
  }
}
