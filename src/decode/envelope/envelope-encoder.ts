import type { FieldValues } from '../formats/field-values.ts';
import type { NormalisedMetric } from '../normalise/normaliser.ts';
import type { Quality } from '../normalise/metric-checks.ts';

/** What an encoder has ready of a metric: its name, unit and quality as they stand in every message. */
export interface MetricHead {
  readonly slot: number;
}

/**
 * Writes one envelope after the other into the same buffer, in this order: `begin`, `observedAt` if it is known,
 * `receivedAt`, `sequence` if there is one, metrics, `finish`.
 */
export interface EnvelopeEncoder {
  /** The media type of the values. */
  readonly contentType: string;
  /** Encodes once what all messages of a device have. */
  encodeDeviceId(deviceId: string): Uint8Array;
  /** Encodes once what all messages of a device on a topic have. */
  encodeConstants(deviceType: string, attributes: Iterable<readonly [string, string]>): Uint8Array;
  /** Encodes once what all messages of a profile have. */
  compileMetric(metric: NormalisedMetric, quality: Quality): MetricHead;
  /** The bytes come from {@link encodeDeviceId}, with a frame before them where there is one, and {@link encodeConstants}. */
  begin(deviceId: Uint8Array, constants: Uint8Array): void;
  /** Whole milliseconds since 1970-01-01 UTC. */
  observedAt(ms: number): void;
  /** Whole milliseconds since 1970-01-01 UTC. */
  receivedAt(ms: number): void;
  /** The low and high 32 bits of a count. */
  sequence(low: number, high: number): void;
  /** Writes a metric if its slot holds a value. */
  metric(head: MetricHead, values: FieldValues): void;
  /** Writes a metric without a value. */
  missing(head: MetricHead): void;
  /** The envelope's bytes, valid until the next `begin`. */
  finish(): Uint8Array;
}

/** A number below 2^32 as a varint, for what is encoded once. */
export function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Uint8Array.from([...bytes, rest]);
}
