import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { errorMessage, SluiceError } from '../../core/errors.ts';
import type { OutputFormat } from '../../core/profile/output-spec.ts';
import { loadAvroSchema } from '../formats/avro.ts';
import { loadMessageType } from '../protobuf/message-type.ts';
import { AVRO_CONTENT_TYPE, AvroEnvelope } from './envelope-avro.ts';
import type { EnvelopeEncoder } from './envelope-encoder.ts';
import { JSON_CONTENT_TYPE, JsonEnvelope } from './envelope-json.ts';
import { PROTOBUF_CONTENT_TYPE, ProtobufEnvelope } from './envelope-protobuf.ts';

/** The schemas that come with Sluice; the same place seen from src/decode/envelope and from dist/decode/envelope. */
const SCHEMAS = resolve(import.meta.dirname, '../../../proto/sluice/v1');

/** One encoding of the normalised envelope. */
interface Envelope {
  /** The media type of a record's value; a consumer tells by it what it has before it. */
  readonly contentType: string;
  /** What a Schema Registry calls schemas of this kind. */
  readonly schemaType: 'PROTOBUF' | 'JSON' | 'AVRO';
  readonly schemaFile: string;
  /** Of protobuf: Telemetry is the first message of its file. */
  readonly messageIndexes: readonly number[] | undefined;
  /** Writes envelopes, quickly. */
  encoder(): EnvelopeEncoder;
  /** Reads an envelope: for tools, not for speed. Throws what is wrong with the bytes. */
  parse(bytes: Uint8Array): PlainEnvelope;
}

const protobufType = once(() => loadMessageType(`${SCHEMAS}/telemetry.proto`, 'sluice.v1.Telemetry'));
const avroFormat = once(() => {
  const loaded = loadAvroSchema(`${SCHEMAS}/telemetry.avsc`);
  if ('problem' in loaded) throw new Error(loaded.problem);
  return loaded.schema.format;
});

/** Every encoding of the envelope: a row is all that there is to one. */
const ENVELOPES: Readonly<Record<OutputFormat, Envelope>> = {
  protobuf: {
    contentType: PROTOBUF_CONTENT_TYPE,
    schemaType: 'PROTOBUF',
    schemaFile: 'telemetry.proto',
    messageIndexes: [0],
    encoder: () => new ProtobufEnvelope(),
    parse: (bytes) => protobufType().decode(bytes),
  },
  json: {
    contentType: JSON_CONTENT_TYPE,
    schemaType: 'JSON',
    schemaFile: 'telemetry.schema.json',
    messageIndexes: undefined,
    encoder: () => new JsonEnvelope(),
    parse(bytes) {
      const { metrics, ...rest } = JSON.parse(Buffer.from(bytes).toString('utf8')) as JsonDocument;
      return { ...rest, metrics: Object.entries(metrics).map(([name, metric]) => ({ ...metric, name })) };
    },
  },
  avro: {
    contentType: AVRO_CONTENT_TYPE,
    schemaType: 'AVRO',
    schemaFile: 'telemetry.avsc',
    messageIndexes: undefined,
    encoder: () => new AvroEnvelope(),
    parse: (bytes) => avroFormat().parse(Buffer.from(bytes)) as PlainEnvelope,
  },
};

/** An envelope as the encodings have it. Protobuf leaves out what is zero. */
interface PlainEnvelope {
  readonly device_id?: string;
  readonly device_type?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly observed_at_ms?: number | bigint | null;
  readonly received_at_ms?: number | bigint;
  readonly sequence?: number | bigint | string | null;
  readonly metrics?: readonly PlainMetric[];
}

interface PlainMetric {
  readonly name?: string;
  readonly unit?: string;
  readonly quality?: string;
  /** Of JSON and Avro; protobuf has one of those below. */
  readonly value?: MetricValue | null;
  readonly double_value?: number;
  readonly int_value?: bigint;
  readonly bool_value?: boolean;
  readonly string_value?: string;
  readonly bytes_value?: Uint8Array;
  readonly uint_value?: bigint;
}

type JsonDocument = Omit<PlainEnvelope, 'metrics'> & {
  readonly metrics: Readonly<Record<string, PlainMetric>>;
};

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

/** The encoding of a record's value by its content type; undefined: it is no envelope. */
export function envelopeFormat(contentType: string | undefined): OutputFormat | undefined {
  const found = Object.entries(ENVELOPES).find(([, envelope]) => envelope.contentType === contentType);
  return found?.[0] as OutputFormat | undefined;
}

export function envelopeEncoder(format: OutputFormat): EnvelopeEncoder {
  return ENVELOPES[format].encoder();
}

/** The envelope's schema as a Schema Registry takes it. */
export function envelopeSchema(format: OutputFormat): {
  readonly type: Envelope['schemaType'];
  readonly text: string;
} {
  const { schemaType: type, schemaFile } = ENVELOPES[format];
  return { type, text: readFileSync(`${SCHEMAS}/${schemaFile}`, 'utf8') };
}

/** What Confluent's frame says besides the schema's id: which of its messages the envelope is. */
export function messageIndexesOf(format: OutputFormat): readonly number[] | undefined {
  return ENVELOPES[format].messageIndexes;
}

/**
 * Reads a normalised envelope: for tools, not for speed.
 * @throws SluiceError ENVELOPE_INVALID for bytes that are no envelope of that encoding
 */
export function readEnvelope(bytes: Uint8Array, format: OutputFormat = 'protobuf'): Telemetry {
  try {
    return telemetry(ENVELOPES[format].parse(bytes));
  } catch (error) {
    throw new SluiceError('ENVELOPE_INVALID', errorMessage(error), { cause: error });
  }
}

function telemetry({ metrics = [], observed_at_ms, sequence, ...envelope }: PlainEnvelope): Telemetry {
  const missing = metrics.flatMap(({ name = '', quality }) => (quality === 'MISSING' ? [name] : []));
  return {
    deviceId: envelope.device_id ?? '',
    deviceType: envelope.device_type ?? '',
    attributes: new Map(Object.entries(envelope.attributes ?? {})),
    observedAtMs:
      observed_at_ms === undefined || observed_at_ms === null ? undefined : Number(observed_at_ms),
    receivedAtMs: Number(envelope.received_at_ms ?? 0),
    sequence: sequence === undefined || sequence === null ? undefined : compact(BigInt(sequence)),
    metrics: metrics.flatMap((metric): TelemetryMetric[] => {
      const { name = '', unit, quality } = metric;
      const value = valueOf(metric);
      // None, or one that a later Sluice has added.
      if (value === undefined) return [];
      const marked = quality === 'OUT_OF_RANGE';
      const mark = marked && { quality: 'out-of-range' as const };
      return [{ name, unit: unit === '' ? undefined : unit, value, ...mark }];
    }),
    ...(missing.length > 0 && { missing }),
  };
}

function valueOf(metric: PlainMetric): MetricValue | undefined {
  const value =
    metric.value ??
    metric.double_value ??
    metric.int_value ??
    metric.uint_value ??
    metric.bool_value ??
    metric.string_value ??
    metric.bytes_value;
  return typeof value === 'bigint' ? compact(value) : value;
}

function compact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
