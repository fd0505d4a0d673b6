import { errorMessage } from '../../core/errors.ts';
import type { QueuedBatch } from '../batches/partition-queue.ts';
import type { RecordAccumulator } from '../batches/record-accumulator.ts';
import type { Metadata } from '../cluster/metadata.ts';
import type { BrokerAvailability } from '../cluster/partitioner.ts';
import type { ProduceResponse } from '../cluster/port.ts';
import type { ProducerContext } from '../context.ts';
import { BrokerUnavailableError, ProducerError } from '../errors.ts';
import { countAnswered, countQueued } from '../metrics.ts';
import type { ProduceResults } from './produce-results.ts';
import type { ProducerIds } from './producer-ids.ts';

export interface SenderOptions {
  readonly accumulator: RecordAccumulator;
  readonly metadata: Metadata;
  /** undefined without idempotence. */
  readonly producerIds: ProducerIds | undefined;
  readonly results: ProduceResults;
  readonly availability: BrokerAvailability;
}

/** The requests on their way to one broker. */
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
  readonly #context: ProducerContext;
  readonly #options: SenderOptions;
  readonly #traffic = new Map<number, BrokerTraffic>();

  constructor(context: ProducerContext, options: SenderOptions) {
    this.#context = context;
    this.#options = options;
    context.port.onReadinessChange = () => this.#connectionsChanged();
  }

  /** @returns milliseconds until there will be something to do without any other event; Infinity for never */
  runOnce(nowMs: number): number {
    const { accumulator, metadata, producerIds, results } = this.#options;
    const expiryMs = results.expire(nowMs);
    const idsRestMs = this.#prepareSequences(nowMs);
    const ready = accumulator.ready(nowMs);
    if (ready.isLeaderless) metadata.requestUpdate();
    let nextMs = Math.min(expiryMs, idsRestMs, metadata.maybeUpdate(nowMs), ready.nextReadyMs);
    if (producerIds !== undefined && producerIds.current === undefined) return nextMs;
    for (const brokerId of ready.brokers) nextMs = Math.min(nextMs, this.#sendTo(brokerId, nowMs));
    return nextMs;
  }

  /**
   * Connections came or went. As in Java's client the producer looks for a cluster that is gone, even while there is
   * nothing to send. So its connection state tells soon that the cluster is back.
   */
  #connectionsChanged(): void {
    const { port, loop } = this.#context;
    if (port.connectionState().connectedBrokers === 0) this.#options.metadata.requestUpdate();
    loop.wakeup();
  }

  /** Has a producer id ready, and starts the epochs of partitions that need one and have nothing in flight. */
  #prepareSequences(nowMs: number): number {
    const { accumulator, producerIds } = this.#options;
    if (producerIds === undefined || accumulator.active.size === 0) return Number.POSITIVE_INFINITY;
    for (const queue of accumulator.active) {
      if (!queue.needsNewEpoch) continue;
      if (queue.epochsExhausted) {
        producerIds.discard(queue.producerId);
        continue;
      }
      queue.startSequences(queue.producerId, queue.producerEpoch + 1);
      this.#context.stats.epochBumpTotal++;
    }
    const restMs = producerIds.maybeRequest(nowMs);
    const id = producerIds.current;
    if (id === undefined) return restMs;
    for (const queue of accumulator.active) {
      const isNew = queue.producerId === -1n;
      const isWornOut = queue.needsNewEpoch && queue.producerId !== id.producerId;
      if (isNew || isWornOut) queue.startSequences(id.producerId, id.epoch);
    }
    return restMs;
  }

  /** Sends what is ready for the broker, request by request; milliseconds until more may be possible. */
  #sendTo(brokerId: number, nowMs: number): number {
    const { port, config } = this.#context;
    const { accumulator, metadata, availability } = this.#options;
    const traffic = this.#trafficOf(brokerId);
    const throttleMs = traffic.throttledUntilMs - nowMs;
    // Asked in any case: it also has the connection made.
    const connected = port.isReady(brokerId);
    // A leader that can't be reached may be none any more; as in Java's client, only metadata will tell. What it
    // said when the connection broke may be older than the cluster's own notice.
    if (!connected) metadata.requestUpdate();
    const hasRoom = () => traffic.requests < config.maxInFlightRequestsPerConnection;
    const canSend = connected && throttleMs <= 0 && hasRoom();
    availability.note(brokerId, nowMs, canSend);
    if (throttleMs > 0) return throttleMs;
    while (canSend && hasRoom()) {
      const batches = accumulator.drain(brokerId, nowMs);
      if (batches.length === 0) break;
      void this.#send(brokerId, traffic, batches, nowMs);
    }
    // The broker's readiness, or the answer to a request in flight, wakes us up.
    return Number.POSITIVE_INFINITY;
  }

  async #send(
    brokerId: number,
    traffic: BrokerTraffic,
    batches: readonly QueuedBatch[],
    nowMs: number,
  ): Promise<void> {
    const { port, stats, mistakes, loop } = this.#context;
    const { producerIds, results } = this.#options;
    for (const batch of batches) {
      if (producerIds !== undefined) batch.queue.assignSequence(batch);
      if (batch.attempts > 0) continue;
      mistakes.batchSent(batch.recordCount, nowMs);
      countQueued(stats, nowMs - batch.createdAtMs);
    }
    stats.requestTotal++;
    stats.requestsInFlight++;
    traffic.requests++;
    const response = await port.produce(brokerId, batches).catch(asProducerError);
    traffic.requests--;
    stats.requestsInFlight--;
    if (response instanceof ProducerError) this.#onFailure(batches, response);
    else this.#onResponse(traffic, batches, response, nowMs);
    // A request has one batch of a partition at most.
    results.settle(batches.map(({ queue }) => queue));
    loop.wakeup();
  }

  #onResponse(
    traffic: BrokerTraffic,
    batches: readonly QueuedBatch[],
    response: ProduceResponse,
    sentAtMs: number,
  ): void {
    const { stats, clock } = this.#context;
    const { metadata, results } = this.#options;
    const nowMs = clock.monotonicMs();
    countAnswered(stats, nowMs - sentAtMs, batches);
    if (response.throttleTimeMs > 0) {
      traffic.throttledUntilMs = nowMs + response.throttleTimeMs;
      stats.produceThrottleTimeTotalMs += response.throttleTimeMs;
    }
    metadata.addBrokers(response.endpoints);
    for (const [index, batch] of batches.entries()) {
      results.onAnswer(batch, response.partitions[index], nowMs);
    }
  }

  /** No answer: every batch of the request may be in Kafka, or not. */
  #onFailure(batches: readonly QueuedBatch[], error: ProducerError): void {
    const { stats, clock } = this.#context;
    const { metadata, results } = this.#options;
    stats.requestErrorTotal++;
    for (const batch of batches) results.onNoAnswer(batch, error, clock.monotonicMs());
    metadata.requestUpdate();
  }

  #trafficOf(brokerId: number): BrokerTraffic {
    const traffic = this.#traffic.get(brokerId) ?? {
      requests: 0,
      throttledUntilMs: Number.NEGATIVE_INFINITY,
    };
    this.#traffic.set(brokerId, traffic);
    return traffic;
  }
}

function asProducerError(thrown: unknown): ProducerError {
  if (thrown instanceof ProducerError) return thrown;
  return new BrokerUnavailableError(`the request failed: ${errorMessage(thrown)}`, { cause: thrown });
}
