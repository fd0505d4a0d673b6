import type { BufferFigures } from './producer-metrics.ts';
import type { ProducerStats } from './stats.ts';

/**
 * A producer's figures under the names that Kafka's Java client gives them (producer-metrics). Times are in
 * milliseconds, sizes in bytes. Java's averages are over the last half minute; these are over all time.
 * An average of nothing is 0.
 */
export interface KafkaMetrics {
  readonly 'record-send-total': number;
  readonly 'record-error-total': number;
  readonly 'record-retry-total': number;
  readonly 'batch-split-total': number;
  /** Of a batch as it is sent, compressed. */
  readonly 'batch-size-avg': number;
  readonly 'records-per-request-avg': number;
  readonly 'request-total': number;
  readonly 'request-latency-avg': number;
  readonly 'request-latency-max': number;
  /** From a batch's first record to its first send. */
  readonly 'record-queue-time-avg': number;
  readonly 'record-queue-time-max': number;
  /** Compressed by uncompressed size. */
  readonly 'compression-rate-avg': number;
  readonly 'outgoing-byte-total': number;
  readonly 'requests-in-flight': number;
  readonly 'produce-throttle-time-avg': number;
  readonly 'buffer-total-bytes': number;
  readonly 'buffer-available-bytes': number;
  /** Java's threads that wait for memory: here, callers. */
  readonly 'waiting-threads': number;
}

export function kafkaMetrics(stats: ProducerStats, buffer: BufferFigures, waiting: number): KafkaMetrics {
  const answered = stats.requestTotal - stats.requestErrorTotal - stats.requestsInFlight;
  return {
    'record-send-total': stats.recordSendTotal,
    'record-error-total': stats.recordErrorTotal,
    'record-retry-total': stats.recordRetryTotal,
    'batch-split-total': stats.batchSplitTotal,
    'batch-size-avg': average(stats.outgoingByteTotal, stats.batchSendTotal),
    'records-per-request-avg': average(stats.requestRecordTotal, answered),
    'request-total': stats.requestTotal,
    'request-latency-avg': average(stats.requestLatencyTotalMs, answered),
    'request-latency-max': stats.requestLatencyMaxMs,
    'record-queue-time-avg': average(stats.recordQueueTimeTotalMs, stats.batchQueuedTotal),
    'record-queue-time-max': stats.recordQueueTimeMaxMs,
    'compression-rate-avg': average(stats.outgoingByteTotal, stats.uncompressedByteTotal),
    'outgoing-byte-total': stats.outgoingByteTotal,
    'requests-in-flight': stats.requestsInFlight,
    'produce-throttle-time-avg': average(stats.produceThrottleTimeTotalMs, answered),
    'buffer-total-bytes': buffer.totalBytes,
    'buffer-available-bytes': buffer.availableBytes,
    'waiting-threads': waiting,
  };
}

function average(total: number, count: number): number {
  return count === 0 ? 0 : total / count;
}
