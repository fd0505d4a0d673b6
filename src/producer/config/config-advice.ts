import type { ProducerConfig } from './config-table.ts';

/** Mistakes in a configuration that is legal. The codes are stable. */
export type AdviceCode =
  | 'NO_RETRIES'
  | 'NO_IDEMPOTENCE'
  | 'HARD_CODED_PARTITION'
  | 'OVERSIZED_FOR_REQUEST'
  | 'OVERSIZED_FOR_TOPIC'
  | 'SMALL_BATCHES';

/** A mistake, in terms of the setting that should change. */
export interface ConfigAdvice {
  readonly code: AdviceCode;
  /** Kafka's name. */
  readonly setting: string;
  readonly found: string;
  /** What would be better, and why. */
  readonly better: string;
}

/** What the producer is to be used for, as far as that is known. */
export interface IntendedUse {
  /** Bytes of key, value and headers of the largest record. */
  readonly largestRecordBytes?: number;
  /** The topics' max.message.bytes. */
  readonly topicMaxMessageBytes?: number;
}

/** A batch of less than this holds a few records at most, whatever the linger. */
const SMALL_BATCH_BYTES = 4_096;

/** The most common mistakes, as far as a configuration shows them; those of code are noticed by Mistakes. */
export function adviseOn(config: ProducerConfig, use: IntendedUse = {}): ConfigAdvice[] {
  return [...adviseOnSafety(config), ...adviseOnSizes(config, use), ...adviseOnBatches(config)];
}

function adviseOnSafety({ retries, enableIdempotence, acks }: ProducerConfig): ConfigAdvice[] {
  const advice: ConfigAdvice[] = [];
  if (retries === 0) {
    advice.push({
      code: 'NO_RETRIES',
      setting: 'retries',
      found: '0',
      better: 'nothing set: a leader that moves, or a connection that breaks, loses records without retries',
    });
  }
  if (!enableIdempotence) {
    // Without acks=all there can be no idempotence.
    const setting = acks === -1 ? 'enable.idempotence' : 'acks';
    advice.push({
      code: 'NO_IDEMPOTENCE',
      setting,
      found: acks === -1 ? 'false' : String(acks),
      better:
        acks === -1
          ? 'true: without it a record that is repeated may be there twice'
          : 'all: with less a broker that dies takes acknowledged records with it, and repeated ones may be there twice',
    });
  }
  return advice;
}

function adviseOnSizes(
  { maxRequestSizeBytes, compressionType }: ProducerConfig,
  { largestRecordBytes, topicMaxMessageBytes }: IntendedUse,
): ConfigAdvice[] {
  const advice: ConfigAdvice[] = [];
  if (largestRecordBytes !== undefined && largestRecordBytes > maxRequestSizeBytes) {
    advice.push({
      code: 'OVERSIZED_FOR_REQUEST',
      setting: 'max.request.size',
      found: String(maxRequestSizeBytes),
      better: `at least ${largestRecordBytes}, the size of the largest record: larger ones are refused`,
    });
  }
  const largest = Math.min(maxRequestSizeBytes, largestRecordBytes ?? maxRequestSizeBytes);
  // A broker looks at the compressed batch; what compresses well may pass, what doesn't will not.
  if (topicMaxMessageBytes !== undefined && largest > topicMaxMessageBytes) {
    const unless = compressionType === 'none' ? '' : ', unless it compresses well';
    advice.push({
      code: 'OVERSIZED_FOR_TOPIC',
      setting: 'max.request.size',
      found: String(maxRequestSizeBytes),
      better: `at most ${topicMaxMessageBytes}, the topic's max.message.bytes: the broker refuses what is larger${unless}`,
    });
  }
  return advice;
}

function adviseOnBatches({ lingerMs, batchSizeBytes }: ProducerConfig): ConfigAdvice[] {
  if (batchSizeBytes < SMALL_BATCH_BYTES) {
    return [
      {
        code: 'SMALL_BATCHES',
        setting: 'batch.size',
        found: String(batchSizeBytes),
        better: `${SMALL_BATCH_BYTES} or more: batches of a record or two cost many times the CPU, here and at the broker`,
      },
    ];
  }
  if (lingerMs > 0) return [];
  return [
    {
      code: 'SMALL_BATCHES',
      setting: 'linger.ms',
      found: '0',
      better:
        '5 or more: without linger most batches hold one record, which costs many times the CPU, here and at the broker',
    },
  ];
}

/**
 * Records whose partition does not depend on what they are about: one partition is named for all, or all have the
 * same key. One broker then does all the work, and more partitions don't help.
 */
export function adviseOnPartition(setting: string, found: string): ConfigAdvice {
  return {
    code: 'HARD_CODED_PARTITION',
    setting,
    found,
    better: 'a key that tells devices apart, or none: like this all records go to one partition',
  };
}
