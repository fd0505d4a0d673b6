import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { PartitionQueue, QueuedBatch } from '../batches/partition-queue.ts';
import { BatchState } from '../batches/producer-batch.ts';
import type { RecordAccumulator } from '../batches/record-accumulator.ts';
import { KafkaError, KafkaErrorCode } from '../cluster/kafka-errors.ts';
import type { Metadata } from '../cluster/metadata.ts';
import type { PartitionResponse, RecordFault } from '../cluster/port.ts';
import {
  BrokerUnavailableError,
  DeliveryTimeoutError,
  PartitionGoneError,
  RecordTooLargeError,
} from '../errors.ts';
import type { ProducerError } from '../errors.ts';
import type { ProducerStats } from '../metrics.ts';

export interface ProduceResultsOptions {
  readonly accumulator: RecordAccumulator;
  readonly metadata: Metadata;
  readonly stats: ProducerStats;
  readonly logger: Logger;
  readonly idempotent: boolean;
  readonly retries: number;
  readonly deliveryTimeoutMs: number;
  /** Called when the partition has passed on results. */
  readonly onSettled: (queue: PartitionQueue) => void;
}

/** Faults of a destination that its owner can mend: a producer without a delivery timeout waits for that. */
const DESTINATION_FAULTS: readonly number[] = [
  KafkaErrorCode.TopicAuthorizationFailed,
  KafkaErrorCode.ClusterAuthorizationFailed,
  KafkaErrorCode.InvalidTopic,
];

const SEQUENCE_FAULTS: readonly number[] = [
  KafkaErrorCode.OutOfOrderSequenceNumber,
  KafkaErrorCode.UnknownProducerId,
  KafkaErrorCode.InvalidProducerEpoch,
];

const WARNING_INTERVAL_MS = 10_000;

/** Decides what becomes of a batch after each send: done, again, in parts, or failed. */
export class ProduceResults {
  readonly #options: ProduceResultsOptions;
  #lastWarningMs = Number.NEGATIVE_INFINITY;

  constructor(options: ProduceResultsOptions) {
    this.#options = options;
  }

  /** The broker's answer for a batch in flight; undefined when the response left the batch out. */
  onAnswer(batch: QueuedBatch, answer: PartitionResponse | undefined, nowMs: number): void {
    batch.unanswered = false;
    if (batch.state !== BatchState.InFlight) return; // failed in the meantime
    const { queue } = batch;
    if (answer === undefined) {
      this.onNoAnswer(batch, new BrokerUnavailableError('the response names no result for the batch'), nowMs);
      return;
    }
    switch (answer.errorCode) {
      case KafkaErrorCode.None:
        this.#succeed(batch, answer.baseOffset, answer.logAppendTimeMs);
        return;
      case KafkaErrorCode.DuplicateSequenceNumber:
        // An earlier send of the same batch got through. Where, the broker doesn't remember any more.
        this.#succeed(batch, -1n, -1);
        return;
      default:
    }
    const error = new KafkaError(
      answer.errorCode,
      `a batch for ${queue.topic}-${queue.partition}`,
      answer.errorMessage,
    );
    if (answer.recordFaults.length > 0) {
      this.#dropRecords(batch, answer.recordFaults, error, nowMs);
    } else if (error.isRecordFault) {
      this.#split(batch, error, nowMs);
    } else if (this.#options.idempotent && SEQUENCE_FAULTS.includes(answer.errorCode)) {
      // Behind a batch that has to go again this is only to be expected. In front of all others, it says that
      // the broker does not have what we thought it had, or lost what it knew of us.
      if (!queue.hasUnsettledBefore(batch)) queue.restartSequence();
      this.#retry(batch, error, nowMs);
    } else {
      this.#onError(batch, error, answer, nowMs);
    }
  }

  /** The request failed: whether the batch was appended is unknown. */
  onNoAnswer(batch: QueuedBatch, error: ProducerError, nowMs: number): void {
    batch.unanswered = false;
    if (batch.state !== BatchState.InFlight) return; // failed in the meantime
    batch.maybeDelivered = true;
    if (error.retriable) this.#retry(batch, error, nowMs);
    else this.#fail(batch, error, nowMs);
  }

  #onError(batch: QueuedBatch, error: KafkaError, answer: PartitionResponse, nowMs: number): void {
    const { metadata, deliveryTimeoutMs } = this.#options;
    const { queue } = batch;
    if (error.staleMetadata && !learnLeader(queue, answer)) {
      queue.leaderId = -1;
      metadata.requestUpdate();
    }
    // REQUEST_TIMED_OUT and NOT_ENOUGH_REPLICAS_AFTER_APPEND are answers, but the batch is in the leader's log. An
    // error that the broker has no name for may have come to it behind the append too.
    if (error.retriable || error.errorCode === KafkaErrorCode.UnknownServerError) batch.maybeDelivered = true;
    const waitsForOwner =
      deliveryTimeoutMs === Number.POSITIVE_INFINITY && DESTINATION_FAULTS.includes(error.errorCode);
    if (waitsForOwner) metadata.reportFault(metadata.topic(queue.topic), error);
    if (error.retriable || waitsForOwner) this.#retry(batch, error, nowMs);
    else this.#fail(batch, error, nowMs);
  }

  #succeed(batch: QueuedBatch, baseOffset: bigint, logAppendTimeMs: number): void {
    const { queue } = batch;
    queue.inFlight--;
    queue.acknowledged(batch);
    this.#options.stats.recordSendTotal += batch.recordCount;
    batch.finish({ baseOffset, logAppendTimeMs, error: undefined });
  }

  #retry(batch: QueuedBatch, error: ProducerError, nowMs: number): void {
    const { accumulator, stats, retries, deliveryTimeoutMs } = this.#options;
    if (nowMs - batch.createdAtMs >= deliveryTimeoutMs) {
      batch.lastError = error;
      this.#fail(batch, this.#deliveryTimeout(batch), nowMs);
      return;
    }
    if (batch.attempts >= retries) {
      this.#fail(batch, error, nowMs);
      return;
    }
    this.#warn(batch, error, nowMs);
    batch.lastError = error;
    stats.recordRetryTotal += batch.recordCount;
    accumulator.retry(batch, nowMs);
  }

  /** Fails a batch for good, in flight or waiting to go again. */
  #fail(batch: QueuedBatch, error: ProducerError, nowMs: number): void {
    const { queue } = batch;
    if (batch.state === BatchState.InFlight) queue.inFlight--;
    this.#warn(batch, error, nowMs);
    this.#options.stats.recordErrorTotal += batch.recordCount;
    // Its place in the sequence stays empty. Where it may have been appended after all, the broker's answer to
    // the next batch tells whether the sequence goes on or starts anew.
    if (batch.hasSequence && !batch.maybeDelivered) queue.restartSequence();
    batch.finish(failure(error));
  }

  /**
   * The batch is too large, or some record of it is wrong and the broker doesn't say which: its halves go again,
   * down to the single record that can't be sent.
   */
  #split(batch: QueuedBatch, cause: KafkaError, nowMs: number): void {
    const { accumulator, stats } = this.#options;
    const { queue, recordCount } = batch;
    if (recordCount === 1) {
      const limit = "the topic's max.message.bytes";
      const isTooLarge =
        cause.errorCode === KafkaErrorCode.MessageTooLarge ||
        cause.errorCode === KafkaErrorCode.RecordListTooLarge;
      const error = isTooLarge
        ? new RecordTooLargeError(queue.topic, batch.endPosition, limit, { cause })
        : cause;
      this.#fail(batch, error, nowMs);
      return;
    }
    const indexes = Array.from({ length: recordCount }, (_, index) => index);
    const middle = recordCount >> 1;
    queue.inFlight--;
    const parts = accumulator.regroup(batch, [indexes.slice(0, middle), indexes.slice(middle)]);
    // Together they fill exactly the place in the sequence that the whole batch had.
    let sequence = batch.baseSequence;
    for (const part of parts) {
      if (batch.hasSequence) sequence = part.inherit(batch, sequence);
    }
    stats.batchSplitTotal++;
  }

  /** The broker refused the batch because of some records (KIP-467): they fail, the others go again. */
  #dropRecords(batch: QueuedBatch, faults: readonly RecordFault[], cause: KafkaError, nowMs: number): void {
    const { accumulator, stats } = this.#options;
    const faulty = new Map(faults.map(({ index, message }) => [index, message]));
    const indexes = Array.from({ length: batch.recordCount }, (_, index) => index);
    const sound = indexes.filter((index) => !faulty.has(index));
    if (sound.length === 0 || sound.length === batch.recordCount) {
      this.#fail(batch, cause, nowMs);
      return;
    }
    const { queue } = batch;
    queue.inFlight--;
    // Runs of faulty and of sound records, each a batch of its own, so that results stay in order.
    const runs: number[][] = [];
    for (const index of indexes) {
      const run = runs.at(-1);
      if (run !== undefined && faulty.has(run[0] as number) === faulty.has(index)) run.push(index);
      else runs.push([index]);
    }
    const parts = accumulator.regroup(batch, runs);
    parts.forEach((part, i) => {
      const first = (runs[i] as number[])[0] as number;
      if (!faulty.has(first)) return;
      const what = `a record for ${queue.topic}-${queue.partition}`;
      stats.recordErrorTotal += part.recordCount;
      part.finish(failure(new KafkaError(cause.errorCode, what, faulty.get(first) ?? cause.message)));
    });
    stats.batchSplitTotal++;
    queue.restartSequence();
  }

  /**
   * Fails batches that have waited past delivery.timeout.ms. Those in flight too: whether Kafka has them will not
   * be known in time.
   * @returns milliseconds until the next one is due
   */
  expire(nowMs: number): number {
    const { accumulator, deliveryTimeoutMs } = this.#options;
    let nextMs = Number.POSITIVE_INFINITY;
    if (deliveryTimeoutMs === Number.POSITIVE_INFINITY) return nextMs;
    const touched = new Set<PartitionQueue>();
    for (const queue of accumulator.active) {
      for (const batch of [...queue.sent, ...queue.waiting]) {
        if (batch.state === BatchState.Done) continue;
        const restMs = batch.createdAtMs + deliveryTimeoutMs - nowMs;
        if (restMs > 0) {
          // Batches stand in the order of their making: the rest is younger.
          nextMs = Math.min(nextMs, restMs);
          break;
        }
        queue.withdraw(batch);
        if (batch.state === BatchState.InFlight) batch.maybeDelivered = true;
        this.#fail(batch, this.#deliveryTimeout(batch), nowMs);
        touched.add(queue);
      }
    }
    if (touched.size > 0) this.settle(touched);
    return nextMs;
  }

  /** The producer gives up: everything that has no result yet gets this one. */
  abandon(error: ProducerError): void {
    const queues = [...this.#options.accumulator.active];
    for (const queue of queues) {
      for (const batch of [...queue.sent, ...queue.waiting]) {
        if (batch.state === BatchState.Done) continue;
        queue.withdraw(batch);
        this.#options.stats.recordErrorTotal += batch.recordCount;
        batch.finish(failure(error));
      }
    }
    this.settle(queues);
  }

  /** These partitions don't exist any more: what they hold can never be delivered. */
  failGone(queues: readonly PartitionQueue[], nowMs: number): void {
    for (const queue of queues) {
      const error = new PartitionGoneError(queue.topic, queue.partition);
      for (const batch of [...queue.sent, ...queue.waiting]) {
        if (batch.state === BatchState.Done) continue;
        queue.withdraw(batch);
        if (batch.state === BatchState.InFlight) batch.maybeDelivered = true;
        this.#fail(batch, error, nowMs);
      }
      this.#options.accumulator.wake(queue);
    }
    this.settle(queues);
  }

  #deliveryTimeout(batch: QueuedBatch): DeliveryTimeoutError {
    const { topic, partition } = batch.queue;
    const { deliveryTimeoutMs } = this.#options;
    return new DeliveryTimeoutError(
      topic,
      partition,
      deliveryTimeoutMs,
      batch.lastError,
      batch.maybeDelivered,
    );
  }

  /** Passes results on in order, and wakes those who waited for the room. */
  settle(queues: Iterable<PartitionQueue>): void {
    for (const queue of queues) {
      const settled = this.#options.accumulator.settle(queue, (error) => {
        this.#options.logger.error({ reason: errorMessage(error) }, 'a callback of the producer threw');
      });
      if (settled.length === 0) continue;
      this.#options.onSettled(queue);
      this.#options.accumulator.wake(queue);
    }
  }

  /** One line now and then is enough: what fails, fails often. */
  #warn(batch: QueuedBatch, error: ProducerError, nowMs: number): void {
    const { logger } = this.#options;
    const fields = {
      topic: batch.queue.topic,
      partition: batch.queue.partition,
      code: error.code,
      reason: error.message,
      attempts: batch.attempts + 1,
    };
    logger.debug(fields, 'a batch was not delivered');
    if (nowMs - this.#lastWarningMs < WARNING_INTERVAL_MS) return;
    this.#lastWarningMs = nowMs;
    logger.warn(fields, 'batches are not being delivered; what can be repeated is');
  }
}

function failure(error: ProducerError) {
  return { baseOffset: -1n, logAppendTimeMs: -1, error };
}

/** Takes over the new leader if the answer names one that is not older than what we know (KIP-951). */
function learnLeader(queue: PartitionQueue, { currentLeader }: PartitionResponse): boolean {
  if (currentLeader === undefined || currentLeader.leaderId === -1) return false;
  if (currentLeader.leaderEpoch <= queue.leaderEpoch) return false;
  queue.leaderId = currentLeader.leaderId;
  queue.leaderEpoch = currentLeader.leaderEpoch;
  return true;
}
