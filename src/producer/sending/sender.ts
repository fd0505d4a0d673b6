import { errorMessage } from '../../core/errors.ts';
import type { Mistakes } from '../api/mistakes.ts';
import type { PartitionQueue, QueuedBatch } from '../batches/partition-queue.ts';
import type { RecordAccumulator } from '../batches/record-accumulator.ts';
import type { Metadata } from '../cluster/metadata.ts';
import type { BrokerAvailability } from '../cluster/partitioner.ts';
import type { BrokerPort, ProduceOptions, ProduceResponse } from '../cluster/port.ts';
import { BrokerUnavailableError, ProducerError } from '../errors.ts';
import type { ProducerStats } from '../metrics.ts';
import type { ProduceResults } from './produce-results.ts';
import type { ProducerIds } from './producer-ids.ts';

export interface SenderOptions {
  readonly accumulator: RecordAccumulator;
  readonly metadata: Metadata;
  readonly port: BrokerPort;
  /** undefined without idempotence. */
  readonly producerIds: ProducerIds | undefined;
  readonly results: ProduceResults;
  readonly stats: ProducerStats;
  readonly availability: BrokerAvailability;
  readonly mistakes: Mistakes;
  readonly nowMs: () => number;
  readonly maxInFlightRequests: number;
  readonly produce: ProduceOptions;
  /** Asks for another {@link Sender.runOnce} soon. */
  readonly wakeup: () => void;
}

/** What is on its way to one broker. */
interface BrokerTraffic {
  requests: number;
  /** The broker asked us to pause until then; monotonic milliseconds. */
  throttledUntilMs: number;
}

/**
 * Moves batches from the accumulator to the brokers. One step at a time: {@link runOnce} does all that can be
 * done now and says when time alone will make more possible; everything else that does calls `wakeup`.
 */
export class Sender {
  readonly #options: SenderOptions;
  readonly #traffic = new Map<number, BrokerTraffic>();

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** @returns milliseconds until there will be something to do without any other event; Infinity for never */
  runOnce(nowMs: number): number {
    const { accumulator, metadata, producerIds, results } = this.#options;
    let nextMs = results.expire(nowMs);
    const idsRestMs = this.#prepareSequences(nowMs);
    const ready = accumulator.ready(nowMs);
    if (ready.leaderless.size > 0) metadata.requestUpdate();
    nextMs = Math.min(nextMs, idsRestMs, metadata.maybeUpdate(nowMs), ready.nextReadyMs);
    if (producerIds !== undefined && !producerIds.available) return nextMs;
    for (const brokerId of ready.brokers) {
      nextMs = Math.min(nextMs, this.#sendTo(brokerId, nowMs));
    }
    return nextMs;
  }

  /**
   * Connections came or went. As in Java's client a cluster that is gone is looked for, even while there is nothing
   * to send: whoever asks whether it can be reached is told of its return.
   */
  readonly connectionsChanged = (): void => {
    const { port, metadata, wakeup } = this.#options;
    if (port.connectionState().connectedBrokers === 0) metadata.requestUpdate();
    wakeup();
  };

  /** Has a producer id ready, and starts the epochs of partitions that need one and have nothing in flight. */
  #prepareSequences(nowMs: number): number {
    const { accumulator, producerIds, stats } = this.#options;
    if (producerIds === undefined || accumulator.isEmpty) return Number.POSITIVE_INFINITY;
    for (const queue of accumulator.active) {
      if (!queue.needsNewEpoch || queue.inFlight > 0) continue;
      if (queue.epochsExhausted) {
        producerIds.discard(queue.producerId);
        continue;
      }
      queue.startSequences(queue.producerId, queue.producerEpoch + 1);
      stats.epochBumpTotal++;
    }
    const restMs = producerIds.maybeRequest(nowMs);
    const id = producerIds.current;
    if (id === undefined) return restMs;
    for (const queue of accumulator.active) {
      const isNew = queue.producerId === -1n;
      const isWornOut = queue.needsNewEpoch && queue.inFlight === 0 && queue.producerId !== id.producerId;
      if (isNew || isWornOut) queue.startSequences(id.producerId, id.epoch);
    }
    return restMs;
  }

  /** Sends what is ready for the broker, request by request; milliseconds until more may be possible. */
  #sendTo(brokerId: number, nowMs: number): number {
    const { accumulator, metadata, port, availability, maxInFlightRequests } = this.#options;
    const traffic = this.#trafficOf(brokerId);
    const throttleMs = traffic.throttledUntilMs - nowMs;
    // Asked in any case: it also has the connection made.
    const connected = port.isReady(brokerId);
    // A leader that can't be reached may be none any more; as in Java's client, only metadata will tell. What it
    // said when the connection broke may be older than the cluster's own notice.
    if (!connected) metadata.requestUpdate();
    const canSend = connected && throttleMs <= 0 && traffic.requests < maxInFlightRequests;
    availability.note(brokerId, nowMs, canSend);
    if (throttleMs > 0) return throttleMs;
    // Its readiness, or the answer to a request in flight, wakes us up.
    if (!canSend) return Number.POSITIVE_INFINITY;
    while (traffic.requests < maxInFlightRequests) {
      const batches = accumulator.drain(brokerId, nowMs);
      if (batches.length === 0) break;
      this.#send(brokerId, traffic, batches, nowMs);
    }
    return Number.POSITIVE_INFINITY;
  }

  #send(brokerId: number, traffic: BrokerTraffic, batches: QueuedBatch[], nowMs: number): void {
    const { port, producerIds, stats, mistakes, produce } = this.#options;
    for (const batch of batches) {
      if (producerIds !== undefined) batch.queue.assignSequence(batch);
      if (batch.attempts === 0) {
        mistakes.batchSent(batch.recordCount, nowMs);
        const queuedMs = nowMs - batch.createdAtMs;
        stats.recordQueueTimeTotalMs += queuedMs;
        stats.batchQueuedTotal++;
        stats.recordQueueTimeMaxMs = Math.max(stats.recordQueueTimeMaxMs, queuedMs);
      }
    }
    stats.requestTotal++;
    stats.requestsInFlight++;
    traffic.requests++;
    port.produce(brokerId, batches, produce).then(
      (response) => {
        this.#onResponse(traffic, batches, response, nowMs);
      },
      (error: unknown) => {
        this.#onFailure(traffic, batches, error);
      },
    );
  }

  #onResponse(
    traffic: BrokerTraffic,
    batches: readonly QueuedBatch[],
    response: ProduceResponse,
    sentAtMs: number,
  ): void {
    const { metadata, results, stats, nowMs, wakeup } = this.#options;
    const now = nowMs();
    traffic.requests--;
    stats.requestsInFlight--;
    stats.requestLatencyTotalMs += now - sentAtMs;
    stats.requestLatencyMaxMs = Math.max(stats.requestLatencyMaxMs, now - sentAtMs);
    for (const batch of batches) {
      stats.batchSendTotal++;
      stats.requestRecordTotal += batch.recordCount;
      stats.uncompressedByteTotal += batch.records.length;
      stats.outgoingByteTotal += batch.compressed?.bytes.length ?? batch.records.length;
    }
    if (response.throttleTimeMs > 0) {
      traffic.throttledUntilMs = now + response.throttleTimeMs;
      stats.produceThrottleTimeTotalMs += response.throttleTimeMs;
    }
    metadata.addBrokers(response.endpoints);
    const queues = new Set<PartitionQueue>();
    batches.forEach((batch, index) => {
      queues.add(batch.queue);
      results.onAnswer(batch, response.partitions[index], now);
    });
    results.settle(queues);
    wakeup();
  }

  /** No answer: every batch of the request may be in Kafka, or not. */
  #onFailure(traffic: BrokerTraffic, batches: readonly QueuedBatch[], thrown: unknown): void {
    const { metadata, results, stats, nowMs, wakeup } = this.#options;
    const error =
      thrown instanceof ProducerError
        ? thrown
        : new BrokerUnavailableError(`the request failed: ${errorMessage(thrown)}`, { cause: thrown });
    traffic.requests--;
    stats.requestsInFlight--;
    stats.requestErrorTotal++;
    const queues = new Set<PartitionQueue>();
    for (const batch of batches) {
      queues.add(batch.queue);
      results.onNoAnswer(batch, error, nowMs());
    }
    results.settle(queues);
    metadata.requestUpdate();
    wakeup();
  }

  #trafficOf(brokerId: number): BrokerTraffic {
    let traffic = this.#traffic.get(brokerId);
    if (traffic === undefined) {
      traffic = { requests: 0, throttledUntilMs: Number.NEGATIVE_INFINITY };
      this.#traffic.set(brokerId, traffic);
    }
    return traffic;
  }
}
