import type { SerializedRecord } from '../../core/record.ts';
import { InvalidRecordError, RecordTooLargeError, type ProducerError } from '../errors.ts';

/** A record without a time of its own (RecordBatch.NO_TIMESTAMP): every broker takes it. */
const NO_TIMESTAMP_MS = -1;

/** What of a producer's configuration bounds a single record; bytes. */
export interface RecordLimits {
  readonly maxRequestSizeBytes: number;
  readonly bufferMemoryBytes: number;
}

/**
 * Why a record can never be sent, whatever Kafka says of it; undefined: it can. `bytes` is its upper bound in a
 * batch of its own.
 */
export function neverSendable(
  { topic, timestampMs }: SerializedRecord,
  bytes: number,
  { maxRequestSizeBytes, bufferMemoryBytes }: RecordLimits,
): ProducerError | undefined {
  if (bytes > maxRequestSizeBytes) {
    return new RecordTooLargeError(topic, bytes, `max.request.size (${maxRequestSizeBytes})`);
  }
  if (bytes > bufferMemoryBytes) {
    return new RecordTooLargeError(topic, bytes, `buffer.memory (${bufferMemoryBytes})`);
  }
  if (!(timestampMs >= NO_TIMESTAMP_MS && Number.isSafeInteger(timestampMs))) {
    return new InvalidRecordError(topic, `${timestampMs} is not a timestamp in milliseconds`);
  }
  return undefined;
}
