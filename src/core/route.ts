import type { Publication } from './publication.ts';
import type { SerializedRecord } from './record.ts';

/**
 * When a device is acknowledged. `kafka`: the record's batch is acknowledged by Kafka. `receive`: the
 * publication has been read; what is in memory at a crash is lost.
 */
export type Contract = 'kafka' | 'receive';

export const CONTRACTS: readonly Contract[] = ['kafka', 'receive'];

/** Why a publication could not become a record. `code` is stable, for headers and metrics. */
export interface DecodeFault {
  readonly code: string;
  readonly message: string;
}

/** A device profile bound to one topic: everything that is known before a payload is looked at. */
export interface Route {
  /** The device type, as the profile names it. */
  readonly profile: string;
  readonly contract: Contract;
  /** The Kafka topic of what decodes, and of what doesn't. */
  readonly topic: string;
  readonly deadLetterTopic: string;
  /**
   * Decodes and normalises the publication into `record`, whose fields are valid until the next call of any
   * route. Returns undefined, or why it could not: the payload's fault. Never throws.
   */
  toRecord(publication: Publication, record: SerializedRecord): DecodeFault | undefined;
}

/** The Kafka topic of what could not become a record of `topic`. */
export function deadLetterTopicOf(topic: string): string {
  return `${topic}.dlq`;
}
