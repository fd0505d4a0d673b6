import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { SerializedRecord } from '../core/record.ts';
import { exponentialBackoff } from './backoff.ts';
import type { Bottleneck } from './bottleneck.ts';
import type { ProducerConfig } from './config-table.ts';
import { InvalidRecordError, ProducerClosedError, RecordTooLargeError } from './errors.ts';
import type { ProducerError } from './errors.ts';
import { Metadata } from './metadata.ts';
import type { PartitionQueue } from './partition-queue.ts';
import type { BrokerPort, ConnectionState } from './port.ts';
import { upperBoundBytes } from './producer-batch.ts';
import { ProduceResults } from './produce-results.ts';
import { ProducerIds } from './producer-ids.ts';
import { RecordAccumulator } from './record-accumulator.ts';
import type { RecordTarget } from './record-target.ts';
import { Sender } from './sender.ts';
import { SenderLoop } from './sender-loop.ts';
import { ProducerStats } from './stats.ts';
import type { Topic } from './topic.ts';

/** Why a record was not taken: something to wait for, or an error that will not go away. */
export type Refusal = Bottleneck | ProducerError;

export interface ProducerOptions {
  readonly config: ProducerConfig;
  /** The way to the cluster, e.g. a ClusterPort. The producer closes it. */
  readonly port: BrokerPort;
  readonly clock: Clock;
  readonly logger: Logger;
  /** From 0 to 1, for jitter and for the choice of partitions. */
  readonly random?: () => number;
}

/** Records that were appended and not delivered when the producer closed. */
export interface UndeliveredRecords {
  readonly topic: string;
  readonly partition: number;
  readonly records: number;
}

/** A promise that waits until partitions have passed on the results of what they held. */
interface Flush {
  /** For each partition, how many records must have their results. */
  readonly targets: Map<PartitionQueue, number>;
  readonly resolve: () => void;
}

/**
 * A Kafka producer with the semantics of Kafka's Java client: records gather in batches by partition, and go out
 * compressed, idempotent, in order, repeated until they are acknowledged or delivery.timeout.ms is over.
 *
 * {@link tryAppend} is the path for a bridge: no promise, no object a record, never blocks.
 */
export class Producer {
  readonly stats = new ProducerStats();
  readonly #options: ProducerOptions;
  readonly #random: () => number;
  readonly #nowMs: () => number;
  readonly #accumulator: RecordAccumulator;
  readonly #metadata: Metadata;
  readonly #producerIds: ProducerIds | undefined;
  readonly #results: ProduceResults;
  readonly #loop: SenderLoop;
  readonly #flushes = new Set<Flush>();
  #closed = false;
  #closing: Promise<readonly UndeliveredRecords[]> | undefined;
  /** The topic of the last record: most streams have runs of one topic. */
  #lastTopic: Topic | undefined;

  constructor(options: ProducerOptions) {
    const { config, port, clock, logger, random = Math.random } = options;
    this.#options = options;
    this.#random = random;
    this.#nowMs = () => clock.monotonicMs();
    const wakeup = () => {
      this.#loop.wakeup();
    };
    const retryBackoffMs = exponentialBackoff(config.retryBackoffMs, config.retryBackoffMaxMs, random);
    const idempotent = config.enableIdempotence && port.guarantees.idempotent;

    this.#accumulator = new RecordAccumulator({
      batchSizeBytes: config.batchSizeBytes,
      bufferMemoryBytes: config.bufferMemoryBytes,
      lingerMs: config.lingerMs,
      maxRequestSizeBytes: config.maxRequestSizeBytes,
      // Without sequences a repeated batch would stand behind its successors.
      maxInFlightPerPartition: idempotent ? config.maxInFlightRequestsPerConnection : 1,
      retryBackoffMs,
    });
    const accumulator = this.#accumulator;
    accumulator.onReady = wakeup;
    accumulator.onBatchOpened = () => {
      this.#loop.wakeupWithin(config.lingerMs);
    };
    port.onReadinessChange = wakeup;

    const shared = { port, logger, backoffMs: retryBackoffMs, onChange: wakeup, nowMs: this.#nowMs };
    const { progress } = accumulator;
    this.#metadata = new Metadata({ ...shared, maxAgeMs: config.metadataMaxAgeMs, progress });
    this.#producerIds = idempotent ? new ProducerIds(shared) : undefined;
    const metadata = this.#metadata;
    const { stats } = this;
    this.#results = new ProduceResults({
      accumulator,
      metadata,
      stats,
      logger,
      idempotent,
      retries: config.retries,
      deliveryTimeoutMs: config.deliveryTimeoutMs,
      onSettled: (queue) => {
        this.#onSettled(queue);
      },
    });
    const sender = new Sender({
      accumulator,
      metadata,
      port,
      producerIds: this.#producerIds,
      results: this.#results,
      stats,
      nowMs: this.#nowMs,
      maxInFlightRequests: config.maxInFlightRequestsPerConnection,
      produce: { acks: config.acks, timeoutMs: config.requestTimeoutMs },
      wakeup,
    });
    this.#loop = new SenderLoop((nowMs) => sender.runOnce(nowMs), clock, setImmediate);
  }

  /**
   * Appends a copy of the record. undefined: taken, and `target.recordCompleted(token, ...)` follows exactly once,
   * within a partition in the order of the appends. A {@link Bottleneck}: not taken, there is no room now, or its
   * topic can't be sent to now. An error: not taken, and never will be.
   */
  tryAppend(record: SerializedRecord, target: RecordTarget, token: number): Refusal | undefined {
    return this.#append(record, undefined, target, token);
  }

  #append(
    record: SerializedRecord,
    partition: number | undefined,
    target: RecordTarget,
    token: number,
  ): Refusal | undefined {
    if (this.#closed) return new ProducerClosedError();
    const bytes = upperBoundBytes(record);
    const { config } = this.#options;
    if (bytes > config.maxRequestSizeBytes) {
      return new RecordTooLargeError(record.topic, bytes, `max.request.size (${config.maxRequestSizeBytes})`);
    }
    if (bytes > config.bufferMemoryBytes) {
      return new RecordTooLargeError(record.topic, bytes, `buffer.memory (${config.bufferMemoryBytes})`);
    }
    if (!(record.timestampMs >= 0 && Number.isSafeInteger(record.timestampMs))) {
      return new InvalidRecordError(record.topic, `${record.timestampMs} is not a timestamp in milliseconds`);
    }
    const topic = this.#topic(record.topic);
    if (!topic.usable) return topic.bottleneck;
    if (partition !== undefined && !(partition in topic.partitions)) {
      return new InvalidRecordError(record.topic, `it has no partition ${partition}`);
    }
    const index = partition ?? topic.partitionFor(record.key, bytes, config.batchSizeBytes, this.#random);
    const queue = topic.partitions[index] as PartitionQueue;
    const bottleneck = this.#accumulator.append(queue, record, target, token, this.#nowMs);
    // Without a key any partition will do: the next try goes to another.
    if (bottleneck !== undefined && record.key === null && partition === undefined)
      topic.changeSticky(this.#random);
    return bottleneck;
  }

  #topic(name: string): Topic {
    if (this.#lastTopic?.name === name) return this.#lastTopic;
    const topic = this.#metadata.topic(name);
    this.#lastTopic = topic;
    return topic;
  }

  /** Looks the topics up and connects, so that the first records need not wait for it. */
  prepare(topics: readonly string[]): void {
    for (const topic of topics) this.#metadata.topic(topic);
  }

  /** Why topics that records were sent to can't be sent to at present, by name. */
  topicFaults(): ReadonlyMap<string, ProducerError> {
    return this.#metadata.faults();
  }

  connectionState(): ConnectionState {
    return this.#options.port.connectionState();
  }

  /** Why batches can't be sent although their leaders are known: no producer id yet, and the reason. */
  producerIdFault(): unknown {
    return this.#producerIds?.lastError;
  }

  /** buffer.memory, in bytes: all of it, and what no batch holds. */
  get buffer(): { readonly totalBytes: number; readonly availableBytes: number } {
    return this.#accumulator.memory;
  }

  /** Callers that wait for a batch to leave buffer.memory (Kafka: waiting-threads). */
  get waitingForMemory(): number {
    return this.#accumulator.memory.bottleneck.waiting;
  }

  /** Records that were appended and have no result yet. */
  get pendingRecords(): number {
    let records = 0;
    for (const queue of this.#accumulator.active) records += queue.appendedRecords - queue.settledRecords;
    return records;
  }

  /** Sends without lingering what has been appended; resolves when all of it has its result, good or bad. */
  flush(): Promise<void> {
    const targets = new Map<PartitionQueue, number>();
    for (const queue of this.#accumulator.active) targets.set(queue, queue.appendedRecords);
    if (targets.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#flushes.add({ targets, resolve });
      this.#accumulator.beginFlush();
      this.#loop.wakeup();
    });
  }

  #onSettled(queue: PartitionQueue): void {
    for (const flush of this.#flushes) {
      if (queue.settledRecords < (flush.targets.get(queue) ?? Number.POSITIVE_INFINITY)) continue;
      flush.targets.delete(queue);
      if (flush.targets.size > 0) continue;
      this.#flushes.delete(flush);
      this.#accumulator.endFlush();
      flush.resolve();
    }
  }

  /**
   * Takes no more records, delivers what was appended, for at most `timeoutMs`, and ends all connections; the
   * process can exit then. What is not delivered by that time fails with {@link ProducerClosedError}; Kafka may
   * have it nevertheless if it was in flight.
   *
   * @returns what was not delivered, by partition; empty when all is well
   */
  close(timeoutMs = Number.POSITIVE_INFINITY): Promise<readonly UndeliveredRecords[]> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  async #close(timeoutMs: number): Promise<readonly UndeliveredRecords[]> {
    this.#closed = true;
    this.#wakeAll();
    await this.#within(timeoutMs, this.flush());
    this.#loop.stop();

    const undelivered: UndeliveredRecords[] = [];
    for (const queue of this.#accumulator.active) {
      const records = queue.appendedRecords - queue.settledRecords;
      if (records > 0) undelivered.push({ topic: queue.topic, partition: queue.index, records });
    }
    if (undelivered.length > 0) {
      this.#results.abandon(new ProducerClosedError(`not delivered within ${timeoutMs} ms of close()`));
    }
    await this.#options.port.close();
    return undelivered;
  }

  /** Those who wait for room learn that there will be none. */
  #wakeAll(): void {
    for (const topic of this.#metadata.topics.values()) {
      topic.bottleneck.wake();
      for (const queue of topic.partitions) queue.bottleneck.wake();
    }
    this.#accumulator.memory.bottleneck.wake();
  }

  async #within(timeoutMs: number, done: Promise<void>): Promise<void> {
    if (timeoutMs === Number.POSITIVE_INFINITY) {
      await done;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const cancel = this.#options.clock.schedule(() => {
      resolve(undefined);
    }, timeoutMs);
    await Promise.race([done, promise]);
    cancel();
  }
}
