import { crc32 } from 'node:zlib';

/** One record of which the gateway says that Kafka has it. */
export interface AuditEntry {
  /** When Kafka's acknowledgement was passed on, by the gateway's clock; milliseconds since 1970-01-01 UTC. */
  readonly timeMs: number;
  readonly topic: string;
  readonly partition: number;
  /** -1: Kafka had the batch already and did not say where. */
  readonly offset: number;
  /** The record's key, which is the device's id as a rule; at most {@link KEY_BYTES} of it. */
  readonly key: Buffer | null;
  /** See {@link digestOf}. */
  readonly digest: number;
}

/** Entries that could not be written: what they were about can't be judged. */
export interface AuditGap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly entries: number;
}

/** Of a longer key the entry has the beginning; the digest is of all of it. */
export const KEY_BYTES = 128;

/** CRC-32 of the key and then of the value; nothing and no bytes are the same. */
export function digestOf(key: Uint8Array | null, value: Uint8Array | null): number {
  const ofKey = key === null ? 0 : crc32(key);
  return value === null ? ofKey : crc32(value, ofKey);
}
