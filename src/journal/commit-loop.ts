import type { Cancel } from '../core/clock.ts';
import { errorMessage } from '../core/errors.ts';
import type { SerializedRecord } from '../core/record.ts';
import { COMMIT_FRAME_BYTES, FRAME_HEADER_BYTES, FrameType, writeFrameHeader } from '../durable-log/frame.ts';
import type { CommitResult, DiskFault, Placement } from './disk/disk-port.ts';
import type { Chunk } from './disk/segment-writer.ts';
import { describeFault, type JournalHealth } from './figures.ts';
import type { JournalParts } from './journal-parts.ts';
import { encodeRecord, type Position, positionOf, type RecordMeta } from './journal-record.ts';
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
  complete({ segmentId, firstNumber }: Placement, onThrow: (error: unknown) => void): void {
    const first = positionOf(segmentId, firstNumber);
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

  constructor(bufferBytes: number) {
    this.#bufferBytes = bufferBytes;
  }

  /** Bytes that no commit is at. */
  get waitingBytes(): number {
    return this.#chunks.slice(this.#inFlight).reduce((sum, { bytes }) => sum + bytes, 0);
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
    const last = this.hasWaiting ? this.#chunks.at(-1) : undefined;
    if (last !== undefined && last.bytes + bytes <= last.capacityBytes) return last;
    if (!this.hasRoom(bytes)) return undefined;
    const used = bytes <= CHUNK_BYTES ? this.#pool.pop() : undefined;
    const chunk = used ?? new PendingChunk(Math.max(CHUNK_BYTES, bytes));
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

export interface CommitLoopOptions extends JournalParts {
  /** Whether what else there is to do lacks processor time. */
  readonly shouldYield: () => boolean;
  /** After records were made durable and their targets told. */
  readonly onDurable: () => void;
  /** The disk has no more room; true when some was made. */
  readonly onFull: () => Promise<boolean>;
}

const RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;

/** So long after the last one a commit begins, whatever else there is to do. */
const MAX_YIELD_MS = 20;
const YIELD_STEP_MS = 1;

/**
 * Group commit: one commit at a time is with the disk; what is appended meanwhile goes with the next. A commit that
 * fails is tried again, the same records in the same order, until the disk takes it.
 */
export class CommitLoop {
  readonly #options: CommitLoopOptions;
  readonly #queue: CommitQueue;
  readonly #nowMs: () => number;
  /** Why the last commit did not go as it should. */
  fault: DiskFault | undefined;
  /** Records that were taken and are not durable, and their bytes. */
  pendingRecords = 0;
  pendingBytes = 0;
  /** Since when a commit has been with the disk; monotonic milliseconds. */
  #committingSinceMs: number | undefined;
  #failures = 0;
  #lastBeganMs = Number.NEGATIVE_INFINITY;
  #timer: Cancel | undefined;
  #stopped = false;
  #hurried = false;
  readonly #flushes: { readonly records: number; readonly resolve: () => void }[] = [];
  #appended = 0;
  #durable = 0;

  constructor(options: CommitLoopOptions) {
    this.#options = options;
    this.#queue = new CommitQueue(options.settings.bufferBytes);
    this.#nowMs = () => options.clock.monotonicMs();
  }

  hasRoom(bytes: number): boolean {
    return this.#queue.hasRoom(bytes);
  }

  /** Takes a copy of a record of at most `boundBytes`; false when there is no memory for it. */
  append(
    record: SerializedRecord,
    meta: RecordMeta,
    target: JournalTarget,
    token: number,
    boundBytes: number,
  ): boolean {
    const chunk = this.#queue.chunkFor(boundBytes, this.#nowMs);
    if (chunk === undefined) return false;
    const before = chunk.bytes;
    chunk.append(record, meta, target, token);
    this.pendingBytes += chunk.bytes - before;
    this.pendingRecords++;
    this.#appended++;
    // Once a chunk is enough: the clock and the timer are not for every record.
    if (chunk.records === 1) this.#schedule();
    return true;
  }

  /** Begins a commit now, or when its time has come. */
  #schedule(): void {
    if (this.#committingSinceMs !== undefined || this.#stopped || !this.#queue.hasWaiting) return;
    const { commitBytes, commitIntervalMs } = this.#options.settings;
    const nowMs = this.#nowMs();
    let dueMs = Math.max(this.#queue.oldestWaitingMs, this.#lastBeganMs) + commitIntervalMs;
    if (this.#hurried || this.#queue.waitingBytes >= commitBytes) dueMs = nowMs;
    if (this.#failures > 0) {
      dueMs = this.#lastBeganMs + Math.min(RETRY_MS * 2 ** (this.#failures - 1), MAX_RETRY_MS);
    }
    if (dueMs <= nowMs && this.#yields(nowMs)) dueMs = nowMs + YIELD_STEP_MS;
    this.#timer?.();
    if (dueMs <= nowMs) void this.#commit();
    else {
      this.#timer = this.#options.clock.schedule(() => this.#schedule(), dueMs - nowMs);
    }
  }

  /**
   * Devices send as fast as they are acknowledged, here faster than Kafka: what the producer has no room for would be
   * written, read back and sent later, which costs more than all the rest of its way. So a commit is late, and larger,
   * while the producer's batches wait for the processor; while they wait for Kafka, it is not.
   */
  #yields(nowMs: number): boolean {
    return (
      nowMs < this.#lastBeganMs + MAX_YIELD_MS &&
      this.#failures === 0 &&
      !this.#hurried &&
      this.#options.shouldYield()
    );
  }

  /** Closes the segment that is written to, if it is old enough: otherwise only the next record would. */
  closeOldSegment(): void {
    if (!this.#queue.hasWaiting) void this.#commit();
  }

  async #commit(): Promise<void> {
    if (this.#committingSinceMs !== undefined || this.#stopped) return;
    this.#timer?.();
    const chunks = this.#queue.beginCommit();
    this.#lastBeganMs = this.#nowMs();
    this.#committingSinceMs = this.#lastBeganMs;
    let result: CommitResult;
    try {
      result = await this.#options.disk.commit(
        chunks.map(({ memory, bytes, records }) => ({ memory, bytes, records })),
      );
    } catch (error) {
      // The disk's side is gone (see Journal): nothing of this is ever confirmed.
      this.#options.logger.error({ reason: errorMessage(error) }, 'the journal takes no more records');
      this.stop();
      return;
    }
    this.#committingSinceMs = undefined;
    this.#settle(chunks, result);
    this.#takeFault(result.fault, result.placements.length < chunks.length);
    this.#options.onState(result.state);
    if (result.placements.length > 0) this.#options.onDurable();
    if (this.#failures > 0 && this.lacksSpace && (await this.#options.onFull())) this.#failures = 0;
    this.#schedule();
  }

  #settle(chunks: readonly PendingChunk[], { placements, syncs }: CommitResult): void {
    const { stats, book, logger } = this.#options;
    const durable = this.#queue.endCommit(placements.length);
    if (chunks.length > 0) stats.commits++;
    stats.syncs += syncs;
    for (const [index, chunk] of durable.entries()) {
      const placement = placements[index] as Placement;
      this.pendingRecords -= chunk.records;
      this.pendingBytes -= chunk.bytes;
      this.#durable += chunk.records;
      stats.journaledRecords += chunk.records;
      stats.journaledBytes += chunk.bytes;
      book.placed(placement.segmentId, chunk.records);
      chunk.complete(placement, (error) =>
        logger.error({ reason: errorMessage(error) }, 'a journal target threw'),
      );
      this.#queue.recycle(chunk);
    }
    while (this.#flushes[0] !== undefined && this.#flushes[0].records <= this.#durable) {
      this.#flushes.shift()?.resolve();
    }
    this.#hurried = this.#flushes.length > 0;
  }

  #takeFault(fault: DiskFault | undefined, failed: boolean): void {
    const { logger, stats } = this.#options;
    this.#failures = failed ? this.#failures + 1 : 0;
    if (failed) stats.commitFaults++;
    if (fault?.code !== this.fault?.code || fault?.directory !== this.fault?.directory) {
      if (fault === undefined) logger.info({}, 'the journal works again');
      else {
        const fields = { code: fault.code, directory: fault.directory, reason: fault.message };
        if (failed) logger.error(fields, 'the journal takes no records: devices wait');
        else logger.warn(fields, 'a journal directory does not work; another stands in');
      }
    }
    this.fault = fault;
  }

  /** The disk itself is full. */
  get lacksSpace(): boolean {
    return this.fault?.code === 'ENOSPC' || this.fault?.code === 'EDQUOT';
  }

  /** undefined: all is well. */
  get health(): JournalHealth | undefined {
    const { stalledAfterMs } = this.#options.settings;
    const since = this.#committingSinceMs;
    if (since !== undefined && this.#nowMs() - since > stalledAfterMs) {
      const reason = `the disk has not answered for ${Math.round(this.#nowMs() - since)} ms`;
      return { state: 'stalled', reason };
    }
    if (this.fault === undefined) return undefined;
    const state = this.#failures > 0 ? 'faulty' : 'degraded';
    return { state, code: this.fault.code, reason: describeFault(this.fault) };
  }

  /** Resolves when everything appended so far is durable. */
  flush(): Promise<void> {
    if (this.#durable >= this.#appended || this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      this.#flushes.push({ records: this.#appended, resolve });
      this.#hurried = true;
      this.#schedule();
    });
  }

  /** Begins no more commits. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.();
    for (const { resolve } of this.#flushes.splice(0)) resolve();
  }
}
