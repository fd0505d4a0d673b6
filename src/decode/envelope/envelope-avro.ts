import { varint, type EnvelopeEncoder, type MetricHead } from './envelope-encoder.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';
import type { NormalisedMetric } from '../normalise/normaliser.ts';
import type { Quality } from '../normalise/metric-checks.ts';

interface AvroMetric extends MetricHead {
  /** Name, unit and quality, encoded. */
  readonly head: Uint8Array;
  readonly enumNames: ReadonlyMap<number, string> | undefined;
}

/** The branches of a metric's value, in the order of the schema, as zigzag varints. */
const NULL = 0;
const DOUBLE = 2;
const LONG = 4;
const BOOLEAN = 6;
const STRING = 8;
const BYTES = 10;

/** A block of one item: zigzag of 1. */
const ONE_ITEM = 2;
const MAX_VARINT = 10;

export const AVRO_CONTENT_TYPE = 'application/avro; schema=sluice.v1.Telemetry';

/**
 * Writes the envelope in Avro's binary encoding (Avro specification 1.12, "Binary Encoding") of
 * proto/sluice/v1/telemetry.avsc; a test reads it back with avsc. Each metric is an array block of its own, so that
 * nothing has to be counted beforehand. Unsigned integers from 2^63 up, for which Avro has no type, are text.
 */
export class AvroEnvelope implements EnvelopeEncoder {
  readonly contentType = AVRO_CONTENT_TYPE;
  #buffer = Buffer.allocUnsafeSlow(1_024);
  #position = 0;
  /** Whether the two optional fields before and after receivedAt have been written. */
  #hasObservedAt = false;
  #hasSequence = false;

  encodeDeviceId(deviceId: string): Uint8Array {
    return text(deviceId);
  }

  encodeConstants(deviceType: string, attributes: Iterable<readonly [string, string]>): Uint8Array {
    const entries = [...attributes].map(([name, value]) => Buffer.concat([text(name), text(value)]));
    const block = entries.length === 0 ? [] : [varint(entries.length * 2), ...entries];
    return Buffer.concat([text(deviceType), ...block, Uint8Array.of(0)]);
  }

  compileMetric({ slot, name, unit, enumNames }: NormalisedMetric, quality: Quality): AvroMetric {
    const head = Buffer.concat([text(name), text(unit ?? ''), Uint8Array.of(quality * 2)]);
    return { slot, head, enumNames };
  }

  begin(deviceId: Uint8Array, constants: Uint8Array): void {
    this.#position = 0;
    this.#reserve(deviceId.length + constants.length + 3 * (1 + MAX_VARINT));
    this.#copy(deviceId);
    this.#copy(constants);
    this.#hasObservedAt = false;
    this.#hasSequence = false;
  }

  observedAt(ms: number): void {
    this.#hasObservedAt = true;
    this.#byte(2);
    this.#milliseconds(ms);
  }

  receivedAt(ms: number): void {
    if (!this.#hasObservedAt) this.#byte(0);
    this.#milliseconds(ms);
  }

  sequence(low: number, high: number): void {
    // Avro's long ends at 2^63; a count from there on is left out.
    if (high < 0) return;
    this.#hasSequence = true;
    this.#byte(2);
    this.#long(low, high);
  }

  metric(metric: AvroMetric, values: FieldValues): void {
    const { slot, enumNames } = metric;
    switch (values.kind[slot]) {
      case ValueKind.Double: {
        const value = values.double[slot] as number;
        // NaN and the infinities are no measurements.
        if (!Number.isFinite(value)) return;
        this.#begin(metric, DOUBLE, 8);
        this.#position = this.#buffer.writeDoubleLE(value, this.#position);
        return;
      }
      case ValueKind.Int: {
        const name = enumNames?.get(values.low[slot] as number);
        if (name !== undefined) {
          this.#text(metric, name);
          return;
        }
        this.#begin(metric, LONG, MAX_VARINT);
        this.#long(values.low[slot] as number, values.high[slot] as number);
        return;
      }
      case ValueKind.Uint:
        this.#text(metric, String(values.integerAsBigInt(slot)));
        return;
      case ValueKind.Bool:
        this.#begin(metric, BOOLEAN, 1);
        this.#byte(values.low[slot] as number);
        return;
      case ValueKind.Text:
        this.#text(metric, values.text[slot] as string);
        return;
      case ValueKind.Utf8:
      case ValueKind.Bytes: {
        const start = values.start[slot] as number;
        const length = (values.end[slot] as number) - start;
        this.#begin(metric, values.kind[slot] === ValueKind.Bytes ? BYTES : STRING, MAX_VARINT + length);
        this.#long(length, 0);
        values.source.copy(this.#buffer, this.#position, start, start + length);
        this.#position += length;
        return;
      }
      default:
    }
  }

  missing(metric: AvroMetric): void {
    this.#begin(metric, NULL, 0);
  }

  finish(): Uint8Array {
    this.#reserve(2);
    if (!this.#hasSequence) this.#noSequence();
    // The end of the array.
    this.#byte(0);
    return this.#buffer.subarray(0, this.#position);
  }

  /** A metric up to its value, with room for `length` bytes of that. */
  #begin({ head }: AvroMetric, branch: number, length: number): void {
    this.#reserve(2 + head.length + 2 + length);
    if (!this.#hasSequence) this.#noSequence();
    this.#byte(ONE_ITEM);
    this.#copy(head);
    this.#byte(branch);
  }

  #noSequence(): void {
    this.#hasSequence = true;
    this.#byte(0);
  }

  #text(metric: AvroMetric, value: string): void {
    const length = Buffer.byteLength(value, 'utf8');
    this.#begin(metric, STRING, MAX_VARINT + length);
    this.#long(length, 0);
    this.#buffer.write(value, this.#position, length, 'utf8');
    this.#position += length;
  }

  #milliseconds(ms: number): void {
    this.#long(ms | 0, Math.floor(ms / 4_294_967_296));
  }

  /** A long of two halves: zigzag, then a varint. */
  #long(low: number, high: number): void {
    const sign = high >> 31;
    let rest = ((low << 1) ^ sign) >>> 0;
    let upper = (((high << 1) | (low >>> 31)) ^ sign) >>> 0;
    while (upper !== 0) {
      this.#byte((rest & 0x7f) | 0x80);
      rest = ((rest >>> 7) | (upper << 25)) >>> 0;
      upper >>>= 7;
    }
    while (rest > 0x7f) {
      this.#byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.#byte(rest);
  }

  #byte(value: number): void {
    this.#buffer[this.#position++] = value;
  }

  #copy(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#position);
    this.#position += bytes.length;
  }

  #reserve(length: number): void {
    if (this.#position + length <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * (this.#position + length));
    this.#buffer.copy(larger, 0, 0, this.#position);
    this.#buffer = larger;
  }
}

function text(value: string): Uint8Array {
  const bytes = Buffer.from(value, 'utf8');
  // Lengths are zigzag too.
  return Buffer.concat([varint(bytes.length * 2), bytes]);
}
