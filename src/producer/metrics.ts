import type { Metric } from '../core/metric.ts';
import type { ProducerBatch } from './batches/producer-batch.ts';

/**
 * What a producer counts, a row a figure: its name in Prometheus' spelling behind `sluice_producer_`, and what it is.
 * The figures' own names are those that Kafka's users know (producer-metrics), in camel case. Those that end with
 * `Total` or `TotalMs` only grow; times are in milliseconds here, and in seconds in Prometheus.
 */
const FIGURES = {
  recordSendTotal: ['record_send_total', 'Records that Kafka acknowledged.'],
  recordErrorTotal: ['record_error_total', 'Records that failed for good.'],
  recordRetryTotal: ['record_retry_total', 'Records in batches that had to go again.'],
  batchSendTotal: ['batch_send_total', 'Batches sent, repetitions included.'],
  batchSplitTotal: ['batch_split_total', 'Batches that the broker would not take whole.'],
  // Of batches without their headers.
  uncompressedByteTotal: ['uncompressed_bytes_total', 'Bytes of batches before compression.'],
  outgoingByteTotal: ['outgoing_bytes_total', 'Bytes of batches sent.'],
  requestRecordTotal: ['request_records_total', 'Records in requests, repetitions included.'],
  requestTotal: ['request_total', 'Produce requests.'],
  requestErrorTotal: ['request_error_total', 'Produce requests that failed.'],
  requestsInFlight: ['requests_in_flight', 'Produce requests without an answer yet.'],
  requestLatencyTotalMs: [
    'request_latency_seconds_total',
    'Time from request to answer, summed over requests.',
  ],
  requestLatencyMaxMs: ['request_latency_max_seconds', 'Longest time from request to answer.'],
  recordQueueTimeTotalMs: [
    'record_queue_time_seconds_total',
    "Time from a batch's first record to its first send, summed over batches.",
  ],
  batchQueuedTotal: ['batch_queued_total', 'Batches sent at least once.'],
  recordQueueTimeMaxMs: [
    'record_queue_time_max_seconds',
    "Longest time from a batch's first record to its first send.",
  ],
  produceThrottleTimeTotalMs: ['produce_throttle_time_seconds_total', 'Pauses that brokers asked for.'],
  epochBumpTotal: ['epoch_bump_total', "Times that a partition's sequence started anew."],
} as const;

/** The value of each figure. Plain numbers: reading them costs nothing. */
export type ProducerStats = Record<keyof typeof FIGURES, number>;

export function noStats(): ProducerStats {
  return Object.fromEntries(Object.keys(FIGURES).map((figure) => [figure, 0])) as ProducerStats;
}

/** A batch leaves for the first time, so long after its first record. */
export function countQueued(stats: ProducerStats, queuedMs: number): void {
  stats.batchQueuedTotal++;
  stats.recordQueueTimeTotalMs += queuedMs;
  stats.recordQueueTimeMaxMs = Math.max(stats.recordQueueTimeMaxMs, queuedMs);
}

/** A request with these batches was answered after so long. */
export function countAnswered(
  stats: ProducerStats,
  latencyMs: number,
  batches: readonly ProducerBatch[],
): void {
  stats.requestLatencyTotalMs += latencyMs;
  stats.requestLatencyMaxMs = Math.max(stats.requestLatencyMaxMs, latencyMs);
  for (const { recordCount, records, compressed } of batches) {
    stats.batchSendTotal++;
    stats.requestRecordTotal += recordCount;
    stats.uncompressedByteTotal += records.length;
    stats.outgoingByteTotal += (compressed?.bytes ?? records).length;
  }
}

/** Bytes of buffer.memory. */
export interface BufferFigures {
  readonly totalBytes: number;
  readonly availableBytes: number;
}

/** The producer's figures for Prometheus. */
export function producerMetrics(stats: ProducerStats, buffer: () => BufferFigures): Metric[] {
  const metric = (name: string, help: string, read: () => number): Metric => {
    const kind = name.endsWith('_total') ? 'counter' : 'gauge';
    return { name: `sluice_producer_${name}`, help, kind, read };
  };
  const figures = Object.entries(FIGURES) as [keyof ProducerStats, readonly [name: string, help: string]][];
  return [
    ...figures.map(([figure, [name, help]]) =>
      metric(name, help, () => stats[figure] / (figure.endsWith('Ms') ? 1_000 : 1)),
    ),
    metric('buffer_total_bytes', 'buffer.memory.', () => buffer().totalBytes),
    metric('buffer_available_bytes', 'What is free of buffer.memory.', () => buffer().availableBytes),
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
