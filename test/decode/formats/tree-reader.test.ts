import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FieldValues } from '../../../src/decode/formats/field-values.ts';
import { readerOf } from '../readers.ts';
import { plainValue, type PlainValue } from '../values.ts';

function read(text: string | Buffer, ...paths: string[]): PlainValue[] | string {
  const reader = readerOf({ kind: 'json' }, ...paths);
  const values = new FieldValues(paths.length);
  const payload = Buffer.from(text);
  const fault = reader.read(payload, values);
  if (fault !== undefined) return `${fault.code}: ${fault.message}`;
  return paths.map((_, slot) => plainValue(values, slot));
}

test('dots lead into objects, numbers into arrays', () => {
  const text = '{"pos":{"lat":52.5},"list":[{"v":1},{"v":true}],"name":"Zoë"}';
  expect(read(text, 'pos.lat', 'list.1.v', 'name')).toEqual([52.5, true, 'Zoë']);
});

test('what is missing or null is absent', () => {
  expect(read('{"a":null,"b":{}}', 'a', 'b.c', 'd', 'a.x', 'b.c.d')).toEqual(Array(5).fill(undefined));
});

test('a number is a double, whole or not', () => {
  expect(read('{"a":7,"b":7.5,"c":-0,"d":1e400}', 'a', 'b', 'c', 'd')).toEqual([7, 7.5, -0, Infinity]);
});

test('only own members count: the language’s own names are no fields', () => {
  const paths = ['constructor', 'toString', '__proto__', 'a.length', 'hasOwnProperty', 'a.01'];
  expect(read('{"a":[1,2]}', ...paths)).toEqual(Array(6).fill(undefined));
  expect(read('{"__proto__":{"x":1}}', '__proto__.x')).toEqual([1]);
});

test('brackets lead into lists and to names with dots; $ is the payload itself', () => {
  expect(read('{"a.b":{"c":[[1,2],[3]]}}', '["a.b"].c[0][1]', '["a.b"]["c"][1].0')).toEqual([2, 3]);
  expect(read('21.5', '$')).toEqual([21.5]);
  expect(read('"on"', '$')).toEqual(['on']);
});

describe('a list of readings', () => {
  const open = (text: string, ...paths: string[]) => {
    const reader = readerOf({ kind: 'json' }, ...paths);
    const values = new FieldValues(paths.length);
    const payload = Buffer.from(text);
    const count = reader.batch!.open(payload);
    if (typeof count !== 'number') return `${count.code}: ${count.message}`;
    const readings = Array.from({ length: count }, (_, index) => {
      reader.batch!.select(index);
      const fault = reader.read(payload, values);
      if (fault !== undefined) return [fault.code, Buffer.from(reader.batch!.alone()!).toString()];
      return paths.map((_, slot) => plainValue(values, slot));
    });
    reader.batch!.close();
    return readings;
  };

  test('is as many readings, each with what stands beside the list', () => {
    expect(open('{"id":"x","r":[{"t":1},{"t":2},{}]}', 'id', 'r[].t')).toEqual([
      ['x', 1],
      ['x', 2],
      ['x', undefined],
    ]);
    expect(open('[{"t":1}]', '[].t')).toEqual([[1]]);
    expect(open('{"r":[1,2]}', 'r[]')).toEqual([[1], [2]]);
    expect(open('{"r":[]}', 'r[].t')).toEqual([]);
  });

  test('gives a reading that is not understood by itself, so that the others go on', () => {
    expect(open('{"r":[{"t":1},{"t":{}}]}', 'r[].t')).toEqual([[1], ['FIELD_TYPE', '{"r":[{"t":{}}]}']]);
    expect(open('{"id":"x","a":[{"r":[{"t":1},{"t":{}}]}]}', 'a.0.r[].t')).toEqual([
      [1],
      ['FIELD_TYPE', '{"id":"x","a":[{"r":[{"t":{}}]}]}'],
    ]);
  });

  test.each([
    ['{}', 'FIELD_MISSING: no list of readings: field r is absent or empty'],
    ['{"r":{}}', 'FIELD_TYPE: field r holds no list, expected a list of readings'],
    [`{"r":[${'1,'.repeat(10_000)}1]}`, 'BATCH_TOO_LARGE: the payload has 10001 readings, more than 10000'],
    ['', 'PAYLOAD_EMPTY: the payload is empty'],
  ])('%.20s is none', (text, expected) => {
    expect(open(text, 'r[].t')).toBe(expected);
  });
});

test('the last of several members of one name counts', () => {
  expect(read('{"a":1,"a":2}', 'a')).toEqual([2]);
});

test.each([
  ['', 'PAYLOAD_EMPTY: the payload is empty'],
  ['17', 'DECODE_FAILED: not a JSON object'],
  ['null', 'DECODE_FAILED: not a JSON object'],
  ['"text"', 'DECODE_FAILED: not a JSON object'],
  ['{"a":{}}', 'FIELD_TYPE: field a holds an object, expected a single value'],
  ['{"a":[1]}', 'FIELD_TYPE: field a holds an array, expected a single value'],
  ['{"a":"\\ud800"}', 'FIELD_TYPE: field a holds a lone surrogate, expected text of valid Unicode'],
])('%s is refused', (text, expected) => {
  expect(read(text, 'a')).toBe(expected);
});

test('invalid UTF-8 is refused, not repaired', () => {
  expect(read(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'a')).toBe(
    'DECODE_FAILED: not JSON: invalid UTF-8',
  );
});

test('a syntax error says where, and quotes no more than the beginning', () => {
  expect(read('{"a":1,}', 'a')).toMatch(/^DECODE_FAILED: not JSON: .*position 7/);
  expect(read(`{"a":${'x'.repeat(100_000)}`, 'a').length).toBeLessThan(300);
});

describe('hostile payloads', () => {
  test.each([
    '['.repeat(250_000),
    '{"a":'.repeat(50_000),
    `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
  ])('deep nesting neither throws nor hangs (%#)', (text) => {
    expect(read(text, 'a.b')).toBeTypeOf(text.endsWith('}') ? 'object' : 'string');
  });

  test('any bytes end in values or a fault', () => {
    const almost = fc.tuple(fc.json(), fc.nat(), fc.integer({ min: 0, max: 255 })).map(([text, at, byte]) => {
      const bytes = Buffer.from(text);
      if (bytes.length > 0) bytes[at % bytes.length] = byte;
      return bytes;
    });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array().map((bytes) => Buffer.from(bytes)),
          almost,
        ),
        (bytes) => {
          const result = read(bytes, 'a', '0', 'b.c');
          expect(
            typeof result === 'string' ? /^(DECODE_FAILED|FIELD_TYPE|PAYLOAD_EMPTY): /.test(result) : true,
          ).toBe(true);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
