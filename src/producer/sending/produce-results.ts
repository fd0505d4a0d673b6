import { errorMessage } from '../../core/errors.ts';
import type { PartitionQueue, QueuedBatch } from '../batches/partition-queue.ts';
import { BatchState } from '../batches/producer-batch.ts';
import type { RecordAccumulator } from '../batches/record-accumulator.ts';
import { KafkaError, KafkaErrorCode } from '../cluster/kafka-errors.ts';
import type { Metadata } from '../cluster/metadata.ts';
import type { PartitionResponse, RecordFault } from '../cluster/port.ts';
import type { ProducerContext } from '../context.ts';
import {
  BrokerUnavailableError,
  DeliveryTimeoutError,
  PartitionGoneError,
  RecordTooLargeError,
} from '../errors.ts';
import type { ProducerError } from '../errors.ts';

/** Faults of a destination that its owner can mend: a producer without a delivery timeout waits for that. */
const DESTINATION_FAULTS: readonly number[] = [
  KafkaErrorCode.TOPIC_AUTHORIZATION_FAILED,
  KafkaErrorCode.CLUSTER_AUTHORIZATION_FAILED,
  KafkaErrorCode.INVALID_TOPIC_EXCEPTION,
];

const SIZE_FAULTS: readonly number[] = [
  KafkaErrorCode.MESSAGE_TOO_LARGE,
  KafkaErrorCode.RECORD_LIST_TOO_LARGE,
];

const SEQUENCE_FAULTS: readonly number[] = [
  KafkaErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
  KafkaErrorCode.UNKNOWN_PRODUCER_ID,
  KafkaErrorCode.INVALID_PRODUCER_EPOCH,
];

const WARNING_INTERVAL_MS = 10_000;

/** Decides after each send how a batch goes on: it is done, goes again whole or in parts, or has failed. */
export class ProduceResults {
  readonly #context: ProducerContext;
  readonly #accumulator: RecordAccumulator;
  readonly #metadata: Metadata;
  #lastWarningMs = Number.NEGATIVE_INFINITY;

  constructor(context: ProducerContext, accumulator: RecordAccumulator, metadata: Metadata) {
    this.#context = context;
    this.#accumulator = accumulator;
    this.#metadata = metadata;
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
    const { errorCode } = answer;
    if (errorCode === KafkaErrorCode.NONE) {
      this.#succeed(batch, answer.baseOffset, answer.logAppendTimeMs);
      return;
    }
    if (errorCode === KafkaErrorCode.DUPLICATE_SEQUENCE_NUMBER) {
      // An earlier send of the same batch got through. Where, the broker doesn't remember any more.
      this.#succeed(batch, -1n, -1);
      return;
    }
    const error = new KafkaError(errorCode, `a batch for ${nameOf(queue)}`, answer.errorMessage);
    if (answer.recordFaults.length > 0) {
      this.#dropRecords(batch, answer.recordFaults, error, nowMs);
    } else if (error.isRecordFault) {
      this.#split(batch, error, nowMs);
    } else if (this.#context.config.enableIdempotence && SEQUENCE_FAULTS.includes(errorCode)) {
      // Behind a batch that has to go again this is only to be expected. In front of all others, it says that
      // the broker does not have what we thought it had, or lost what it knew of us.
      if (queue.isOldest(batch)) queue.restartSequence();
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
    const { queue } = batch;
    if (error.staleMetadata && !learnLeader(queue, answer)) {
      queue.leaderId = -1;
      this.#metadata.requestUpdate();
    }
    // REQUEST_TIMED_OUT and NOT_ENOUGH_REPLICAS_AFTER_APPEND are answers, but the batch is in the leader's log. An
    // error that the broker has no name for may have come to it behind the append too.
    if (error.retriable || error.errorCode === KafkaErrorCode.UNKNOWN_SERVER_ERROR)
      batch.maybeDelivered = true;
    const waitsForOwner =
      this.#context.config.deliveryTimeoutMs === Number.POSITIVE_INFINITY &&
      DESTINATION_FAULTS.includes(error.errorCode);
    if (waitsForOwner) this.#metadata.reportFault(this.#metadata.topic(queue.topic), error);
    if (error.retriable || waitsForOwner) this.#retry(batch, error, nowMs);
    else this.#fail(batch, error, nowMs);
  }

  #succeed(batch: QueuedBatch, baseOffset: bigint, logAppendTimeMs: number): void {
    const { queue } = batch;
    queue.acknowledged(batch);
    this.#context.stats.recordSendTotal += batch.recordCount;
    queue.finish(batch, { baseOffset, logAppendTimeMs, error: undefined });
  }

  #retry(batch: QueuedBatch, error: ProducerError, nowMs: number): void {
    const { retries, deliveryTimeoutMs } = this.#context.config;
    const isLate = nowMs - batch.createdAtMs >= deliveryTimeoutMs;
    if (isLate || batch.attempts >= retries) {
      batch.lastError = error;
      this.#fail(batch, isLate ? this.#deliveryTimeout(batch) : error, nowMs);
      return;
    }
    this.#warn(batch, error, nowMs);
    batch.lastError = error;
    this.#context.stats.recordRetryTotal += batch.recordCount;
    this.#accumulator.reenqueue(batch, nowMs);
  }

  /** Fails a batch for good, wherever it stands. */
  #fail(batch: QueuedBatch, error: ProducerError, nowMs: number): void {
    this.#warn(batch, error, nowMs);
    // Its place in the sequence stays empty. Where it may have been appended after all, the broker's answer to
    // the next batch tells whether the sequence goes on or starts anew.
    if (batch.hasSequence && !batch.maybeDelivered) batch.queue.restartSequence();
    this.#finishFailed(batch, error);
  }

  #finishFailed(batch: QueuedBatch, error: ProducerError): void {
    this.#context.stats.recordErrorTotal += batch.recordCount;
    batch.queue.finish(batch, { baseOffset: -1n, logAppendTimeMs: -1, error });
  }

  /**
   * The batch is too large, or some record of it is wrong and the broker doesn't say which: its halves go again,
   * down to the single record that can't be sent.
   */
  #split(batch: QueuedBatch, cause: KafkaError, nowMs: number): void {
    const { queue, recordCount } = batch;
    if (recordCount === 1) {
      const limit = "the topic's max.message.bytes";
      const isTooLarge = SIZE_FAULTS.includes(cause.errorCode);
      const error = isTooLarge
        ? new RecordTooLargeError(queue.topic, batch.endPosition, limit, { cause })
        : cause;
      this.#fail(batch, error, nowMs);
      return;
    }
    const parts = this.#accumulator.splitAndReenqueue(batch, [0, recordCount >> 1]);
    // Together they fill exactly the place in the sequence that the whole batch had.
    let sequence = batch.baseSequence;
    for (const part of parts) {
      if (batch.hasSequence) sequence = part.inherit(batch, sequence);
    }
    this.#context.stats.batchSplitTotal++;
  }

  /** The broker refused the batch because of some records (KIP-467): they fail, the others go again. */
  #dropRecords(batch: QueuedBatch, faults: readonly RecordFault[], cause: KafkaError, nowMs: number): void {
    const faulty = new Map(faults.map(({ index, message }) => [index, message]));
    // Runs of faulty and of sound records, each a batch of its own, so that results stay in order.
    const indexes = Array.from({ length: batch.recordCount }, (_, index) => index);
    const starts = indexes.filter((index) => index === 0 || faulty.has(index) !== faulty.has(index - 1));
    if (starts.length === 1) {
      this.#fail(batch, cause, nowMs);
      return;
    }
    const { queue } = batch;
    const parts = this.#accumulator.splitAndReenqueue(batch, starts);
    for (const [i, start] of starts.entries()) {
      if (!faulty.has(start)) continue;
      const why = faulty.get(start) ?? cause.message;
      const error = new KafkaError(cause.errorCode, `a record for ${nameOf(queue)}`, why);
      this.#finishFailed(parts[i] as QueuedBatch, error);
    }
    this.#context.stats.batchSplitTotal++;
    queue.restartSequence();
  }

  /**
   * Fails batches that have waited past delivery.timeout.ms. Those in flight too: whether Kafka has them will not
   * be known in time.
   * @returns milliseconds until the next one is due
   */
  expire(nowMs: number): number {
    const { deliveryTimeoutMs } = this.#context.config;
    let nextMs = Number.POSITIVE_INFINITY;
    if (deliveryTimeoutMs === Number.POSITIVE_INFINITY) return nextMs;
    const touched = new Set<PartitionQueue>();
    for (const queue of this.#accumulator.active) {
      for (const batch of queue.unfinished()) {
        const restMs = batch.createdAtMs + deliveryTimeoutMs - nowMs;
        if (restMs > 0) {
          // Batches stand in the order of their making: the rest is younger.
          nextMs = Math.min(nextMs, restMs);
          break;
        }
        forgoAnswer(batch);
        this.#fail(batch, this.#deliveryTimeout(batch), nowMs);
        touched.add(queue);
      }
    }
    this.settle(touched);
    return nextMs;
  }

  /** The producer gives up: everything that has no result yet gets this one. */
  abandon(error: ProducerError): void {
    const queues = [...this.#accumulator.active];
    for (const batch of queues.flatMap((queue) => queue.unfinished())) this.#finishFailed(batch, error);
    this.settle(queues);
  }

  /** These partitions don't exist any more: what they hold can never be delivered. */
  failGone(queues: readonly PartitionQueue[]): void {
    const nowMs = this.#context.clock.monotonicMs();
    for (const queue of queues) {
      const error = new PartitionGoneError(queue.topic, queue.partition);
      for (const batch of queue.unfinished()) {
        forgoAnswer(batch);
        this.#fail(batch, error, nowMs);
      }
      this.#accumulator.wake(queue);
    }
    this.settle(queues);
  }

  #deliveryTimeout({ queue, lastError, maybeDelivered }: QueuedBatch): DeliveryTimeoutError {
    const { deliveryTimeoutMs } = this.#context.config;
    return new DeliveryTimeoutError(nameOf(queue), deliveryTimeoutMs, lastError, maybeDelivered);
  }

  /** Passes results on in order, and wakes those who waited for the room. */
  settle(queues: Iterable<PartitionQueue>): void {
    for (const queue of queues) {
      this.#accumulator.settle(queue, (error) =>
        this.#context.logger.error({ reason: errorMessage(error) }, 'a callback of the producer threw'),
      );
    }
  }

  /** One line now and then is enough: what fails, fails often. */
  #warn(batch: QueuedBatch, error: ProducerError, nowMs: number): void {
    const { logger } = this.#context;
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

function nameOf({ topic, partition }: PartitionQueue): string {
  return `${topic}-${partition}`;
}

/** The batch fails without its answer, if it is in flight: whether Kafka has it will not be known. */
function forgoAnswer(batch: QueuedBatch): void {
  if (batch.state === BatchState.InFlight) batch.maybeDelivered = true;
}

/** Takes over the new leader if the answer names one that is not older than what we know (KIP-951). */
function learnLeader(queue: PartitionQueue, { currentLeader }: PartitionResponse): boolean {
  if (currentLeader === undefined || currentLeader.leaderId === -1) return false;
  if (currentLeader.leaderEpoch <= queue.leaderEpoch) return false;
  queue.leaderId = currentLeader.leaderId;
  queue.leaderEpoch = currentLeader.leaderEpoch;
  return true;
}
