import { join } from 'node:path';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { expect, test } from 'vitest';
import { ProtobufEnvelope } from '../../../src/decode/envelope/envelope-protobuf.ts';
import { Quality } from '../../../src/decode/normalise/metric-checks.ts';
import { FieldValues, ValueKind } from '../../../src/decode/formats/field-values.ts';
import { readEnvelope } from '../../../src/decode/envelope/envelope.ts';

const PROTO = join(import.meta.dirname, '../../../proto/sluice/v1/telemetry.proto');
const telemetry = new protobuf.Root().loadSync(PROTO, { keepCase: true }).lookupType('sluice.v1.Telemetry');

const text = fc.string({ unit: 'grapheme', maxLength: 200 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

type Value =
  | { kind: 'double'; value: number }
  | { kind: 'int' | 'uint'; value: bigint }
  | { kind: 'bool'; value: boolean }
  | { kind: 'text' | 'utf8'; value: string }
  | { kind: 'bytes'; value: Uint8Array }
  | { kind: 'absent' };

const value: fc.Arbitrary<Value> = fc.oneof(
  fc.record({ kind: fc.constant('double' as const), value: fc.double() }),
  fc.record({
    kind: fc.constant('int' as const),
    value: fc.oneof(int64, fc.bigInt({ min: -300n, max: 300n })),
  }),
  fc.record({
    kind: fc.constant('uint' as const),
    value: fc.bigInt({ min: 2n ** 63n, max: 2n ** 64n - 1n }),
  }),
  fc.record({ kind: fc.constant('bool' as const), value: fc.boolean() }),
  fc.record({ kind: fc.constantFrom('text' as const, 'utf8' as const), value: text }),
  fc.record({ kind: fc.constant('bytes' as const), value: fc.uint8Array({ maxLength: 300 }) }),
  fc.record({ kind: fc.constant('absent' as const) }),
);

const envelope = fc.record({
  deviceId: text,
  deviceType: text,
  attributes: fc.uniqueArray(fc.tuple(text, text), { selector: ([name]) => name, maxLength: 4 }),
  observedAt: fc.option(fc.integer({ min: -(2 ** 53) + 1, max: 2 ** 53 - 1 })),
  receivedAt: fc.integer({ min: 0, max: 2 ** 53 - 1 }),
  sequence: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  metrics: fc.array(fc.record({ name: text, unit: fc.option(text), value }), { maxLength: 8 }),
});

/** The case of the oneof in which a value should be found, and the value as protobufjs shows it. */
function expected(of: Value): Record<string, unknown> | undefined {
  switch (of.kind) {
    case 'double':
      return Number.isFinite(of.value) ? { double_value: of.value } : undefined;
    case 'int':
      return { int_value: of.value };
    case 'uint':
      return { uint_value: of.value };
    case 'bool':
      return { bool_value: of.value };
    case 'text':
    case 'utf8':
      return { string_value: of.value };
    case 'bytes':
      return { bytes_value: Buffer.from(of.value) };
    default:
      return undefined;
  }
}

function put(values: FieldValues, slot: number, of: Value, payload: number[]): void {
  if (of.kind === 'double') {
    values.kind[slot] = ValueKind.Double;
    values.double[slot] = of.value;
  } else if (of.kind === 'int' || of.kind === 'uint') {
    values.kind[slot] = of.kind === 'int' ? ValueKind.Int : ValueKind.Uint;
    values.low[slot] = Number(BigInt.asIntN(32, of.value));
    values.high[slot] = Number(BigInt.asIntN(32, of.value >> 32n));
  } else if (of.kind === 'bool') {
    values.kind[slot] = ValueKind.Bool;
    values.low[slot] = of.value ? 1 : 0;
  } else if (of.kind === 'text') {
    values.kind[slot] = ValueKind.Text;
    values.text[slot] = of.value;
  } else if (of.kind !== 'absent') {
    values.kind[slot] = of.kind === 'utf8' ? ValueKind.Utf8 : ValueKind.Bytes;
    values.start[slot] = payload.length;
    payload.push(...Buffer.from(of.value as string));
    values.end[slot] = payload.length;
  }
}

test('every envelope reads in protobufjs as what was written, by the published schema', () => {
  // One writer for all, so that what an earlier envelope leaves behind would show.
  const writer = new ProtobufEnvelope();
  fc.assert(
    fc.property(envelope, (given) => {
      const values = new FieldValues(given.metrics.length);
      const bytes: number[] = [];
      for (const [slot, metric] of given.metrics.entries()) put(values, slot, metric.value, bytes);
      values.source = Buffer.from(bytes);

      writer.begin(
        writer.encodeDeviceId(given.deviceId),
        writer.encodeConstants(given.deviceType, given.attributes),
      );
      if (given.observedAt !== null) writer.observedAt(given.observedAt);
      writer.receivedAt(given.receivedAt);
      if (given.sequence !== null) {
        writer.sequence(
          Number(BigInt.asIntN(32, given.sequence)),
          Number(BigInt.asIntN(32, given.sequence >> 32n)),
        );
      }
      for (const [slot, { name, unit }] of given.metrics.entries()) {
        const metric = { slot, name, unit: unit ?? undefined, enumNames: undefined };
        writer.metric(writer.compileMetric(metric, Quality.Good), values);
      }

      const read = telemetry.toObject(telemetry.decode(writer.finish()), { longs: BigInt });
      const metrics = given.metrics.flatMap((metric) => {
        const found = expected(metric.value);
        // Empty text without presence reads as absent.
        const unit = metric.unit === null || metric.unit === '' ? {} : { unit: metric.unit };
        return found ? [{ ...(metric.name !== '' && { name: metric.name }), ...unit, ...found }] : [];
      });
      expect(read).toEqual({
        ...(given.deviceId !== '' && { device_id: given.deviceId }),
        ...(given.deviceType !== '' && { device_type: given.deviceType }),
        ...(given.attributes.length > 0 && { attributes: Object.fromEntries(given.attributes) }),
        ...(given.observedAt !== null && { observed_at_ms: BigInt(given.observedAt) }),
        ...(given.receivedAt !== 0 && { received_at_ms: BigInt(given.receivedAt) }),
        ...(given.sequence !== null && { sequence: given.sequence }),
        ...(metrics.length > 0 && { metrics }),
      });
    }),
    { numRuns: 1_500 },
  );
});

test('a value of an enum is its name; a number that has none stays a number', () => {
  const enumNames = new Map([
    [2, 'RUNNING'],
    [-1, 'BROKEN'],
  ]);
  const writer = new ProtobufEnvelope();
  const metric = writer.compileMetric({ slot: 0, name: 'state', unit: undefined, enumNames }, Quality.Good);
  const write = (number: number): unknown => {
    const values = new FieldValues(1);
    put(values, 0, { kind: 'int', value: BigInt(number) }, []);
    writer.begin(writer.encodeDeviceId('d'), writer.encodeConstants('t', []));
    writer.metric(metric, values);
    return readEnvelope(writer.finish()).metrics[0]?.value;
  };
  expect([write(2), write(-1), write(3)]).toEqual(['RUNNING', 'BROKEN', 3]);
});

test('an envelope larger than any before it is written whole', () => {
  const writer = new ProtobufEnvelope();
  const values = new FieldValues(1);
  const long = 'ä'.repeat(200_000);
  put(values, 0, { kind: 'text', value: long }, []);
  for (let round = 0; round < 2; round++) {
    writer.begin(writer.encodeDeviceId('d'), writer.encodeConstants('t', []));
    writer.receivedAt(1);
    const metric = { slot: 0, name: 'text', unit: 'u', enumNames: undefined };
    writer.metric(writer.compileMetric(metric, Quality.Good), values);
    expect(readEnvelope(writer.finish())).toMatchObject({
      deviceId: 'd',
      receivedAtMs: 1,
      metrics: [{ name: 'text', unit: 'u', value: long }],
    });
  }
});

test('bytes that are no envelope are refused with a code', () => {
  expect(() => readEnvelope(Buffer.from('{"a":1}'))).toThrow(
    expect.objectContaining({ code: 'ENVELOPE_INVALID' }) as Error,
  );
});

test('for readers, integers are numbers as long as a number holds them', () => {
  const bytes = telemetry
    .encode(
      telemetry.fromObject({
        sequence: '9007199254740993',
        metrics: [
          { name: 'a', int_value: '-5' },
          { name: 'b', uint_value: '18446744073709551615' },
          { name: 'c' },
        ],
      }),
    )
    .finish();
  expect(readEnvelope(bytes)).toEqual({
    deviceId: '',
    deviceType: '',
    attributes: new Map(),
    observedAtMs: undefined,
    receivedAtMs: 0,
    sequence: 9007199254740993n,
    metrics: [
      { name: 'a', unit: undefined, value: -5 },
      { name: 'b', unit: undefined, value: 18446744073709551615n },
    ],
  });
});
