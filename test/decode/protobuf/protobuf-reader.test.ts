import { join } from 'node:path';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { FieldValues } from '../../../src/decode/formats/field-values.ts';
import { loadMessageType } from '../../../src/decode/protobuf/message-type.ts';
import { compileMessagePlan } from '../../../src/decode/protobuf/protobuf-plan.ts';
import { ProtobufReader } from '../../../src/decode/protobuf/protobuf-reader.ts';
import { plainValue, type PlainValue } from '../values.ts';

const SCHEMAS = join(import.meta.dirname, '../schemas');

/**
 * protobufjs, but for one thing: it skips an unknown varint of any length. A varint has 10 bytes at most
 * (protobuf.dev, "Encoding"), and protobuf's own implementations refuse a longer one wherever it stands.
 */
class Judge extends protobuf.BufferReader {
  override skip(length?: number): protobuf.Reader {
    const start = this.pos;
    super.skip(length);
    if (length === undefined && this.pos - start > 10) throw new RangeError('a varint of more than 10 bytes');
    return this;
  }
}

/** Our reader, and protobufjs' as the judge of what it reads. */
class Pair {
  readonly reader: ProtobufReader;
  readonly type: protobuf.Type;
  readonly paths: readonly string[];
  readonly values: FieldValues;

  constructor(file: string, message: string, paths: readonly string[]) {
    const compiled = compileMessagePlan(loadMessageType(join(SCHEMAS, file), message).schema, paths);
    if (!('plan' in compiled)) throw new Error(JSON.stringify(compiled.problems));
    this.reader = new ProtobufReader(compiled.plan, compiled.fields);
    this.type = new protobuf.Root().loadSync(join(SCHEMAS, file), { keepCase: true }).lookupType(message);
    this.paths = paths;
    this.values = new FieldValues(paths.length);
  }

  ours(bytes: Uint8Array): Record<string, PlainValue> | undefined {
    const payload = Buffer.from(bytes);
    if (this.reader.read(payload, this.values) !== undefined) return undefined;
    return Object.fromEntries(this.paths.map((path, slot) => [path, plainValue(this.values, slot)]));
  }

  theirs(bytes: Uint8Array): Record<string, PlainValue> | undefined {
    let message: protobuf.Message;
    try {
      message = this.type.decode(new Judge(Buffer.from(bytes)));
    } catch {
      return undefined;
    }
    return Object.fromEntries(this.paths.map((path) => [path, this.#valueAt(message, path)]));
  }

  #valueAt(root: protobuf.Message, path: string): PlainValue {
    let message: unknown = root;
    let type = this.type;
    const names = path.split('.');
    for (const [depth, name] of names.entries()) {
      const field = type.fields[name]!.resolve();
      const owner = message as Record<string, unknown>;
      if (field.resolvedType instanceof protobuf.Type) {
        if (!Object.hasOwn(owner, name)) return undefined;
        message = owner[name];
        type = field.resolvedType;
        if (depth < names.length - 1) continue;
        // google.protobuf.DoubleValue and its like.
        return plain((message as Record<string, unknown>).value, type.fields.value!);
      }
      const present = Object.hasOwn(owner, name);
      const presence: unknown = field.hasPresence;
      if (!present && (presence || field.type === 'string' || field.type === 'bytes')) return undefined;
      return plain(owner[name], field);
    }
    throw new Error(`nothing at ${path}`);
  }
}

function plain(value: unknown, field: protobuf.Field): PlainValue {
  if (field.type === 'bytes') return Uint8Array.from(value as Uint8Array);
  if (field.type === 'float' || field.type === 'double' || typeof value !== 'number') {
    return typeof value === 'object' ? (value as { toBigInt(): bigint }).toBigInt() : (value as PlainValue);
  }
  return BigInt(value);
}

const ZOO_PATHS = [
  ...['d', 'f', 'i32', 'i64', 'u32', 'u64', 's32', 's64', 'x32', 'x64', 'y32', 'y64', 'b', 's', 'y'],
  ...['oi', 'os', 'kind', 'nested.a', 'nested.b', 'nested.c', 'nested.deeper.a', 'ca', 'cb', 'cn.a', 'cn.c'],
  ...['wrapped', 'child.i32', 'child.nested.b', 'child.child.s64', 'at.seconds', 'at.nanos', 'far'],
];
const zoo = new Pair('zoo.proto', 'zoo.Animal', ZOO_PATHS);
const museum = new Pair('museum.proto', 'museum.Exhibit', [
  ...['id', 'label', 'era', 'room.name', 'room.number', 'shelf', 'floor', 'scan'],
]);

describe('a field as protobufjs wrote it', () => {
  const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
  const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
  const text = fc.string({ unit: 'binary', maxLength: 20 });
  const nested = fc.record({ a: int32, b: fc.double(), c: text }, { requiredKeys: [] });
  const leaf = {
    d: fc.double(),
    f: fc.float(),
    ...{ i32: int32, u32: uint32, s32: int32, x32: uint32, y32: int32, far: int32 },
    ...{ i64: int64, u64: uint64, s64: int64, x64: uint64, y64: int64 },
    b: fc.boolean(),
    s: text,
    y: fc.uint8Array({ maxLength: 20 }),
    oi: int32,
    os: text,
    kind: fc.constantFrom(0, 1, 5, -3, 77),
    nested: fc.record({ a: int32, b: fc.double(), c: text, deeper: nested }, { requiredKeys: [] }),
    packed: fc.array(int32),
    names: fc.array(text),
    many: fc.array(nested),
    counts: fc.dictionary(text, int64),
    wrapped: fc.record({ value: fc.double() }, { requiredKeys: [] }),
    packed32: fc.array(uint32),
    packed64: fc.array(fc.double()),
    at: fc.record({ seconds: int64, nanos: int32 }, { requiredKeys: [] }),
    unasked_text: text,
  };
  const choice = fc.oneof(
    fc.record({ ca: int32 }),
    fc.record({ cb: text }),
    fc.record({ cn: nested }),
    fc.constant({}),
  );
  const animal = fc
    .tuple(
      fc.record(leaf, { requiredKeys: [] }),
      choice,
      fc.option(fc.record({ ...leaf, child: fc.record(leaf, { requiredKeys: [] }) }, { requiredKeys: [] })),
    )
    .map(([fields, one, child]) => ({ ...fields, ...one, ...(child && { child }) }));

  test('is read as protobufjs reads it', () => {
    fc.assert(
      fc.property(animal, (fields) => {
        const bytes = zoo.type.encode(zoo.type.fromObject(fields)).finish();
        fc.pre(bytes.length > 0);
        expect(zoo.ours(bytes)).toEqual(zoo.theirs(bytes));
      }),
      { numRuns: 800 },
    );
  });

  test('is read or refused as protobufjs does it when bytes are changed, lost, doubled or put in', () => {
    const change = fc.record({
      at: fc.nat(),
      kind: fc.constantFrom('flip', 'cut', 'double', 'insert', 'tail'),
      byte: fc.integer({ min: 0, max: 255 }),
      length: fc.integer({ min: 1, max: 12 }),
    });
    let accepted = 0;
    let refused = 0;
    fc.assert(
      fc.property(animal, fc.array(change, { minLength: 1, maxLength: 3 }), (fields, changes) => {
        let bytes = Buffer.from(zoo.type.encode(zoo.type.fromObject(fields)).finish());
        for (const { at, kind, byte, length } of changes) {
          const place = at % (bytes.length + 1);
          const head = bytes.subarray(0, place);
          const rest = bytes.subarray(place);
          if (kind === 'flip') bytes = Buffer.concat([head, Buffer.of(byte), rest.subarray(1)]);
          if (kind === 'cut') bytes = Buffer.concat([head, rest.subarray(length)]);
          if (kind === 'double') bytes = Buffer.concat([head, rest.subarray(0, length), rest]);
          if (kind === 'insert') bytes = Buffer.concat([head, Buffer.of(byte), rest]);
          if (kind === 'tail') bytes = Buffer.concat([bytes, bytes.subarray(place)]);
        }
        fc.pre(bytes.length > 0);
        const theirs = zoo.theirs(bytes);
        if (theirs === undefined) refused += 1;
        else accepted += 1;
        expect(zoo.ours(bytes)).toEqual(theirs);
      }),
      { numRuns: 2_500 },
    );
    expect(accepted).toBeGreaterThan(50);
    expect(refused).toBeGreaterThan(50);
  });
});

describe('fields put together on the wire', () => {
  const varint = (value: bigint, padding = 0): number[] => {
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, value);
    while (rest > 0x7fn) {
      bytes.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    bytes.push(Number(rest));
    for (let index = 0; index < padding && bytes.length < 10; index++) {
      bytes[bytes.length - 1]! |= 0x80;
      bytes.push(0);
    }
    return bytes;
  };
  const tag = (number: number, wireType: number): number[] => varint(BigInt(number * 8 + wireType));
  // Numbers of all fields, and some that the schema doesn't have.
  const number = fc.oneof(
    fc.integer({ min: 1, max: 34 }),
    fc.constantFrom(2000, 2001, 2002, 2003, 5000, 536_870_911),
  );
  const { field } = fc.letrec<{ field: number[] }>((tie) => ({
    field: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc
        .tuple(number, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.nat({ max: 3 }))
        .map(([n, value, padding]) => [...tag(n, 0), ...varint(value, padding)]),
      fc.tuple(number, fc.uint8Array({ minLength: 8, maxLength: 8 })).map(([n, b]) => [...tag(n, 1), ...b]),
      fc.tuple(number, fc.uint8Array({ minLength: 4, maxLength: 4 })).map(([n, b]) => [...tag(n, 5), ...b]),
      fc
        .tuple(number, fc.uint8Array({ maxLength: 16 }))
        .map(([n, b]) => [...tag(n, 2), ...varint(BigInt(b.length)), ...b]),
      fc
        .tuple(number, fc.string({ unit: 'grapheme', maxLength: 8 }))
        .map(([n, s]) => [...tag(n, 2), ...varint(BigInt(Buffer.byteLength(s))), ...Buffer.from(s)]),
      fc.tuple(number, fc.array(tie('field'), { maxLength: 4 })).map(([n, inner]) => {
        const body = inner.flat();
        return [...tag(n, 2), ...varint(BigInt(body.length)), ...body];
      }),
      fc
        .tuple(number, fc.array(tie('field'), { maxLength: 3 }), fc.boolean())
        .map(([n, inner, right]) => [...tag(n, 3), ...inner.flat(), ...tag(right ? n : n + 1, 4)]),
    ),
  }));

  test('are read or refused as protobufjs does it, in whatever order and however often they come', () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(field, { minLength: 1, maxLength: 12 }), (fields) => {
        const bytes = Uint8Array.from(fields.flat());
        const theirs = zoo.theirs(bytes);
        if (theirs !== undefined) accepted += 1;
        expect(zoo.ours(bytes)).toEqual(theirs);
      }),
      { numRuns: 2_500 },
    );
    expect(accepted).toBeGreaterThan(100);
  });

  test('are read or refused alike with what proto2 has besides', () => {
    let accepted = 0;
    const id = fc.constant([...tag(1, 0), 7]);
    fc.assert(
      fc.property(fc.array(fc.oneof(field, id), { minLength: 1, maxLength: 8 }), (fields) => {
        const bytes = Uint8Array.from([...fields.flat(), ...tag(1, 0), 7]);
        const theirs = museum.theirs(bytes);
        if (theirs !== undefined) accepted += 1;
        // Text that is asked for must be UTF-8, because the envelope is proto3.
        fc.pre(!Object.values(theirs ?? {}).some((value) => String(value).includes('\ufffd')));
        expect(museum.ours(bytes)).toEqual(theirs);
      }),
      { numRuns: 2_500 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});

describe('what protobuf says about fields', () => {
  const read = (pair: Pair, ...bytes: number[]): Record<string, PlainValue> | undefined =>
    pair.ours(Uint8Array.from(bytes));

  test('a proto3 field without presence is 0 when it is not on the wire, one with presence is absent', () => {
    const values = read(zoo, 0x80, 0x7d, 0x01);
    expect(values).toMatchObject({ far: 1n, i32: 0n, d: 0, b: false, kind: 0n });
    expect(values).toMatchObject({ oi: undefined, os: undefined, s: undefined, y: undefined, ca: undefined });
  });

  test('fields of a message that is not there are absent, of an empty one 0', () => {
    expect(read(zoo, 0x18, 0x01)).toMatchObject({ 'nested.a': undefined, wrapped: undefined });
    expect(read(zoo, 0x9a, 0x01, 0x00, 0xe2, 0x01, 0x00)).toMatchObject({
      'nested.a': 0n,
      'nested.b': undefined,
      'nested.deeper.a': undefined,
      wrapped: 0,
    });
  });

  test('a message in two parts is merged', () => {
    // nested { a: 1 }, then nested { c: "x" }
    const bytes = [0x9a, 0x01, 0x02, 0x08, 0x01, 0x9a, 0x01, 0x03, 0x1a, 0x01, 0x78];
    expect(read(zoo, ...bytes)).toMatchObject({ 'nested.a': 1n, 'nested.c': 'x' });
  });

  test('the last member of a oneof takes the place of the others, messages included', () => {
    // cn { a: 1 }, ca: 7, then cn { c: "x" }
    const cn = [0xb2, 0x01, 0x02, 0x08, 0x01];
    const ca = [0xa0, 0x01, 0x07];
    const later = [0xb2, 0x01, 0x03, 0x1a, 0x01, 0x78];
    expect(read(zoo, ...cn, ...ca)).toMatchObject({ ca: 7n, 'cn.a': undefined });
    expect(read(zoo, ...cn, ...ca, ...later)).toMatchObject({ ca: undefined, 'cn.a': 0n, 'cn.c': 'x' });
  });

  test('integers beyond 2^53 are exact', () => {
    const extremes = { i64: '-9223372036854775808', u64: '18446744073709551615', s64: '9007199254740993' };
    expect(zoo.ours(zoo.type.encode(zoo.type.fromObject(extremes)).finish())).toMatchObject({
      i64: -(2n ** 63n),
      u64: 2n ** 64n - 1n,
      s64: 2n ** 53n + 1n,
    });
  });

  test.each([
    ['a value cut short', [0x09, 0, 0, 0], 'a value cut short at byte 1'],
    ['a length beyond the end', [0x72, 0x05, 0x61], 'a value cut short at byte 2'],
    [
      'a length beyond its message',
      [0x9a, 0x01, 0x02, 0x1a, 0x05, 0x61, 0x61, 0x61],
      'a value cut short at byte 5',
    ],
    ['a negative length', [0x72, 0xff, 0xff, 0xff, 0xff, 0x0f], 'a length of more than 31 bits at byte 6'],
    [
      'a varint without end',
      [0x18, ...Array<number>(10).fill(0x80)],
      'a varint of more than 10 bytes at byte 11',
    ],
    [
      'an unknown varint without end',
      [0x10, ...Array<number>(10).fill(0x80), 0x01],
      'a varint of more than 10 bytes at byte 11',
    ],
    ['invalid UTF-8', [0x72, 0x02, 0xc3, 0x28], 'text of invalid UTF-8 at byte 2'],
    ['field number 0', [0x02, 0x00], 'field number 0 at byte 1'],
    ['wire type 6', [0x0e], 'wire type 6 at byte 1'],
    ['the end of a group that was not begun', [0x0c], 'the end of a group that was not begun at byte 1'],
    ['a group that ends as another', [0xa3, 0x06, 0xac, 0x06], 'the end of another group at byte 4'],
    ['a group without end', [0xa3, 0x06], 'a group without end at byte 2'],
    ['packed values cut short', [0xf2, 0x01, 0x03, 0, 0, 0], 'packed values cut short at byte 3'],
  ])('%s is refused, with the place', (_, bytes, expected) => {
    const fault = zoo.reader.read(Buffer.from(bytes), zoo.values);
    expect(fault).toEqual({ code: 'DECODE_FAILED', message: `not a zoo.Animal: ${expected}` });
  });

  test('an empty payload is refused as such: it is no reading of zeros', () => {
    expect(zoo.reader.read(Buffer.alloc(0), zoo.values)?.code).toBe('PAYLOAD_EMPTY');
  });

  test('a missing required field is refused', () => {
    expect(read(museum, 0x12, 0x01, 0x61)).toBeUndefined();
    expect(read(museum, 0x08, 0x01)).toMatchObject({ id: 1n, label: undefined, era: undefined });
  });

  test('nesting ends at 100 levels, in messages and in groups, before the stack does', () => {
    const nest = (depth: number): number[] => {
      let bytes: number[] = [];
      for (let level = 0; level < depth; level++) {
        const length =
          bytes.length < 128 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7];
        bytes = [0xea, 0x01, ...length, ...bytes];
      }
      return bytes;
    };
    expect(read(zoo, ...nest(100))).toBeDefined();
    expect(read(zoo, ...nest(101))).toBeUndefined();
    expect(zoo.ours(Buffer.alloc(200_000, 0x0b))).toBeUndefined();
  });
});

describe('a path', () => {
  const problem = (file: string, message: string, path: string): string => {
    const compiled = compileMessagePlan(loadMessageType(join(SCHEMAS, file), message).schema, [path]);
    if (!('problems' in compiled)) throw new Error(`${path} was accepted`);
    return compiled.problems.map(({ found, expected }) => `found ${found}, expected ${expected}`).join('; ');
  };

  test.each([
    ['nested.x', 'found no field x in zoo.Nested, expected one of a, b, c, deeper'],
    [
      'nested',
      'found nested, which is a message, expected one of its fields: nested.a, nested.b, nested.c, nested.deeper',
    ],
    ['d.x', 'found d.x, where d is a single value, expected a field of a message'],
    ['names', 'found names, which is repeated, expected a field with a single value'],
    ['many.a', 'found many, which is repeated, expected a field with a single value'],
    ['counts.x', 'found counts, which is a map, expected a field with a single value'],
  ])('%s is a fault that says what there is', (path, expected) => {
    expect(problem('zoo.proto', 'zoo.Animal', path)).toBe(expected);
  });

  test('into a group is a fault', () => {
    expect(problem('museum.proto', 'museum.Exhibit', 'frame.width')).toBe(
      'found frame, which is a group, expected a field of a message',
    );
  });

  test('to the same field by another name is a fault', () => {
    const { schema } = loadMessageType(join(SCHEMAS, 'zoo.proto'), 'zoo.Animal');
    expect(compileMessagePlan(schema, ['wrapped', 'wrapped.value'])).toEqual({
      problems: [{ field: 1, found: 'wrapped.value, which is wrapped', expected: 'one way to name a field' }],
    });
  });
});
