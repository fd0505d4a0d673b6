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

type Advising = Generator<ConfigAdvice>;

function advice(code: AdviceCode, setting: string, found: unknown, better: string): ConfigAdvice {
  return { code, setting, found: String(found), better };
}

function* adviseOnSafety({ retries, enableIdempotence, acks }: ProducerConfig): Advising {
  if (retries === 0) {
    const why = 'a leader that moves, or a connection that breaks, loses records without retries';
    yield advice('NO_RETRIES', 'retries', retries, `nothing set: ${why}`);
  }
  if (enableIdempotence) return;
  // Without acks=all there can be no idempotence.
  if (acks === -1) {
    const better = 'true: without it a record that is repeated may be there twice';
    yield advice('NO_IDEMPOTENCE', 'enable.idempotence', false, better);
  } else {
    const better =
      'all: with less a broker that dies takes acknowledged records with it, and repeated ones may be there twice';
    yield advice('NO_IDEMPOTENCE', 'acks', acks, better);
  }
}

function* adviseOnSizes(config: ProducerConfig, use: IntendedUse): Advising {
  const { maxRequestSizeBytes, compressionType } = config;
  const { largestRecordBytes = maxRequestSizeBytes, topicMaxMessageBytes = Infinity } = use;
  if (largestRecordBytes > maxRequestSizeBytes) {
    const better = `at least ${largestRecordBytes}, the size of the largest record: larger ones are refused`;
    yield advice('OVERSIZED_FOR_REQUEST', 'max.request.size', maxRequestSizeBytes, better);
  }
  // A broker looks at the compressed batch; what compresses well may pass, what doesn't will not.
  if (Math.min(maxRequestSizeBytes, largestRecordBytes) > topicMaxMessageBytes) {
    const unless = compressionType === 'none' ? '' : ', unless it compresses well';
    const better = `at most ${topicMaxMessageBytes}, the topic's max.message.bytes: the broker refuses what is larger${unless}`;
    yield advice('OVERSIZED_FOR_TOPIC', 'max.request.size', maxRequestSizeBytes, better);
  }
}

function* adviseOnBatches({ lingerMs, batchSizeBytes }: ProducerConfig): Advising {
  if (batchSizeBytes < SMALL_BATCH_BYTES) {
    const why = 'batches of a record or two cost many times the CPU, here and at the broker';
    yield advice('SMALL_BATCHES', 'batch.size', batchSizeBytes, `${SMALL_BATCH_BYTES} or more: ${why}`);
  } else if (lingerMs === 0) {
    const why = 'without linger most batches hold one record, which costs many times the CPU';
    yield advice('SMALL_BATCHES', 'linger.ms', lingerMs, `5 or more: ${why}, here and at the broker`);
  }
}

/**
 * Records whose partition does not depend on what they are about: one partition is named for all, or all have the
 * same key. One broker then does all the work, and more partitions don't help.
 */
export function adviseOnPartition(setting: string, found: string): ConfigAdvice {
  const better = 'a key that tells devices apart, or none: like this all records go to one partition';
  return advice('HARD_CODED_PARTITION', setting, found, better);
}
