import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DecoderSpec, WrappingSpec } from '../../src/core/profile/decoder-spec.ts';
import { FieldValues } from '../../src/decode/formats/field-values.ts';
import { readAll, readerOf } from './readers.ts';
import type { PlainValue } from './values.ts';

type Expected = number | string | boolean | null | { int: string } | { hex: string };

interface Vector {
  readonly format: string;
  readonly payload: string;
  /** A list: one for each reading. */
  readonly fields: Record<string, Expected> | Record<string, Expected>[];
  readonly wrap?: WrappingSpec;
  readonly schemaId?: number;
}

const here = join(import.meta.dirname, 'vectors');
const vectors = JSON.parse(readFileSync(join(here, 'vectors.json'), 'utf8')) as Vector[];

const proto = { kind: 'protobuf', file: join(here, 'readings.proto') } as const;
const decoders: Record<string, DecoderSpec> = {
  json: { kind: 'json' },
  cbor: { kind: 'cbor' },
  msgpack: { kind: 'msgpack' },
  avro: { kind: 'avro', file: join(here, 'reading.avsc') },
  'thrift-binary': { kind: 'thrift', protocol: 'binary' },
  'thrift-compact': { kind: 'thrift', protocol: 'compact' },
  'protobuf-batch': { ...proto, message: 'vectors.Batch' },
  'protobuf-delimited': { ...proto, message: 'vectors.Reading', delimited: true },
};

function value(expected: Expected): PlainValue {
  if (expected === null) return undefined;
  if (typeof expected !== 'object') return expected;
  return 'int' in expected ? BigInt(expected.int) : Uint8Array.from(Buffer.from(expected.hex, 'hex'));
}

describe.each(Object.entries(decoders))('%s, written by another implementation', (format, decode) => {
  const own = vectors.filter((vector) => vector.format === format);

  test('reads as what was written', () => {
    expect(own.length).toBeGreaterThan(5);
    for (const { payload, fields, wrap } of own) {
      const rows = Array.isArray(fields) ? fields : [fields];
      const names = Object.keys(rows[0] ?? fieldsOf(own));
      const reader = readerOf({ ...decode, ...wrap }, ...names);
      const expected = rows.map((row) => names.map((name) => value(row[name]!)));
      expect(readAll(reader, Buffer.from(payload, 'hex'))).toEqual(expected);
    }
  });

  test('cut short, changed or random ends in values or a reason, and soon', () => {
    const { wrap } = own[0]!;
    const reader = readerOf({ ...decode, ...wrap }, ...Object.keys(fieldsOf(own)));
    const sound = fc.constantFrom(...own.map(({ payload }) => Buffer.from(payload, 'hex')));
    const change = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 5 });
    const mutated = fc.tuple(sound, change, fc.nat()).map(([payload, changes, cut]) => {
      const bytes = Buffer.from(payload);
      for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
      return bytes.subarray(0, cut % 3 === 0 ? cut % (bytes.length + 1) : bytes.length);
    });
    const random = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.oneof({ weight: 3, arbitrary: mutated }, random), (payload) => {
        const result = readAll(reader, payload);
        for (const reading of typeof result === 'string' ? [result] : result) {
          if (typeof reading === 'string') expect(reading).toMatch(/^[A-Z]+_[A-Z_]+: [^\0]{1,400}$/s);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

function fieldsOf(own: readonly Vector[]): Record<string, Expected> {
  const rows = own.flatMap(({ fields }) => (Array.isArray(fields) ? fields : [fields]));
  return rows.reduce((a, b) => (Object.keys(a).length >= Object.keys(b).length ? a : b));
}

test('a FileDescriptorSet by protoc says the same as its .proto file', () => {
  const spec = { ...decoders['protobuf-batch'], file: join(here, 'readings.descriptor') } as DecoderSpec;
  for (const { payload, fields, wrap } of vectors.filter(({ format }) => format === 'protobuf-batch')) {
    const rows = fields as Record<string, Expected>[];
    const names = Object.keys(rows[0] ?? { device: '', 'readings[].temp': 0 });
    const expected = rows.map((row) => names.map((name) => value(row[name]!)));
    expect(readAll(readerOf({ ...spec, ...wrap }, ...names), Buffer.from(payload, 'hex'))).toEqual(expected);
  }
});

test('the id of the schema that a payload is framed with is kept', () => {
  const framed = vectors.filter(({ schemaId }) => schemaId !== undefined);
  expect(framed.length).toBeGreaterThan(10);
  for (const { format, payload, schemaId, wrap } of framed) {
    const reader = readerOf({ ...decoders[format]!, ...wrap }, 'device');
    const values = new FieldValues(1);
    expect(reader.read(Buffer.from(payload, 'hex'), values)).toBeUndefined();
    expect(values.schemaId).toBe(schemaId);
  }
});
