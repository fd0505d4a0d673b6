import type { EnvelopeEncoder, MetricHead } from './envelope-encoder.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';
import type { NormalisedMetric } from '../normalise/normaliser.ts';
import { Quality } from '../normalise/metric-checks.ts';

interface JsonMetric extends MetricHead {
  /** Up to the value: `"temperature":{"unit":"Cel","value":`. */
  readonly text: string;
  /** The whole metric without a value. */
  readonly valueless: string;
  readonly enumNames: ReadonlyMap<number, string> | undefined;
}

export const JSON_CONTENT_TYPE = 'application/json; schema=sluice.v1.Telemetry';

/**
 * Writes the envelope as JSON (proto/sluice/v1/telemetry.schema.json): the names of the protobuf schema, metrics
 * by their names. Integers that a double doesn't hold exactly are text, bytes are base64.
 */
export class JsonEnvelope implements EnvelopeEncoder {
  readonly contentType = JSON_CONTENT_TYPE;
  #buffer = Buffer.allocUnsafeSlow(2_048);
  #position = 0;
  #text = '';
  #metrics = 0;

  encodeDeviceId(deviceId: string): Uint8Array {
    return Buffer.from(`{"device_id":${JSON.stringify(deviceId)}`, 'utf8');
  }

  encodeConstants(deviceType: string, attributes: Iterable<readonly [string, string]>): Uint8Array {
    const pairs = [...attributes].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
    return Buffer.from(
      `,"device_type":${JSON.stringify(deviceType)},"attributes":{${pairs.join(',')}}`,
      'utf8',
    );
  }

  compileMetric({ slot, name, unit, enumNames }: NormalisedMetric, quality: Quality): JsonMetric {
    const members = [
      ...(unit === undefined ? [] : [`"unit":${JSON.stringify(unit)}`]),
      ...(quality === Quality.OutOfRange ? ['"quality":"OUT_OF_RANGE"'] : []),
      ...(quality === Quality.Missing ? ['"quality":"MISSING"'] : []),
    ];
    const key = JSON.stringify(name);
    return {
      slot,
      text: `${key}:{${members.map((member) => `${member},`).join('')}"value":`,
      valueless: `${key}:{${members.join(',')}}`,
      enumNames,
    };
  }

  begin(deviceId: Uint8Array, constants: Uint8Array): void {
    const length = deviceId.length + constants.length;
    if (length > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(2 * length);
    this.#buffer.set(deviceId, 0);
    this.#buffer.set(constants, deviceId.length);
    this.#position = length;
    this.#text = '';
    this.#metrics = 0;
  }

  observedAt(ms: number): void {
    this.#text += `,"observed_at_ms":${ms}`;
  }

  receivedAt(ms: number): void {
    this.#text += `,"received_at_ms":${ms}`;
  }

  sequence(low: number, high: number): void {
    this.#text += `,"sequence":${integerText((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0))}`;
  }

  metric(metric: JsonMetric, values: FieldValues): void {
    const value = this.#value(metric, values);
    if (value !== undefined) this.#add(`${metric.text}${value}}`);
  }

  missing(metric: JsonMetric): void {
    this.#add(metric.valueless);
  }

  finish(): Uint8Array {
    const text = `${this.#text}${this.#metrics === 0 ? ',"metrics":{}}' : '}}'}`;
    // A character of a string takes 3 bytes of UTF-8 at most.
    const needed = this.#position + text.length * 3;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(2 * needed);
      this.#buffer.copy(larger, 0, 0, this.#position);
      this.#buffer = larger;
    }
    const end = this.#position + this.#buffer.write(text, this.#position, 'utf8');
    return this.#buffer.subarray(0, end);
  }

  #add(member: string): void {
    this.#text += this.#metrics === 0 ? `,"metrics":{${member}` : `,${member}`;
    this.#metrics++;
  }

  #value({ slot, enumNames }: JsonMetric, values: FieldValues): string | undefined {
    switch (values.kind[slot]) {
      case ValueKind.Double: {
        const value = values.double[slot] as number;
        // NaN and the infinities are no measurements.
        return Number.isFinite(value) ? String(value) : undefined;
      }
      case ValueKind.Int:
      case ValueKind.Uint: {
        const name = enumNames?.get(values.low[slot] as number);
        return name === undefined ? integerText(values.integerAsBigInt(slot)) : JSON.stringify(name);
      }
      case ValueKind.Bool:
        return values.low[slot] === 1 ? 'true' : 'false';
      case ValueKind.Utf8:
      case ValueKind.Text:
        return JSON.stringify(values.textAt(slot));
      case ValueKind.Bytes:
        return `"${values.source.toString('base64', values.start[slot], values.end[slot])}"`;
      default:
        return undefined;
    }
  }
}

function integerText(value: bigint): string {
  return Number.isSafeInteger(Number(value)) ? String(value) : `"${value}"`;
}
