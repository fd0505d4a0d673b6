import { SluiceError } from '../core/errors.ts';

/**
 * Why a record was not, or can't be, delivered. `retriable` says that the same record may succeed later, in
 * the sense of the Kafka protocol guide's error table.
 */
export class ProducerError extends SluiceError {
  readonly retriable: boolean;
  /** The fault is this record's own: the same record would fail again, others on the same way will not. */
  readonly isRecordFault: boolean;

  constructor(
    code: string,
    message: string,
    options?: ErrorOptions & { readonly retriable?: boolean; readonly isRecordFault?: boolean },
  ) {
    super(code, message, options);
    this.retriable = options?.retriable ?? false;
    this.isRecordFault = options?.isRecordFault ?? false;
  }
}

/** The record can never fit: it is over max.request.size, over buffer.memory, or over the broker's limit. */
export class RecordTooLargeError extends ProducerError {
  readonly topic: string;
  /** Upper bound of the record's size in a batch of its own, bytes. */
  readonly sizeBytes: number;

  constructor(topic: string, sizeBytes: number, limit: string, options?: ErrorOptions) {
    super('RECORD_TOO_LARGE', `a record of ${sizeBytes} bytes for topic '${topic}' is larger than ${limit}`, {
      ...options,
      isRecordFault: true,
    });
    this.topic = topic;
    this.sizeBytes = sizeBytes;
  }
}

/** The record itself is wrong: a partition that the topic doesn't have, a timestamp that is no timestamp. */
export class InvalidRecordError extends ProducerError {
  constructor(topic: string, reason: string, options?: ErrorOptions) {
    super('INVALID_RECORD', `a record for topic '${topic}' can't be sent: ${reason}`, {
      ...options,
      isRecordFault: true,
    });
  }
}

/** `close()` was called: the record was not taken, or was not delivered before the time was up. */
export class ProducerClosedError extends ProducerError {
  constructor(message = 'the producer is closed') {
    super('PRODUCER_CLOSED', message);
  }
}

/** The record's partition doesn't exist any more: its topic was deleted, and created anew with fewer partitions. */
export class PartitionGoneError extends ProducerError {
  constructor(topic: string, partition: number) {
    super(
      'PARTITION_GONE',
      `partition ${partition} doesn't exist any more: topic '${topic}' was created anew with fewer partitions`,
    );
  }
}

/** Time ran out: before the record was taken, or before it was delivered. */
export class TimeoutError extends ProducerError {}

/** delivery.timeout.ms passed. `cause` is the last error that kept the batch from being delivered, if any. */
export class DeliveryTimeoutError extends TimeoutError {
  constructor(partition: string, afterMs: number, cause: ProducerError | undefined, maybeDelivered: boolean) {
    const why = cause === undefined ? 'it was never sent' : `last error: ${cause.message}`;
    const doubt = maybeDelivered ? '; Kafka may hold it nevertheless' : '';
    super(
      'DELIVERY_TIMEOUT',
      `a batch for ${partition} was not delivered within delivery.timeout.ms (${afterMs} ms); ${why}${doubt}`,
      cause === undefined ? undefined : { cause },
    );
  }
}

/** What a record waited for in vain. */
export type BlockedBy = 'metadata' | 'memory' | 'serializer';

/**
 * max.block.ms passed before the record could be taken. Nothing of it was sent: it may be sent again.
 * `blockedBy` says what was missing: the topic's metadata, room in buffer.memory, or what its serializer needs.
 */
export class MaxBlockTimeoutError extends TimeoutError {
  readonly blockedBy: BlockedBy;

  constructor(blockedBy: BlockedBy, message: string, options?: ErrorOptions) {
    super('MAX_BLOCK_TIMEOUT', message, { ...options, retriable: true });
    this.blockedBy = blockedBy;
  }
}

/** No answer, or no connection: whether the broker acted is unknown. */
export class BrokerUnavailableError extends ProducerError {
  constructor(message: string, options?: ErrorOptions) {
    super('BROKER_UNAVAILABLE', message, { ...options, retriable: true });
  }
}

/** The broker is too old, or not a Kafka broker at all. */
export class UnsupportedBrokerError extends ProducerError {
  constructor(message: string) {
    super('UNSUPPORTED_BROKER', message);
  }
}
