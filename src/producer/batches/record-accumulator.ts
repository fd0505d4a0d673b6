import type { SerializedRecord } from '../../core/record.ts';
import type { ProducerContext } from '../context.ts';
import type { Bottleneck } from './bottleneck.ts';
import { BufferPool } from './buffer-pool.ts';
import type { PartitionQueue, QueuedBatch } from './partition-queue.ts';
import { BatchState, ProducerBatch, type RecordTarget } from './producer-batch.ts';
import {
  ANY_RECORD_OVERHEAD_BYTES,
  BATCH_HEADER_BYTES,
  contentBytes,
  upperBoundBytes,
} from './record-batch.ts';

/** What {@link RecordAccumulator.ready} found. */
export interface ReadyCheckResult {
  /** Brokers that lead a partition with a batch that should go. */
  readonly brokers: ReadonlySet<number>;
  /** Milliseconds until a partition that isn't ready now will be by the mere passing of time; Infinity if none. */
  readonly nextReadyMs: number;
  /** There are batches for a partition whose leader is not known. */
  readonly isLeaderless: boolean;
}

/**
 * Gathers records into batches by partition, within `buffer.memory` bytes. No partition holds more than its share:
 * one batch, or a quarter of the whole if that is more. So a partition without a leader slows down only what is sent
 * to it.
 *
 * The sender takes two steps: {@link ready} says which brokers have something to get, {@link drain} takes it.
 */
export class RecordAccumulator {
  readonly pool: BufferPool;
  readonly #context: ProducerContext;
  /** Batches of one partition that may be in flight. */
  readonly #maxInFlight: number;
  /** Bytes of the pooled buffers: batch.size, unless buffer.memory is even less. */
  readonly #batchBytes: number;
  /** Largest number of bytes that one partition may hold. */
  readonly #shareBytes: number;
  /** Partitions with at least one batch. */
  readonly #active = new Set<PartitionQueue>();
  /** Callers that want nothing to linger. */
  #hurrying = 0;
  #recordsAppended = 0;
  #nextBatch = 0;

  constructor(context: ProducerContext) {
    this.#context = context;
    const { enableIdempotence, maxInFlightRequestsPerConnection } = context.config;
    const { batchSizeBytes, bufferMemoryBytes } = context.config;
    // Without sequences a repeated batch would stand behind its successors: the partition is muted by its first.
    this.#maxInFlight = enableIdempotence ? maxInFlightRequestsPerConnection : 1;
    this.#batchBytes = Math.min(batchSizeBytes, bufferMemoryBytes);
    this.#shareBytes = Math.max(this.#batchBytes, Math.floor(bufferMemoryBytes / 4));
    this.pool = new BufferPool(bufferMemoryBytes, this.#batchBytes, this.progress);
  }

  /** Counts appended records, for {@link Bottleneck}. */
  readonly progress = (): number => this.#recordsAppended;

  /** Partitions that hold batches. */
  get active(): ReadonlySet<PartitionQueue> {
    return this.#active;
  }

  /**
   * Copies the record into the partition's open batch, or a new one. undefined: appended. Otherwise what to wait
   * for. The record must not be larger than `buffer.memory`.
   */
  append(
    queue: PartitionQueue,
    record: SerializedRecord,
    target: RecordTarget,
    token: number,
  ): Bottleneck | undefined {
    const open = queue.open;
    if (open !== undefined) {
      if (open.tryAppend(record, target, token)) {
        this.#recordsAppended++;
        return undefined;
      }
      open.state = BatchState.Closed;
      this.#context.loop.wakeup();
    }
    const bytes = Math.max(this.#batchBytes, upperBoundBytes(record));
    if (queue.bytes > 0 && queue.bytes + bytes > this.#shareBytes) return queue.bottleneck;
    const buffer = this.pool.tryAllocate(bytes);
    if (buffer === undefined) {
      this.#context.loop.wakeup();
      return this.pool.bottleneck;
    }

    const batch = new ProducerBatch(queue, buffer, this.#context.clock.monotonicMs());
    if (!batch.tryAppend(record, target, token))
      throw new Error('a batch has room for the record it is made for');
    queue.waiting.push(batch);
    queue.bytes += bytes;
    this.#active.add(queue);
    this.#recordsAppended++;
    this.#context.loop.wakeupWithin(this.#context.config.lingerMs);
    return undefined;
  }

  /** Which brokers should be sent to now. */
  ready(nowMs: number): ReadyCheckResult {
    const brokers = new Set<number>();
    let isLeaderless = false;
    let nextReadyMs = Number.POSITIVE_INFINITY;
    for (const queue of this.#active) {
      const batch = queue.next(this.#maxInFlight);
      if (batch === undefined) continue;
      const restMs = this.#restMs(queue, batch, nowMs);
      if (queue.leaderId === -1) isLeaderless = true;
      else if (restMs <= 0) brokers.add(queue.leaderId);
      else if (restMs < nextReadyMs) nextReadyMs = restMs;
    }
    return { brokers, nextReadyMs, isLeaderless };
  }

  /**
   * Takes the batches of one Produce request to this broker: one of each partition that is ready, and of those
   * that would be within half of `linger.ms`, so that partitions fall into step and share requests. The whole
   * stays within `max.request.size`, but there is always at least one.
   */
  drain(brokerId: number, nowMs: number): QueuedBatch[] {
    const { lingerMs, maxRequestSizeBytes } = this.#context.config;
    const candidates: QueuedBatch[] = [];
    for (const queue of this.#active) {
      if (queue.leaderId !== brokerId) continue;
      const batch = queue.next(this.#maxInFlight);
      if (batch === undefined) continue;
      const restMs = this.#restMs(queue, batch, nowMs);
      if (restMs <= 0 || (batch.attempts === 0 && restMs <= lingerMs / 2)) candidates.push(batch);
    }
    // Another one comes first each time: where not all fit, none may starve.
    const start = candidates.length === 0 ? 0 : this.#nextBatch++ % candidates.length;
    const drained: QueuedBatch[] = [];
    let bytes = 0;
    for (const batch of [...candidates.slice(start), ...candidates.slice(0, start)]) {
      if (drained.length > 0 && bytes + batch.endPosition > maxRequestSizeBytes) continue;
      bytes += batch.endPosition;
      batch.queue.take(batch);
      drained.push(batch);
    }
    return drained;
  }

  /** Milliseconds until the partition's next batch should go; 0 or less: now. */
  #restMs(queue: PartitionQueue, batch: QueuedBatch, nowMs: number): number {
    if (batch.attempts > 0) return batch.retryAtMs - nowMs;
    const isFull = batch.state !== BatchState.Open || queue.waiting.length > 1;
    const isHurried = this.#hurrying > 0 || this.pool.exhausted;
    return isFull || isHurried ? 0 : batch.createdAtMs + this.#context.config.lingerMs - nowMs;
  }

  /** The batch failed for now and goes again after its backoff, in its old place. */
  reenqueue(batch: QueuedBatch, nowMs: number): void {
    batch.attempts++;
    // Once and for all: with another jitter at each look, a batch that is ready now might not be drained.
    batch.retryAtMs = nowMs + this.#context.retryBackoffMs(batch.attempts);
    batch.state = BatchState.Retry;
  }

  /**
   * Cuts the batch before the records at `starts` (ascending, from 0) and puts the parts in its place, in order, to
   * be sent at once. Their memory may for a moment pass the limit: that of the old one is freed.
   */
  splitAndReenqueue(batch: QueuedBatch, starts: readonly number[]): QueuedBatch[] {
    const { queue } = batch;
    const records = [...batch];
    const parts = starts.map((start, i) => {
      const members = records.slice(start, starts[i + 1]);
      let bytes = BATCH_HEADER_BYTES;
      for (const member of members) bytes += ANY_RECORD_OVERHEAD_BYTES + contentBytes(member);
      const part = new ProducerBatch(queue, this.pool.allocate(bytes), batch.createdAtMs);
      for (const [at, member] of members.entries()) {
        const { target, token } = batch.waiter(start + at);
        const fits = part.tryAppend({ topic: queue.topic, ...member }, target, token);
        if (!fits) throw new Error('a part has room for the records that it is made for');
      }
      part.state = BatchState.Retry;
      queue.bytes += bytes;
      return part;
    });
    queue.replace(batch, parts);
    this.#deallocate(batch);
    return parts;
  }

  /**
   * Passes on the results at the partition's front, in order, as far as they are there; then wakes those who
   * wait for the room that came free.
   */
  settle(queue: PartitionQueue, onThrow: (error: unknown) => void): void {
    const settled = queue.takeFinished();
    if (queue.isEmpty) this.#active.delete(queue);
    for (const batch of settled) {
      batch.notify(onThrow);
      // Not before: a target may read its failed record.
      this.#deallocate(batch);
    }
    if (settled.length === 0) return;
    queue.endFlushes();
    this.wake(queue);
  }

  #deallocate(batch: QueuedBatch): void {
    batch.queue.bytes -= batch.buffer.length;
    this.pool.free(batch.buffer, !batch.unanswered);
  }

  /** Wakes those who wait for this partition's share, then those who wait for memory. */
  wake(queue: PartitionQueue): void {
    queue.bottleneck.wake();
    this.pool.bottleneck.wake();
  }

  /** Sends without lingering what has been appended; resolves when all of it has its result, good or bad. */
  async flush(): Promise<void> {
    await this.hurryUntil(Promise.all([...this.#active].map((queue) => queue.whenSettled())));
  }

  /** Lets nothing linger until `end`. */
  async hurryUntil(end: Promise<unknown>): Promise<void> {
    this.#hurrying++;
    this.#context.loop.wakeup();
    await end;
    this.#hurrying--;
  }
}
