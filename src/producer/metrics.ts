import type { Metric } from '../core/metric.ts';
import type { ProducerBatch } from './batches/producer-batch.ts';

/**
 * What a producer counts, under the names that Kafka's users know (producer-metrics), in camel case. Totals only
 * grow; a reader takes differences. Plain numbers: reading them costs nothing.
 */
export class ProducerStats {
  /** Records that Kafka acknowledged. */
  recordSendTotal = 0;
  /** Records that failed for good. */
  recordErrorTotal = 0;
  /** Records in batches that had to go again, counted each time. */
  recordRetryTotal = 0;
  /** Batches sent, repetitions included. */
  batchSendTotal = 0;
  /** Batches split or regrouped because the broker would not take them whole. */
  batchSplitTotal = 0;
  /** Bytes of batches sent, before and after compression, headers not counted. */
  uncompressedByteTotal = 0;
  outgoingByteTotal = 0;
  /** Records in batches sent, repetitions included. */
  requestRecordTotal = 0;
  requestTotal = 0;
  requestErrorTotal = 0;
  /** Produce requests without an answer yet. */
  requestsInFlight = 0;
  /** Milliseconds from request to answer, summed over answered requests; and the longest so far. */
  requestLatencyTotalMs = 0;
  requestLatencyMaxMs = 0;
  /** Milliseconds from a batch's first record to its first send, summed over batches; and the longest so far. */
  recordQueueTimeTotalMs = 0;
  /** Batches that were sent at least once. */
  batchQueuedTotal = 0;
  recordQueueTimeMaxMs = 0;
  /** Milliseconds of pauses that brokers asked for (quotas). */
  produceThrottleTimeTotalMs = 0;
  /** Times that a partition's sequence was started anew under another epoch. */
  epochBumpTotal = 0;

  /** A batch leaves for the first time, so long after its first record. */
  countQueued(queuedMs: number): void {
    this.batchQueuedTotal++;
    this.recordQueueTimeTotalMs += queuedMs;
    this.recordQueueTimeMaxMs = Math.max(this.recordQueueTimeMaxMs, queuedMs);
  }

  /** A request was answered after so long. */
  countAnswered(latencyMs: number, batches: readonly ProducerBatch[]): void {
    this.requestLatencyTotalMs += latencyMs;
    this.requestLatencyMaxMs = Math.max(this.requestLatencyMaxMs, latencyMs);
    for (const { recordCount, records, compressed } of batches) {
      this.batchSendTotal++;
      this.requestRecordTotal += recordCount;
      this.uncompressedByteTotal += records.length;
      this.outgoingByteTotal += (compressed?.bytes ?? records).length;
    }
  }
}

/** Bytes of buffer.memory. */
export interface BufferFigures {
  readonly totalBytes: number;
  readonly availableBytes: number;
}

/** The producer's figures under the names that Kafka's users know (producer-metrics), in Prometheus' spelling. */
export function producerMetrics(stats: ProducerStats, buffer: () => BufferFigures): Metric[] {
  const metric = (kind: 'counter' | 'gauge', name: string, help: string, read: () => number): Metric => {
    return { name: `sluice_producer_${name}`, help, kind, read };
  };
  const counter = (name: string, help: string, read: () => number) =>
    metric('counter', `${name}_total`, help, read);
  const gauge = (name: string, help: string, read: () => number) => metric('gauge', name, help, read);
  return [
    counter('record_send', 'Records that Kafka acknowledged.', () => stats.recordSendTotal),
    counter('record_error', 'Records that failed for good.', () => stats.recordErrorTotal),
    counter('record_retry', 'Records in batches that had to go again.', () => stats.recordRetryTotal),
    counter('batch_send', 'Batches sent, repetitions included.', () => stats.batchSendTotal),
    counter('batch_split', 'Batches that the broker would not take whole.', () => stats.batchSplitTotal),
    counter('uncompressed_bytes', 'Bytes of batches before compression.', () => stats.uncompressedByteTotal),
    counter('outgoing_bytes', 'Bytes of batches sent.', () => stats.outgoingByteTotal),
    counter('request_records', 'Records in requests, repetitions included.', () => stats.requestRecordTotal),
    counter('request', 'Produce requests.', () => stats.requestTotal),
    counter('request_error', 'Produce requests that failed.', () => stats.requestErrorTotal),
    gauge('requests_in_flight', 'Produce requests without an answer yet.', () => stats.requestsInFlight),
    counter(
      'request_latency_seconds',
      'Time from request to answer, summed over requests.',
      () => stats.requestLatencyTotalMs / 1000,
    ),
    gauge(
      'request_latency_max_seconds',
      'Longest time from request to answer.',
      () => stats.requestLatencyMaxMs / 1000,
    ),
    counter(
      'record_queue_time_seconds',
      "Time from a batch's first record to its first send, summed over batches.",
      () => stats.recordQueueTimeTotalMs / 1000,
    ),
    counter('batch_queued', 'Batches sent at least once.', () => stats.batchQueuedTotal),
    gauge(
      'record_queue_time_max_seconds',
      "Longest time from a batch's first record to its first send.",
      () => stats.recordQueueTimeMaxMs / 1000,
    ),
    counter(
      'produce_throttle_time_seconds',
      'Pauses that brokers asked for.',
      () => stats.produceThrottleTimeTotalMs / 1000,
    ),
    counter('epoch_bump', "Times that a partition's sequence started anew.", () => stats.epochBumpTotal),
    gauge('buffer_total_bytes', 'buffer.memory.', () => buffer().totalBytes),
    gauge('buffer_available_bytes', 'What is free of buffer.memory.', () => buffer().availableBytes),
  ];
}

/**
 * A producer's figures under the names that Kafka's Java client gives them (producer-metrics). Times are in
 * milliseconds, sizes in bytes. Java's averages are over the last half minute; these are over all time.
 * An average of nothing is 0.
 */
export type KafkaMetrics = Readonly<ReturnType<typeof kafkaMetrics>>;

export function kafkaMetrics(stats: ProducerStats, buffer: BufferFigures, waiting: number) {
  const answered = stats.requestTotal - stats.requestErrorTotal - stats.requestsInFlight;
  return {
    'record-send-total': stats.recordSendTotal,
    'record-error-total': stats.recordErrorTotal,
    'record-retry-total': stats.recordRetryTotal,
    'batch-split-total': stats.batchSplitTotal,
    /** Of a batch as it is sent, compressed. */
    'batch-size-avg': average(stats.outgoingByteTotal, stats.batchSendTotal),
    'records-per-request-avg': average(stats.requestRecordTotal, answered),
    'request-total': stats.requestTotal,
    'request-latency-avg': average(stats.requestLatencyTotalMs, answered),
    'request-latency-max': stats.requestLatencyMaxMs,
    /** From a batch's first record to its first send. */
    'record-queue-time-avg': average(stats.recordQueueTimeTotalMs, stats.batchQueuedTotal),
    'record-queue-time-max': stats.recordQueueTimeMaxMs,
    /** Compressed by uncompressed size. */
    'compression-rate-avg': average(stats.outgoingByteTotal, stats.uncompressedByteTotal),
    'outgoing-byte-total': stats.outgoingByteTotal,
    'requests-in-flight': stats.requestsInFlight,
    'produce-throttle-time-avg': average(stats.produceThrottleTimeTotalMs, answered),
    'buffer-total-bytes': buffer.totalBytes,
    'buffer-available-bytes': buffer.availableBytes,
    /** Java's threads that wait for memory: here, callers. */
    'waiting-threads': waiting,
  };
}

function average(total: number, count: number): number {
  return count === 0 ? 0 : total / count;
}
