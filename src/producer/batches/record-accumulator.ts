import type { SerializedRecord } from '../../core/record.ts';
import type { Bottleneck } from './bottleneck.ts';
import { BufferPool } from './buffer-pool.ts';
import type { PartitionQueue, QueuedBatch } from './partition-queue.ts';
import { BatchState, ProducerBatch, type RecordTarget } from './producer-batch.ts';
import { BATCH_HEADER_BYTES, upperBoundBytes } from './record-batch.ts';

export interface AccumulatorOptions {
  readonly batchSizeBytes: number;
  readonly bufferMemoryBytes: number;
  readonly lingerMs: number;
  readonly maxRequestSizeBytes: number;
  /** Batches of one partition that may be in flight; 1 keeps a partition mute while it has one. */
  readonly maxInFlightPerPartition: number;
  /** Pause before the `attempts`-th repetition of a batch, milliseconds. */
  readonly retryBackoffMs: (attempts: number) => number;
}

/** What {@link RecordAccumulator.ready} found. */
export interface ReadyCheck {
  /** Brokers that lead a partition with a batch that should go. */
  readonly brokers: readonly number[];
  /** Milliseconds until a partition that isn't ready now will be by the mere passing of time; Infinity if none. */
  readonly nextReadyMs: number;
  /** Topics with batches for a partition whose leader is not known. */
  readonly leaderless: ReadonlySet<string>;
}

/**
 * Gathers records into batches by partition, within `buffer.memory` bytes, of which no partition holds more than
 * its share: one batch, or a quarter of the whole if that is more, so that a partition without a leader slows
 * down only what is sent to it.
 */
export class RecordAccumulator {
  readonly memory: BufferPool;
  /** Largest number of bytes that one partition may hold. */
  readonly shareBytes: number;
  /** Called when a batch was opened, whose linger begins. */
  onBatchOpened: () => void = () => {};
  /** Called when batches became ready other than by time: one is full, or memory is. */
  onReady: () => void = () => {};
  recordsAppended = 0;

  readonly #options: AccumulatorOptions;
  /** Partitions with at least one batch. */
  readonly #active = new Set<PartitionQueue>();
  /** Bytes of the pooled buffers: batch.size, unless buffer.memory is even less. */
  readonly #batchBytes: number;
  #flushing = 0;
  #nextBroker = 0;

  constructor(options: AccumulatorOptions) {
    this.#options = options;
    this.#batchBytes = Math.min(options.batchSizeBytes, options.bufferMemoryBytes);
    this.shareBytes = Math.max(this.#batchBytes, Math.floor(options.bufferMemoryBytes / 4));
    this.memory = new BufferPool(options.bufferMemoryBytes, this.#batchBytes, this.progress);
  }

  /** Counts appended records, for {@link Bottleneck}. */
  readonly progress = (): number => this.recordsAppended;

  /** Partitions that hold batches. */
  get active(): ReadonlySet<PartitionQueue> {
    return this.#active;
  }

  get isEmpty(): boolean {
    return this.#active.size === 0;
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
    nowMs: () => number,
  ): Bottleneck | undefined {
    const open = queue.open;
    if (open !== undefined) {
      if (open.tryAppend(record, target, token)) {
        this.recordsAppended++;
        return undefined;
      }
      open.state = BatchState.Closed;
      this.onReady();
    }
    const bytes = Math.max(this.#batchBytes, upperBoundBytes(record));
    if (queue.bytes > 0 && queue.bytes + bytes > this.shareBytes) return queue.bottleneck;
    const buffer = this.memory.tryAllocate(bytes);
    if (buffer === undefined) {
      this.onReady();
      return this.memory.bottleneck;
    }

    const batch = new ProducerBatch(queue, buffer, nowMs());
    if (!batch.tryAppend(record, target, token))
      throw new Error('a batch has room for the record it is made for');
    queue.waiting.push(batch);
    queue.bytes += bytes;
    this.#active.add(queue);
    this.recordsAppended++;
    this.onBatchOpened();
    return undefined;
  }

  /** Which brokers should be sent to now. */
  ready(nowMs: number): ReadyCheck {
    const brokers = new Set<number>();
    const leaderless = new Set<string>();
    let nextReadyMs = Number.POSITIVE_INFINITY;
    for (const queue of this.#active) {
      const batch = queue.next(this.#options.maxInFlightPerPartition);
      if (batch === undefined) continue;
      if (queue.leaderId === -1) {
        leaderless.add(queue.topic);
        continue;
      }
      const restMs = this.#restMs(queue, batch, nowMs);
      if (restMs <= 0) brokers.add(queue.leaderId);
      else if (restMs < nextReadyMs) nextReadyMs = restMs;
    }
    return { brokers: [...brokers], nextReadyMs, leaderless };
  }

  /**
   * Takes the batches of one Produce request to this broker: one of each partition that is ready, and of those
   * that would be within half of `linger.ms`, so that partitions fall into step and share requests. The whole
   * stays within `max.request.size`, but there is always at least one.
   */
  drain(brokerId: number, nowMs: number): QueuedBatch[] {
    const candidates: QueuedBatch[] = [];
    for (const queue of this.#active) {
      if (queue.leaderId !== brokerId) continue;
      const batch = queue.next(this.#options.maxInFlightPerPartition);
      if (batch === undefined) continue;
      const restMs = this.#restMs(queue, batch, nowMs);
      if (restMs <= 0 || (batch.attempts === 0 && restMs <= this.#options.lingerMs / 2))
        candidates.push(batch);
    }
    // Another one comes first each time: where not all fit, none may starve.
    const start = candidates.length === 0 ? 0 : this.#nextBroker++ % candidates.length;
    const drained: QueuedBatch[] = [];
    let bytes = 0;
    for (let i = 0; i < candidates.length; i++) {
      const batch = candidates[(start + i) % candidates.length] as QueuedBatch;
      if (drained.length > 0 && bytes + batch.endPosition > this.#options.maxRequestSizeBytes) continue;
      bytes += batch.endPosition;
      batch.queue.take(batch, nowMs);
      drained.push(batch);
    }
    return drained;
  }

  /** Milliseconds until the partition's next batch should go; 0 or less: now. */
  #restMs(queue: PartitionQueue, batch: QueuedBatch, nowMs: number): number {
    if (batch.attempts > 0) return batch.retryAtMs - nowMs;
    const full = batch.state !== BatchState.Open || queue.waiting.length > 1;
    if (full || this.#flushing > 0 || this.memory.exhausted) return 0;
    return batch.createdAtMs + this.#options.lingerMs - nowMs;
  }

  /** While at least one flush is under way nothing lingers. */
  beginFlush(): void {
    this.#flushing++;
  }

  endFlush(): void {
    this.#flushing--;
  }

  /** The batch failed for now and goes again after its backoff, in its old place. */
  retry(batch: QueuedBatch, nowMs: number): void {
    batch.queue.inFlight--;
    batch.attempts++;
    // Once and for all: with another jitter at each look, a batch that is ready now might not be drained.
    batch.retryAtMs = nowMs + this.#options.retryBackoffMs(batch.attempts);
    batch.state = BatchState.Retry;
  }

  /**
   * Makes batches of `groups` (record indexes, ascending) and puts them in the place of the batch, in order, to
   * be sent at once. Their memory may for a moment pass the limit: that of the old one is freed.
   */
  regroup(batch: QueuedBatch, groups: readonly (readonly number[])[]): QueuedBatch[] {
    const { queue } = batch;
    const records = [...batch];
    const parts = groups.map((indexes) => {
      const bytes =
        BATCH_HEADER_BYTES +
        indexes.reduce((sum, index) => {
          const { key, value, headers } = records[index] as (typeof records)[number];
          return sum + 25 + (key?.length ?? 0) + (value?.length ?? 0) + headers.length;
        }, 0);
      const part = new ProducerBatch(queue, this.memory.allocate(bytes), batch.createdAtMs);
      for (const index of indexes) {
        const { key, value, timestampMs, headers } = records[index] as (typeof records)[number];
        const { target, token } = batch.waiter(index);
        part.tryAppend({ topic: queue.topic, key, value, timestampMs, headers }, target, token);
      }
      part.state = BatchState.Retry;
      queue.bytes += bytes;
      return part;
    });
    queue.replace(batch, parts);
    this.#release(batch);
    return parts;
  }

  /**
   * Passes on the results at the partition's front, in order, as far as they are there; then wakes those who
   * wait for the room that came free.
   */
  settle(queue: PartitionQueue, onThrow: (error: unknown) => void): QueuedBatch[] {
    const settled: QueuedBatch[] = [];
    while (queue.sent[0]?.state === BatchState.Done) {
      const batch = queue.sent.shift() as QueuedBatch;
      queue.settledRecords += batch.recordCount;
      settled.push(batch);
    }
    if (queue.isEmpty) this.#active.delete(queue);
    for (const batch of settled) {
      batch.notify(onThrow);
      // Not before: whoever hears of a failed record may read it.
      this.#release(batch);
    }
    return settled;
  }

  #release(batch: QueuedBatch): void {
    batch.queue.bytes -= batch.buffer.length;
    this.memory.free(batch.buffer, !batch.unanswered);
  }

  /** Wakes those who wait for this partition's share, then those who wait for memory. */
  wake(queue: PartitionQueue): void {
    queue.bottleneck.wake();
    this.memory.bottleneck.wake();
  }
}

interface Flush {
  /** For each partition, how many records must have their results. */
  readonly targets: Map<PartitionQueue, number>;
  readonly resolve: () => void;
}

/** Who waits until partitions have passed on the results of what they held. */
export class Flushes {
  readonly #accumulator: RecordAccumulator;
  readonly #wakeup: () => void;
  readonly #flushes = new Set<Flush>();

  constructor(accumulator: RecordAccumulator, wakeup: () => void) {
    this.#accumulator = accumulator;
    this.#wakeup = wakeup;
  }

  /** Sends without lingering what has been appended; resolves when all of it has its result, good or bad. */
  flush(): Promise<void> {
    const targets = new Map<PartitionQueue, number>();
    for (const queue of this.#accumulator.active) targets.set(queue, queue.appendedRecords);
    if (targets.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#flushes.add({ targets, resolve });
      this.#accumulator.beginFlush();
      this.#wakeup();
    });
  }

  /** The partition has passed on results. */
  readonly onSettled = (queue: PartitionQueue): void => {
    for (const flush of this.#flushes) {
      if (queue.settledRecords < (flush.targets.get(queue) ?? Number.POSITIVE_INFINITY)) continue;
      flush.targets.delete(queue);
      if (flush.targets.size > 0) continue;
      this.#flushes.delete(flush);
      this.#accumulator.endFlush();
      flush.resolve();
    }
  };
}
