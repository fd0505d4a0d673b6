import { join, resolve } from 'node:path';
import { errorMessage, SluiceError } from '../../core/errors.ts';
import { loadMessageType, type MessageType } from '../protobuf/protobuf.ts';

/** The value of a metric. Integers beyond 2^53 are bigint. */
export type MetricValue = number | bigint | boolean | string | Uint8Array;

export interface TelemetryMetric {
  readonly name: string;
  /** UCUM code; undefined for a value without unit. */
  readonly unit: string | undefined;
  readonly value: MetricValue;
  /** Only where a check of the profile found something. */
  readonly quality?: 'out-of-range';
}

/** A normalised envelope, read: sluice.v1.Telemetry. */
export interface Telemetry {
  readonly deviceId: string;
  readonly deviceType: string;
  readonly attributes: ReadonlyMap<string, string>;
  /** By the device's clock, milliseconds since 1970-01-01 UTC; undefined when it gave no time. */
  readonly observedAtMs: number | undefined;
  /** By the gateway's clock, milliseconds since 1970-01-01 UTC. */
  readonly receivedAtMs: number;
  readonly sequence: number | bigint | undefined;
  readonly metrics: readonly TelemetryMetric[];
  /** Names of metrics that the profile requires and the message lacks; only where there are any. */
  readonly missing?: readonly string[];
}

/** The schema that comes with Sluice; the same place seen from src/decode and from dist/decode. */
const SCHEMA = resolve(join(import.meta.dirname, '../../../proto/sluice/v1/telemetry.proto'));

interface EnvelopeMessage {
  readonly device_id?: string;
  readonly device_type?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly observed_at_ms?: bigint;
  readonly received_at_ms?: bigint;
  readonly sequence?: bigint;
  readonly metrics?: readonly MetricMessage[];
}

interface MetricMessage {
  readonly name?: string;
  readonly unit?: string;
  readonly double_value?: number;
  readonly int_value?: bigint;
  readonly bool_value?: boolean;
  readonly string_value?: string;
  readonly bytes_value?: Uint8Array;
  readonly uint_value?: bigint;
  readonly quality?: number | string;
}

/** Reads normalised envelopes: for tools, not for speed. */
export class TelemetryReader {
  readonly #type: MessageType = loadMessageType(SCHEMA, 'sluice.v1.Telemetry');

  /** Throws SluiceError ENVELOPE_INVALID for bytes that are no envelope. */
  read(bytes: Uint8Array): Telemetry {
    let message: EnvelopeMessage;
    try {
      message = this.#type.decode(bytes);
    } catch (error) {
      throw new SluiceError('ENVELOPE_INVALID', errorMessage(error), { cause: error });
    }
    const missing = (message.metrics ?? []).flatMap(({ name, quality }) =>
      quality === 2 || quality === 'MISSING' ? [name ?? ''] : [],
    );
    return {
      deviceId: message.device_id ?? '',
      deviceType: message.device_type ?? '',
      attributes: new Map(Object.entries(message.attributes ?? {})),
      observedAtMs: message.observed_at_ms === undefined ? undefined : Number(message.observed_at_ms),
      receivedAtMs: Number(message.received_at_ms ?? 0n),
      sequence: message.sequence === undefined ? undefined : compact(message.sequence),
      metrics: (message.metrics ?? []).flatMap((metric) => {
        const value = valueOf(metric);
        // A case of the oneof that a later Sluice has added.
        if (value === undefined) return [];
        const { name = '', unit, quality } = metric;
        const marked = quality === 1 || quality === 'OUT_OF_RANGE';
        return [{ name, unit, value, ...(marked && { quality: 'out-of-range' as const }) }];
      }),
      ...(missing.length > 0 && { missing }),
    };
  }
}

/** Reads one normalised envelope. For many of them keep a {@link TelemetryReader}: it loads the schema once. */
export function decodeEnvelope(bytes: Uint8Array): Telemetry {
  return new TelemetryReader().read(bytes);
}

function valueOf(metric: MetricMessage): MetricValue | undefined {
  const integer = metric.int_value ?? metric.uint_value;
  if (integer !== undefined) return compact(integer);
  return metric.double_value ?? metric.bool_value ?? metric.string_value ?? metric.bytes_value;
}

function compact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
