import { exponentialBackoff, within, type Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { ProducerRecord, RecordMetadata, SerializedRecord } from '../core/record.ts';
import { Mistakes, type Mistake } from './api/mistakes.ts';
import type { SendCallback } from './api/send-results.ts';
import { Sends } from './api/sends.ts';
import type { Bottleneck } from './batches/bottleneck.ts';
import type { RecordTarget } from './batches/producer-batch.ts';
import { RecordAccumulator } from './batches/record-accumulator.ts';
import { neverSendable, upperBoundBytes } from './batches/record-batch.ts';
import { Metadata } from './cluster/metadata.ts';
import { BrokerAvailability, type Partitioner } from './cluster/partitioner.ts';
import type { BrokerPort, ConnectionState } from './cluster/port.ts';
import type { Topic } from './cluster/topic.ts';
import type { ProducerConfig } from './config/config-table.ts';
import type { ProducerContext } from './context.ts';
import { InvalidRecordError, ProducerClosedError, type ProducerError } from './errors.ts';
import { kafkaMetrics, noStats, type BufferFigures, type KafkaMetrics } from './metrics.ts';
import { ProduceResults } from './sending/produce-results.ts';
import { ProducerIds } from './sending/producer-ids.ts';
import { SenderLoop } from './sending/sender-loop.ts';
import { Sender } from './sending/sender.ts';
import type { Serializer } from './serializers/serializer.ts';

/** Why a record was not taken: something to wait for, or an error that will not go away. */
export type Refusal = Bottleneck | ProducerError;

export interface ProducerOptions<K = Uint8Array, V = Uint8Array> {
  readonly config: ProducerConfig;
  /** The way to the cluster, e.g. a ClusterPort. The producer closes it. */
  readonly port: BrokerPort;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of records given to send(); left out, keys and values are bytes. */
  readonly keySerializer?: Serializer<K>;
  readonly valueSerializer?: Serializer<V>;
  /** In place of the default: murmur2 of the key, or without one the uniform sticky partitioner (KIP-794). */
  readonly partitioner?: Partitioner;
  /** From 0 to 1, for jitter and for the choice of partitions. */
  readonly random?: () => number;
  /** Calls back after the events that are being handled now. Left out, setImmediate; a test steps the sender by it. */
  readonly defer?: (callback: () => void) => void;
}

/** Records that were appended and not delivered when the producer closed. */
export interface UndeliveredRecords {
  readonly topic: string;
  /** -1: not chosen yet, they still waited for metadata or memory. */
  readonly partition: number;
  readonly records: number;
}

/**
 * A Kafka producer with the semantics of Kafka's Java client: records gather in batches by partition, and go out
 * compressed, idempotent, in order, repeated until they are acknowledged or delivery.timeout.ms is over.
 *
 * {@link send} takes a record with a key and a value of any type that a serializer is given for, and answers with
 * a promise or a callback. {@link tryAppend} is the path for a bridge: bytes, no promise, no object a record.
 */
export class Producer<K = Uint8Array, V = Uint8Array> {
  readonly stats = noStats();
  readonly #context: ProducerContext;
  readonly #accumulator: RecordAccumulator;
  readonly #metadata: Metadata;
  readonly #producerIds: ProducerIds | undefined;
  readonly #results: ProduceResults;
  readonly #loop: SenderLoop;
  readonly #sends: Sends<K, V>;
  #closed = false;
  #closing: Promise<readonly UndeliveredRecords[]> | undefined;
  /** The topic of the last record: most streams have runs of one topic. */
  #lastTopic: Topic | undefined;

  constructor(options: ProducerOptions<K, V>) {
    const { config, port, clock, logger, random = Math.random, partitioner } = options;
    const { keySerializer, valueSerializer } = options;
    this.#loop = new SenderLoop((nowMs) => sender.runOnce(nowMs), clock, options.defer ?? setImmediate);
    const context: ProducerContext = {
      config,
      port,
      clock,
      logger,
      stats: this.stats,
      random,
      retryBackoffMs: exponentialBackoff(config.retryBackoffMs, config.retryBackoffMaxMs, random),
      loop: this.#loop,
      mistakes: new Mistakes({ config, clock, logger }),
    };
    this.#context = context;
    this.#accumulator = new RecordAccumulator(context);
    const { progress } = this.#accumulator;
    const availability = new BrokerAvailability(config.partitionerAvailabilityTimeoutMs);
    const topicOptions = { config, random, isUnavailable: availability.isUnavailable, progress, partitioner };
    const metadata = new Metadata(context, topicOptions, (queues) => this.#results.failGone(queues));
    this.#metadata = metadata;
    this.#results = new ProduceResults(context, this.#accumulator, metadata);
    this.#producerIds = config.enableIdempotence ? new ProducerIds(context) : undefined;
    const sender = new Sender(context, {
      accumulator: this.#accumulator,
      metadata,
      producerIds: this.#producerIds,
      results: this.#results,
      availability,
    });
    this.#sends = new Sends(context, {
      keySerializer,
      valueSerializer,
      append: (record, partition, target, token) => this.#append(record, partition, target, token),
      topicFault: (topic) => metadata.topics.get(topic)?.fault,
    });
  }

  /**
   * Sends a record. Nothing blocks: a record whose topic is not known yet, or that finds no room in
   * buffer.memory, waits in line for at most max.block.ms (see {@link isBlocked}).
   *
   * The promise resolves when Kafka has the record, as far as `acks` asks, and rejects with a ProducerError when
   * it never will. One that nobody awaits may reject without harm: it is counted, and logged now and then.
   *
   * With a callback there is no promise. Callbacks of records for one partition come in the order of the sends;
   * only a record that was never taken (it is too large, can't be serialized, ...) may be called back earlier.
   */
  send(record: ProducerRecord<K, V>): Promise<RecordMetadata>;
  send(record: ProducerRecord<K, V>, callback: SendCallback): void;
  send(record: ProducerRecord<K, V>, callback?: SendCallback): Promise<RecordMetadata> | undefined {
    if (callback === undefined) return this.#sends.sendWithPromise(record);
    this.#sends.send(record, callback);
    return undefined;
  }

  /** Sends wait for metadata or memory. Who makes many without awaiting them should await {@link unblocked} now. */
  get isBlocked(): boolean {
    return this.#sends.isBlocked;
  }

  /** Resolves when all sends that wait at present have been taken, or have failed. */
  unblocked(): Promise<void> {
    return this.#sends.whenTaken();
  }

  /**
   * Appends a copy of the record. undefined: taken, and `target.recordCompleted(token, ...)` follows exactly once,
   * within a partition in the order of the appends. A {@link Bottleneck}: not taken, there is no room now, or its
   * topic can't be sent to now. An error: not taken, and never will be.
   */
  tryAppend(record: SerializedRecord, target: RecordTarget, token: number): Refusal | undefined {
    if (this.#closed) return new ProducerClosedError();
    return this.#append(record, undefined, target, token);
  }

  /**
   * Where {@link tryAppend} would put the record at present: its key's partition; -1 where any will do, -2 while
   * the topic's partitions aren't known (they are looked up then).
   */
  partitionOf(record: SerializedRecord): number {
    return this.#topic(record.topic).fixedPartition(record);
  }

  /** 0 while they aren't known. */
  partitionCount(topic: string): number {
    return this.#topic(topic).partitionCount;
  }

  /** Records for a partition, or with -1 for all of the topic's, that have no result yet; oldest first in each. */
  *unacknowledged(
    topic: string,
    partition: number,
  ): Generator<{ record: SerializedRecord; target: RecordTarget; token: number }> {
    for (const queue of this.#topic(topic).partitions) {
      if (partition < 0 || queue.partition === partition) yield* queue.unacknowledged();
    }
  }

  #append(
    record: SerializedRecord,
    partition: number | undefined,
    target: RecordTarget,
    token: number,
  ): Refusal | undefined {
    const bytes = upperBoundBytes(record);
    const refusal = neverSendable(record, bytes, this.#context.config);
    if (refusal !== undefined) return refusal;
    const topic = this.#topic(record.topic);
    if (!topic.usable) return topic.bottleneck;
    const index = partition ?? topic.partitionFor(record, bytes);
    const queue = topic.partitions[index];
    if (queue === undefined) return this.#noSuchPartition(topic, index, partition !== undefined);
    if (partition === undefined) {
      const heldBack = topic.heldBack(record);
      if (heldBack !== undefined) return heldBack;
    }
    const bottleneck = this.#accumulator.append(queue, record, target, token);
    if (bottleneck !== undefined && partition === undefined) topic.hadNoRoom(record);
    return bottleneck;
  }

  /** A partition that was named may be new: Kafka is asked, and the record waits. */
  #noSuchPartition(topic: Topic, index: number, wasNamed: boolean): Refusal {
    if (wasNamed && Number.isSafeInteger(index) && index >= 0) {
      this.#metadata.requestUpdate();
      return topic.bottleneck;
    }
    const range = `its partitions are 0 to ${topic.partitionCount - 1}`;
    return new InvalidRecordError(topic.name, `there is no partition ${index}, ${range}`);
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

  /** Looks no more for topics that do not exist, but for these; unless there are records for them. */
  forgetMissingTopics(except: readonly string[]): void {
    this.#lastTopic = undefined;
    this.#metadata.forgetMissing(except);
  }

  /** Why topics that records were sent to can't be sent to at present, by name. */
  topicFaults(): ReadonlyMap<string, ProducerError> {
    return this.#metadata.faults();
  }

  connectionState(): ConnectionState {
    return this.#context.port.connectionState();
  }

  /** Batches wait to be compressed: the processor does not keep up. Callers that can should send less for a moment. */
  get isBehind(): boolean {
    return this.#context.port.isBehind;
  }

  /** Why batches can't be sent although their leaders are known: no producer id yet, and the reason. */
  producerIdFault(): unknown {
    return this.#producerIds?.lastError;
  }

  /** buffer.memory, in bytes: all of it, and what no batch holds. */
  get buffer(): BufferFigures {
    return this.#accumulator.pool;
  }

  /** Callers that wait for a batch to leave buffer.memory (Kafka: waiting-threads). */
  get waitingForMemory(): number {
    return this.#accumulator.pool.bottleneck.waiting;
  }

  /** Its figures under the names of Kafka's Java client; averages are over its whole life. */
  metrics(): KafkaMetrics {
    return kafkaMetrics(this.stats, this.buffer, this.waitingForMemory);
  }

  /** What the producer noticed of the code around it, and how often. */
  get mistakes(): ReadonlyMap<Mistake, number> {
    return this.#context.mistakes.counts;
  }

  /** The process is about to end: says so if records are lost by it. Nothing can be delivered any more. */
  processEnds(): void {
    const records = this.pendingRecords;
    if (records > 0) this.#context.mistakes.notClosed(records);
  }

  /** Records that were sent and have no result yet. */
  get pendingRecords(): number {
    return this.#pending().reduce((sum, { records }) => sum + records, 0);
  }

  #pending(): UndeliveredRecords[] {
    const pending: UndeliveredRecords[] = [];
    for (const { topic, records } of this.#sends.waiting()) pending.push({ topic, partition: -1, records });
    for (const queue of this.#accumulator.active) {
      const records = queue.appendedRecords - queue.settledRecords;
      if (records > 0) pending.push({ topic: queue.topic, partition: queue.partition, records });
    }
    return pending;
  }

  /** Sends without lingering what was given to the producer so far; resolves when all of it has its result, good or bad. */
  async flush(): Promise<void> {
    if (this.#sends.isBlocked) await this.#accumulator.hurryUntil(this.#sends.whenTaken());
    await this.#accumulator.flush();
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
    this.#sends.close();
    this.#wakeAll();
    if (timeoutMs === Number.POSITIVE_INFINITY) await this.flush();
    else await within(this.#context.clock, timeoutMs, this.flush());
    this.#loop.stop();

    const undelivered = this.#pending();
    if (undelivered.length > 0) {
      const error = new ProducerClosedError(`not delivered within ${timeoutMs} ms of close()`);
      this.#results.abandon(error);
      this.#sends.abandon(error);
    }
    await this.#context.port.close();
    return undelivered;
  }

  /** Those who wait for room learn that there will be none. */
  #wakeAll(): void {
    for (const topic of this.#metadata.topics.values()) {
      topic.bottleneck.wake();
      for (const queue of topic.partitions) queue.bottleneck.wake();
    }
    this.#accumulator.pool.bottleneck.wake();
  }
}
