import type { Metric } from '../../core/metric.ts';
import type { ProducerStats } from './stats.ts';

/** Bytes of buffer.memory. */
export interface BufferFigures {
  readonly totalBytes: number;
  readonly availableBytes: number;
}

/** The producer's figures under the names that Kafka's users know (producer-metrics), in Prometheus' spelling. */
export function producerMetrics(stats: ProducerStats, buffer: () => BufferFigures): Metric[] {
  const counter = (name: string, help: string, read: () => number): Metric => ({
    name: `sluice_producer_${name}_total`,
    help,
    kind: 'counter',
    read,
  });
  const gauge = (name: string, help: string, read: () => number): Metric => ({
    name: `sluice_producer_${name}`,
    help,
    kind: 'gauge',
    read,
  });
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
