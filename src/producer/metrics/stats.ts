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
}
