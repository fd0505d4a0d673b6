import { join, resolve } from 'node:path';
import { errorMessage, SluiceError } from '../../core/errors.ts';
import { loadAvroSchema } from '../formats/avro.ts';
import { AVRO_CONTENT_TYPE } from './envelope-avro.ts';
import { JSON_CONTENT_TYPE } from './envelope-json.ts';
import { ENVELOPE_CONTENT_TYPE } from './envelope.ts';
import { TelemetryReader, type MetricValue, type Telemetry, type TelemetryMetric } from './telemetry.ts';
import type { TreeFormat } from '../formats/tree-reader.ts';

/** The same place seen from src/decode and from dist/decode. */
const AVRO_SCHEMA = resolve(join(import.meta.dirname, '../../../proto/sluice/v1/telemetry.avsc'));

/** An envelope as JSON and Avro have it; Avro's metrics are a list, JSON's a map. */
interface PlainEnvelope {
  readonly device_id: string;
  readonly device_type: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly observed_at_ms?: number | bigint | null;
  readonly received_at_ms: number | bigint;
  readonly sequence?: number | bigint | string | null;
}

interface PlainMetric {
  readonly unit?: string;
  readonly quality?: string;
  readonly value?: MetricValue | null;
}

/** Reads normalised envelopes in every format that Sluice writes: for tools, not for speed. */
export class EnvelopeReader {
  readonly #protobuf = new TelemetryReader();
  #avro: TreeFormat | undefined;

  /**
   * `contentType` is the record's header.
   * @throws SluiceError ENVELOPE_INVALID for bytes that are no envelope of that type
   * @returns undefined where the type is not one of an envelope
   */
  read(contentType: string, bytes: Uint8Array): Telemetry | undefined {
    try {
      switch (contentType) {
        case ENVELOPE_CONTENT_TYPE:
          return this.#protobuf.read(bytes);
        case JSON_CONTENT_TYPE: {
          const parsed = JSON.parse(Buffer.from(bytes).toString('utf8')) as PlainEnvelope & {
            readonly metrics: Readonly<Record<string, PlainMetric>>;
          };
          return telemetry(parsed, Object.entries(parsed.metrics));
        }
        case AVRO_CONTENT_TYPE: {
          this.#avro ??= avroFormat();
          const parsed = this.#avro.parse(Buffer.from(bytes)) as PlainEnvelope & {
            readonly metrics: readonly (PlainMetric & { readonly name: string })[];
          };
          return telemetry(
            parsed,
            parsed.metrics.map((metric) => [metric.name, metric]),
          );
        }
        default:
          return undefined;
      }
    } catch (error) {
      throw new SluiceError('ENVELOPE_INVALID', errorMessage(error), { cause: error });
    }
  }
}

function avroFormat(): TreeFormat {
  const loaded = loadAvroSchema(AVRO_SCHEMA);
  if ('problem' in loaded) throw new Error(loaded.problem);
  return loaded.schema.format;
}

function telemetry(envelope: PlainEnvelope, metrics: readonly (readonly [string, PlainMetric])[]): Telemetry {
  const missing = metrics.flatMap(([name, { quality }]) => (quality === 'MISSING' ? [name] : []));
  const { observed_at_ms: observedAt, sequence } = envelope;
  return {
    deviceId: envelope.device_id,
    deviceType: envelope.device_type,
    attributes: new Map(Object.entries(envelope.attributes)),
    observedAtMs: observedAt === undefined || observedAt === null ? undefined : Number(observedAt),
    receivedAtMs: Number(envelope.received_at_ms),
    sequence: sequence === undefined || sequence === null ? undefined : compact(BigInt(sequence)),
    metrics: metrics.flatMap(([name, { unit, quality, value }]): TelemetryMetric[] => {
      if (value === undefined || value === null) return [];
      return [
        {
          name,
          unit: unit === '' ? undefined : unit,
          value: typeof value === 'bigint' ? compact(value) : value,
          ...(quality === 'OUT_OF_RANGE' && { quality: 'out-of-range' as const }),
        },
      ];
    }),
    ...(missing.length > 0 && { missing }),
  };
}

function compact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
