import { varint, type EnvelopeEncoder, type MetricHead } from './envelope-encoder.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';
import type { NormalisedMetric } from '../normalise/normaliser.ts';
import { Quality } from '../normalise/metric-checks.ts';

/*
 * Writes sluice.v1.Telemetry (proto/sluice/v1/telemetry.proto). The numbers here are that file's; a test
 * holds the two together by reading back with protobufjs what is written here.
 */

const DEVICE_ID = (1 << 3) | 2;
const DEVICE_TYPE = (2 << 3) | 2;
const ATTRIBUTES = (3 << 3) | 2;
const OBSERVED_AT_MS = (4 << 3) | 0;
const RECEIVED_AT_MS = (5 << 3) | 0;
const SEQUENCE = (6 << 3) | 0;
const METRICS = (7 << 3) | 2;

const NAME = (1 << 3) | 2;
const UNIT = (2 << 3) | 2;
const DOUBLE_VALUE = (3 << 3) | 1;
const INT_VALUE = (4 << 3) | 0;
const BOOL_VALUE = (5 << 3) | 0;
const STRING_VALUE = (6 << 3) | 2;
const BYTES_VALUE = (7 << 3) | 2;
const UINT_VALUE = (8 << 3) | 0;
const QUALITY = (9 << 3) | 0;

const ENTRY_KEY = (1 << 3) | 2;
const ENTRY_VALUE = (2 << 3) | 2;

export const PROTOBUF_CONTENT_TYPE = 'application/protobuf; proto=sluice.v1.Telemetry';

/** No varint of 64 bits is longer. */
const MAX_VARINT = 10;
/** Times and sequence, with their tags. */
const MAX_NUMBERS = 3 * (1 + MAX_VARINT);

/** A metric's name and unit as they stand in every message, and what goes with them. */
interface ProtobufMetric extends MetricHead {
  /** Name and unit, and the quality unless it is good, encoded. */
  readonly head: Uint8Array;
  /** Everything of a metric with a double value but the value. */
  readonly doubleHead: Uint8Array;
  /** Of an enum: the whole metric for each of its numbers. */
  readonly enumMetrics: ReadonlyMap<number, Uint8Array> | undefined;
}

/**
 * Writes one envelope after the other into the same buffer: `begin`, then the fields, then `finish`, whose
 * bytes are valid until the next `begin`.
 */
export class ProtobufEnvelope implements EnvelopeEncoder {
  readonly contentType = PROTOBUF_CONTENT_TYPE;
  #buffer = Buffer.allocUnsafeSlow(1_024);
  #position = 0;
  /** A view for each length up to {@link MAX_VIEWS}: making one takes 25 ns and leaves garbage. */
  #views: (Buffer | undefined)[] = [];

  encodeDeviceId(deviceId: string): Uint8Array {
    return textField(DEVICE_ID, deviceId);
  }

  encodeConstants(deviceType: string, attributes: Iterable<readonly [string, string]>): Uint8Array {
    const parts = [textField(DEVICE_TYPE, deviceType)];
    for (const [name, value] of attributes) {
      const entry = Buffer.concat([textField(ENTRY_KEY, name), textField(ENTRY_VALUE, value)]);
      parts.push(lengthField(ATTRIBUTES, entry.length), entry);
    }
    return Buffer.concat(parts);
  }

  compileMetric({ slot, name, unit, enumNames }: NormalisedMetric, quality: Quality): ProtobufMetric {
    const head = Buffer.concat([
      textField(NAME, name),
      ...(unit === undefined ? [] : [textField(UNIT, unit)]),
      ...(quality === Quality.Good ? [] : [Uint8Array.of(QUALITY, quality)]),
    ]);
    const whole = (value: Uint8Array) =>
      Buffer.concat([lengthField(METRICS, head.length + value.length), head, value]);
    return {
      slot,
      head,
      doubleHead: Buffer.concat([lengthField(METRICS, head.length + 1 + 8), head, Buffer.of(DOUBLE_VALUE)]),
      enumMetrics:
        enumNames &&
        new Map([...enumNames].map(([number, value]) => [number, whole(textField(STRING_VALUE, value))])),
    };
  }

  /** Begins an envelope of a device. The arguments come from {@link encodeDeviceId} and {@link encodeConstants}. */
  begin(deviceId: Uint8Array, constants: Uint8Array): void {
    this.#position = 0;
    this.#reserve(deviceId.length + constants.length + MAX_NUMBERS);
    this.#copy(deviceId);
    this.#copy(constants);
  }

  /** Whole milliseconds since 1970-01-01 UTC. */
  observedAt(ms: number): void {
    this.#integer(OBSERVED_AT_MS, ms, Math.floor(ms / 4_294_967_296));
  }

  /** Whole milliseconds since 1970-01-01 UTC. */
  receivedAt(ms: number): void {
    this.#integer(RECEIVED_AT_MS, ms, Math.floor(ms / 4_294_967_296));
  }

  /** The low and high 32 bits of a count. */
  sequence(low: number, high: number): void {
    this.#integer(SEQUENCE, low, high);
  }

  /** Writes a metric if its slot holds a value. */
  metric(metric: ProtobufMetric, values: FieldValues): void {
    const { slot, head } = metric;
    switch (values.kind[slot]) {
      case ValueKind.Double: {
        const value = values.double[slot] as number;
        // NaN and the infinities are no measurements.
        if (!Number.isFinite(value)) return;
        this.#reserve(metric.doubleHead.length + 8);
        this.#copy(metric.doubleHead);
        this.#position = this.#buffer.writeDoubleLE(value, this.#position);
        return;
      }
      case ValueKind.Int: {
        const low = values.low[slot] as number;
        const high = values.high[slot] as number;
        const named = metric.enumMetrics?.get(low);
        if (named !== undefined) {
          this.#reserve(named.length);
          this.#copy(named);
          return;
        }
        // Zigzag: the sign goes into the lowest bit.
        const sign = high >> 31;
        this.#metricInteger(head, INT_VALUE, (low << 1) ^ sign, ((high << 1) | (low >>> 31)) ^ sign);
        return;
      }
      case ValueKind.Uint:
        this.#metricInteger(head, UINT_VALUE, values.low[slot] as number, values.high[slot] as number);
        return;
      case ValueKind.Bool:
        this.#metricInteger(head, BOOL_VALUE, values.low[slot] as number, 0);
        return;
      case ValueKind.Utf8:
        this.#metricBytes(head, STRING_VALUE, values, slot);
        return;
      case ValueKind.Bytes:
        this.#metricBytes(head, BYTES_VALUE, values, slot);
        return;
      case ValueKind.Text: {
        const text = values.text[slot] as string;
        const length = Buffer.byteLength(text, 'utf8');
        this.#metricLengths(head, STRING_VALUE, length);
        this.#buffer.write(text, this.#position, length, 'utf8');
        this.#position += length;
        return;
      }
      default:
    }
  }

  /** Writes a metric without a value. */
  missing({ head }: ProtobufMetric): void {
    this.#reserve(1 + MAX_VARINT + head.length);
    this.#buffer[this.#position++] = METRICS;
    this.#varint(head.length, 0);
    this.#copy(head);
  }

  /** The envelope's bytes, valid until the next `begin`. */
  finish(): Uint8Array {
    const length = this.#position;
    if (length > MAX_VIEWS) return this.#buffer.subarray(0, length);
    return (this.#views[length] ??= this.#buffer.subarray(0, length));
  }

  #metricInteger(head: Uint8Array, tag: number, low: number, high: number): void {
    const length = head.length + 1 + varintLength(low, high);
    this.#reserve(1 + MAX_VARINT + length);
    this.#buffer[this.#position++] = METRICS;
    this.#varint(length, 0);
    this.#copy(head);
    this.#integer(tag, low, high);
  }

  #metricBytes(head: Uint8Array, tag: number, values: FieldValues, slot: number): void {
    const start = values.start[slot] as number;
    const end = values.end[slot] as number;
    this.#metricLengths(head, tag, end - start);
    values.source.copy(this.#buffer, this.#position, start, end);
    this.#position += end - start;
  }

  /** A metric with a value of `length` bytes, up to the value. */
  #metricLengths(head: Uint8Array, tag: number, length: number): void {
    const metricLength = head.length + 1 + varintLength(length, 0) + length;
    this.#reserve(1 + MAX_VARINT + metricLength);
    this.#buffer[this.#position++] = METRICS;
    this.#varint(metricLength, 0);
    this.#copy(head);
    this.#integer(tag, length, 0);
  }

  #integer(tag: number, low: number, high: number): void {
    this.#buffer[this.#position++] = tag;
    this.#varint(low, high);
  }

  /** A varint of 64 bits from two halves, of which only the lower 32 bits count. */
  #varint(low: number, high: number): void {
    const buffer = this.#buffer;
    let position = this.#position;
    let rest = low >>> 0;
    let upper = high >>> 0;
    while (upper !== 0) {
      buffer[position++] = (rest & 0x7f) | 0x80;
      rest = ((rest >>> 7) | (upper << 25)) >>> 0;
      upper >>>= 7;
    }
    while (rest > 0x7f) {
      buffer[position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[position++] = rest;
    this.#position = position;
  }

  #copy(bytes: Uint8Array): void {
    // 13 ns for 12 bytes and for 80; a loop takes 12 ns for 12 bytes, but 93 ns for 80.
    this.#buffer.set(bytes, this.#position);
    this.#position += bytes.length;
  }

  #reserve(length: number): void {
    if (this.#position + length <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * (this.#position + length));
    this.#buffer.copy(larger, 0, 0, this.#position);
    this.#buffer = larger;
    this.#views = [];
  }
}

const MAX_VIEWS = 1_024;

function varintLength(low: number, high: number): number {
  const upper = high >>> 0;
  const bits = upper === 0 ? 32 - Math.clz32(low) : 64 - Math.clz32(upper);
  return bits === 0 ? 1 : Math.ceil(bits / 7);
}

function lengthField(tag: number, length: number): Uint8Array {
  return Uint8Array.of(tag, ...varint(length));
}

function textField(tag: number, text: string): Uint8Array {
  const bytes = Buffer.from(text, 'utf8');
  return Buffer.concat([lengthField(tag, bytes.length), bytes]);
}
