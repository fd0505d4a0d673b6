import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { encode as encodeMsgpack } from '@msgpack/msgpack';
import fc from 'fast-check';
import { encode as encodeCbor } from 'cborg';
import { describe, expect, test } from 'vitest';
import type { CsvSpec, MessageChoice, ProtobufSpec, TextSpec } from '../../src/core/profile/decoder-spec.ts';
import { payloadWriter } from '../../src/decode/decoders.ts';
import { loadMessageType } from '../../src/decode/protobuf/message-type.ts';
import { problemsOf, readAll, readerOf, readOne } from './readers.ts';

const ZOO = join(import.meta.dirname, 'schemas/zoo.proto');
const READINGS = join(import.meta.dirname, 'vectors/readings.proto');

describe('CSV', () => {
  const spec: CsvSpec = {
    kind: 'csv',
    separator: ',',
    headerLines: 1,
    columns: [
      { name: 'id', type: 'text' },
      { name: 'v', type: 'number' },
      { name: 'n', type: 'integer' },
      { name: 'on', type: 'bool' },
    ],
  };
  const read = (lines: string) =>
    readAll(readerOf(spec, 'id', 'v', 'n', 'on'), Buffer.from(`id,v,n,on\n${lines}`));

  test('has a reading a line, with quotes, and empty columns absent', () => {
    expect(read('a,1.5,9007199254740993,on\r\n"b,""x""",-2e3,,0\n\n,,,')).toEqual([
      ['a', 1.5, 9007199254740993n, true],
      ['b,"x"', -2000, undefined, false],
      [undefined, undefined, undefined, undefined],
    ]);
  });

  test.each([
    ['a,1.5', 'DECODE_FAILED: not the CSV that is expected: 2 columns instead of 4'],
    ['a,x,1,1', 'FIELD_TYPE: field v holds "x", expected a number'],
    [
      'a,1,18446744073709551616,1',
      'FIELD_TYPE: field n holds "18446744073709551616", expected an integer of 64 bits',
    ],
    ['a,1,1,maybe', 'FIELD_TYPE: field on holds "maybe", expected true or false, on or off, 1 or 0'],
    ['"a,1,1,1', 'DECODE_FAILED: not CSV: a quote without end'],
    ['"a"b,1,1,1', 'DECODE_FAILED: not CSV: text behind a quote'],
  ])('%s spoils its own line only', (line, fault) => {
    expect(read(`${line}\nb,1,2,1`)).toEqual([fault, ['b', 1, 2n, true]]);
  });

  test('that is written reads as what was written', () => {
    const value = fc.record({
      id: fc.string({ minLength: 1 }).filter((text) => !/[\r\n]/.test(text) && text.isWellFormed()),
      v: fc.double({ noNaN: true, noDefaultInfinity: true }),
      on: fc.boolean(),
    });
    fc.assert(
      fc.property(value, ({ id, v, on }) => {
        const line = Buffer.from(payloadWriter(spec)!({ id, v, on })).toString();
        expect(read(line)).toEqual([[id, Number(String(v)), undefined, on]]);
      }),
    );
  });

  test('names the columns that there are', () => {
    expect(problemsOf(spec, 'w')).toEqual(['w: found w, expected one of id, v, n, on']);
  });
});

describe('text', () => {
  const spec = (pattern: string, lines = false): TextSpec => ({
    kind: 'text',
    pattern,
    types: new Map([['state', 'text']]),
    lines,
  });

  test('is taken apart by named groups', () => {
    const reader = readerOf(spec('T=(?<t>[-0-9.]+)(?: H=(?<h>[0-9]+))? (?P<state>\\w+)'), 't', 'h', 'state');
    expect(readOne(reader, Buffer.from('T=-1.5 ok\n'))).toEqual([-1.5, undefined, 'ok']);
    expect(readOne(reader, Buffer.from('T=1 H=40 ok'))).toEqual([1, 40, 'ok']);
    expect(readOne(reader, Buffer.from('nonsense'))).toBe(
      'DECODE_FAILED: not the text that the pattern expects',
    );
  });

  test('may have a reading a line', () => {
    expect(readAll(readerOf(spec('(?<t>\\d+)', true), 't'), Buffer.from('1\n2\nx'))).toEqual([
      [1],
      [2],
      'DECODE_FAILED: not the text that the pattern expects',
    ]);
  });

  test('can not be made to search for ever', () => {
    const reader = readerOf(spec('(?<t>(a+)+)b'), 't');
    expect(readOne(reader, Buffer.from('a'.repeat(2_000)))).toMatch(/^DECODE_FAILED/);
  });

  test.each([
    ['(?<t>\\d+)(?!x)', /a regular expression as RE2 knows it/],
    ['\\d+', /named groups/],
  ])('refuses the pattern %s', (pattern, expected) => {
    expect(problemsOf(spec(pattern), 't')[0]).toMatch(expected);
  });
});

describe('the message of a protobuf payload', () => {
  const protobuf = (choice: MessageChoice): ProtobufSpec => ({
    kind: 'protobuf',
    file: READINGS,
    message: choice,
  });
  const messages = new Map([
    ['1', 'vectors.Reading'],
    ['2', 'vectors.Batch'],
  ]);
  const reading = loadMessageType(READINGS, 'vectors.Reading').encode({ temp: 1.5 });
  const batch = loadMessageType(READINGS, 'vectors.Batch').encode({ device: 'd' });

  test('can be told by its first byte', () => {
    const reader = readerOf(protobuf({ by: { kind: 'byte' }, messages }), 'temp', 'device');
    expect(readOne(reader, Buffer.concat([Buffer.of(1), reading]))).toEqual([1.5, undefined]);
    expect(readOne(reader, Buffer.concat([Buffer.of(2), batch]))).toEqual([undefined, 'd']);
    expect(readOne(reader, Buffer.concat([Buffer.of(3), batch]))).toBe(
      'DECODE_FAILED: the first byte is "3": no message is named for that',
    );
  });

  test('can be told by a level of the topic', () => {
    const reader = readerOf(protobuf({ by: { level: 'kind' }, messages }), 'temp', 'device');
    const bound = (kind: string) => reader.bind!({ name: 't', captures: new Map([['kind', kind]]) });
    expect(readOne(bound('1'), Buffer.from(reading))).toEqual([1.5, undefined]);
    expect(readOne(bound('2'), Buffer.from(batch))).toEqual([undefined, 'd']);
    expect(readOne(bound('x'), Buffer.from(batch))).toMatch(/^DECODE_FAILED: topic level kind is "x"/);
  });

  test('can be told by a field', () => {
    const by = { field: 'state', header: 'vectors.Reading' };
    const of = new Map([
      ['STATE_ON', 'vectors.Reading'],
      ['0', 'vectors.Reading'],
    ]);
    const reader = readerOf(protobuf({ by, messages: of }), 'temp');
    const on = loadMessageType(READINGS, 'vectors.Reading').encode({ temp: 2, state: 'STATE_ON' });
    expect(readOne(reader, Buffer.from(on))).toEqual([2]);
    expect(readOne(reader, Buffer.from(reading))).toMatch(/the header is "STATE_UNKNOWN"/);
  });

  test('must have each field in one of them', () => {
    const wrong = protobuf({ by: { level: 'nope' }, messages });
    expect(problemsOf(wrong, 'temp')[0]).toBe(
      'decode.protobuf.message.level: found nope, expected a level of the topic pattern: {kind}',
    );
    expect(problemsOf(protobuf({ by: { kind: 'byte' }, messages }), 'temp', 'wind')).toHaveLength(1);
    expect(problemsOf(protobuf({ by: { kind: 'byte' }, messages }), 'readings[].temp')).toEqual([
      'readings[].temp: found readings[].temp, expected no [], because the message is chosen among several',
    ]);
  });
});

describe('a wrapped payload', () => {
  test('that inflates to more than its limit is refused before it takes the memory', () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000, ' '));
    const reader = readerOf({ kind: 'json', compression: 'gzip', maxInflatedBytes: 65_536 }, 'a');
    expect(readOne(reader, bomb)).toBe('INFLATED_TOO_LARGE: inflates to more than 65536 bytes');
    const zstd = readerOf({ kind: 'json', compression: 'auto' }, 'a');
    expect(readOne(zstd, zstdCompressSync(Buffer.alloc(50_000_000)))).toMatch(/^INFLATED_TOO_LARGE/);
    expect(readOne(zstd, zstdCompressSync(Buffer.from('{"a":1}')))).toEqual([1]);
  });

  test('that is not what it should be says so', () => {
    expect(readOne(readerOf({ kind: 'json', compression: 'gzip' }, 'a'), Buffer.from('{}'))).toMatch(
      /^DECODE_FAILED: not gzip: /,
    );
    expect(readOne(readerOf({ kind: 'json', framing: 'confluent' }, 'a'), Buffer.from('{}'))).toMatch(
      /^DECODE_FAILED: not in Confluent's wire format/,
    );
  });
});

describe('payloads made to hurt', () => {
  test.each([
    [
      'arrays within arrays that each announce 100,000 elements',
      Buffer.from('dd000186a0'.repeat(20_000), 'hex'),
    ],
    ['four thousand million elements', Buffer.from('ddffffffff', 'hex')],
    ['a string of four gigabytes', Buffer.from('dbffffffff', 'hex')],
    ['maps within maps', Buffer.alloc(100_000, 0x81)],
  ])('MessagePack: %s', (_, payload) => {
    expect(readOne(readerOf({ kind: 'msgpack' }, 'a'), payload)).toMatch(/^DECODE_FAILED/);
  });

  test.each([
    ['lists within lists', Buffer.alloc(100_000, 0x81)],
    ['a list without end', Buffer.from('9bffffffffffffffff', 'hex')],
    ['tags on tags', Buffer.alloc(100_000, 0xc1)],
  ])('CBOR: %s', (_, payload) => {
    expect(readOne(readerOf({ kind: 'cbor' }, 'a'), payload)).toMatch(/^DECODE_FAILED/);
  });

  test.each(['binary', 'compact'] as const)(
    'Thrift %s: structs within structs, lists longer than all',
    (protocol) => {
      const reader = readerOf({ kind: 'thrift', protocol }, '1');
      expect(readOne(reader, Buffer.alloc(100_000, 0x0c))).toMatch(/^DECODE_FAILED/);
      expect(readOne(reader, Buffer.from('0f0001020fffffff', 'hex'))).toMatch(/^DECODE_FAILED/);
      expect(readOne(reader, Buffer.from('19f1ffffffff07', 'hex'))).toMatch(/^DECODE_FAILED/);
    },
  );

  test('protobuf: messages within messages', () => {
    const reader = readerOf({ kind: 'protobuf', file: ZOO, message: 'zoo.Animal', delimited: true }, 'd');
    expect(readAll(reader, Buffer.alloc(5_000, 1))).toMatchObject({ length: 2_500 });
    expect(readAll(reader, Buffer.alloc(30_000))).toMatch(/^BATCH_TOO_LARGE/);
  });
});

test('protobuf: a wrapper around zero is zero, also beside elements of lists', () => {
  const reader = readerOf({ kind: 'protobuf', file: ZOO, message: 'zoo.Animal' }, 'wrapped', 'packed[1]');
  const packed = 'ba01020708';
  expect(readOne(reader, Buffer.from(`${packed}e20100`, 'hex'))).toEqual([0, 8n]);
  expect(readOne(reader, Buffer.from(packed, 'hex'))).toEqual([undefined, 8n]);
});

test('CBOR and MessagePack read whatever JSON can hold like JSON', () => {
  const value = fc.dictionary(fc.constantFrom('a', 'b', '__proto__x', '7'), fc.jsonValue({ maxDepth: 2 }));
  const paths = ['a', 'b', '7', 'a.b', 'a[0]', 'b.a[1]'];
  fc.assert(
    fc.property(value, (object) => {
      const json = readOne(readerOf({ kind: 'json' }, ...paths), Buffer.from(JSON.stringify(object)));
      const plain = JSON.parse(JSON.stringify(object)) as object;
      for (const [kind, payload] of [
        ['cbor', encodeCbor(plain)],
        ['msgpack', encodeMsgpack(plain)],
      ] as const) {
        expect(readOne(readerOf({ kind }, ...paths), Buffer.from(payload))).toEqual(json);
      }
    }),
    { numRuns: 300 },
  );
});

test.each(['fcffffff1f', 'feffffffff7f', 'ffffffffffff3f'])(
  'an Avro list that says it has more items than the payload has bytes (%s) is refused before they are looked for',
  (count) => {
    const reader = readerOf(
      { kind: 'avro', file: join(import.meta.dirname, 'vectors/reading.avsc') },
      'device',
      'temp',
    );
    // device "", count 0, level 0, temp 0, no ratio, off, IDLE, no bytes; then the map.
    const head = Buffer.alloc(1 + 1 + 1 + 8 + 1 + 1 + 1 + 1);
    expect(readOne(reader, Buffer.concat([head, Buffer.from(count, 'hex')]))).toMatch(
      /^DECODE_FAILED: .*more items than there are bytes/,
    );
  },
);

test.each([
  // A list of one list of one list ...: its last element is also its first.
  ['msgpack', 0x91, 0xc0],
  ['cbor', 0x81, 0xf6],
] as const)('%s that is nested too deep is refused as that', (kind, listOfOne, nothing) => {
  const nested = (depth: number): Buffer => {
    const payload = Buffer.alloc(depth + 1, listOfOne);
    payload[depth] = nothing;
    return payload;
  };
  const reader = readerOf({ kind }, 'a');
  expect(readOne(reader, nested(100_000))).toMatch(/^DECODE_FAILED: .*: nested too deep$/);
  expect(readOne(reader, nested(50))).not.toContain('too deep');
});
