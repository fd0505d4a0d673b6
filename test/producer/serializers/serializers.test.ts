import avro from 'avsc';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { AvroDeserializer, AvroSerializer } from '../../../src/producer/serializers/avro.ts';
import {
  ByteArrayDeserializer,
  ByteArraySerializer,
  SelectingSerializer,
  SerializationError,
} from '../../../src/producer/serializers/serializer.ts';
import {
  DoubleDeserializer,
  DoubleSerializer,
  FloatDeserializer,
  FloatSerializer,
  IntegerDeserializer,
  IntegerSerializer,
  LongDeserializer,
  LongSerializer,
  SafeLongDeserializer,
  ShortDeserializer,
  ShortSerializer,
} from '../../../src/producer/serializers/numbers.ts';
import { JsonDeserializer, JsonSerializer } from '../../../src/producer/serializers/json.ts';
import { ProtobufDeserializer, ProtobufSerializer } from '../../../src/producer/serializers/protobuf.ts';
import type { Deserializer, Serializer } from '../../../src/producer/serializers/serializer.ts';
import {
  StringDeserializer,
  StringSerializer,
  UUIDDeserializer,
  UUIDSerializer,
} from '../../../src/producer/serializers/text.ts';
import type { TextEncodingName } from '../../../src/producer/serializers/text.ts';
import { ThriftDeserializer, ThriftSerializer } from '../../../src/producer/serializers/thrift.ts';
import { Reading, Sensor } from './sensor-thrift.ts';

const vectorFile = (name: string) => readFileSync(join(import.meta.dirname, 'vectors', name), 'utf8');
const { root } = protobuf.parse(vectorFile('sensor.proto'), { keepCase: true });
const sensorType = root.lookupType('fleet.test.Sensor');
const alarmType = root.lookupType('fleet.test.Alarm');

const readings = fc.array(
  fc.record({ name: fc.string({ unit: 'grapheme' }), value: fc.double({ noNaN: true }) }),
);
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
// Thrift's JavaScript library loses the sign of -0 in the compact protocol.
const unsignedZero = (value: number) => (Object.is(value, -0) ? 0 : value);

interface Format {
  readonly name: string;
  readonly serializer: Serializer<never>;
  readonly deserializer: Deserializer<unknown>;
  readonly values: fc.Arbitrary<unknown>;
  /** What comes back, made comparable. */
  readonly plain?: (value: never) => unknown;
}

class Timestamp extends avro.types.LogicalType {
  override _fromValue(millis: number): Date {
    return new Date(millis);
  }

  override _toValue(date: unknown): unknown {
    return date instanceof Date ? date.getTime() : undefined;
  }
}

class Dates extends avro.types.LogicalType {
  override _fromValue(millis: number[]): Date[] {
    return millis.map((it) => new Date(it));
  }
}

const bytes = fc.uint8Array({ maxLength: 200 });
const avroPair = {
  type: 'record',
  name: 'Pair',
  fields: [
    { name: 'id', type: 'long' },
    { name: 'name', type: ['null', 'string'], default: null },
    { name: 'values', type: { type: 'array', items: 'double' } },
    { name: 'raw', type: 'bytes' },
  ],
};

const thriftSensors = fc
  .record({
    device: fc.string({ unit: 'grapheme' }),
    seq: int32,
    rssi: fc.integer({ min: -32768, max: 32767 }),
    channel: fc.integer({ min: -128, max: 127 }),
    temperature: fc.double({ noNaN: true }).map(unsignedZero),
    charging: fc.boolean(),
    muted: fc.boolean(),
    status: fc.integer({ min: 0, max: 2 }),
    readings,
    counters: fc.dictionary(
      fc.string({ minLength: 1 }).filter((key) => key !== '__proto__'),
      int32,
    ),
    ports: fc.array(int32),
    note: fc.option(fc.string()),
    flags: fc.array(fc.boolean()),
  })
  .map((data) =>
    Object.assign(new Sensor(), data, {
      readings: data.readings.map(({ name, value }) =>
        Object.assign(new Reading(), { name, value: unsignedZero(value) }),
      ),
    }),
  );
const plainThrift = ({ ts, ...sensor }: Sensor) => ({
  ...sensor,
  ts: Number(ts),
  raw: sensor.raw.toString('hex'),
});

const formats: readonly Format[] = [
  ...(['utf-8', 'utf-16', 'utf-16be', 'utf-16le'] satisfies TextEncodingName[]).map((encoding) => ({
    name: `String in ${encoding}`,
    serializer: new StringSerializer(encoding),
    deserializer: new StringDeserializer(encoding),
    values: fc.string({ unit: 'grapheme' }),
  })),
  {
    name: 'ByteArray',
    serializer: new ByteArraySerializer(),
    deserializer: new ByteArrayDeserializer(),
    values: bytes,
  },
  {
    name: 'Short',
    serializer: new ShortSerializer(),
    deserializer: new ShortDeserializer(),
    values: fc.integer({ min: -32768, max: 32767 }),
  },
  {
    name: 'Integer',
    serializer: new IntegerSerializer(),
    deserializer: new IntegerDeserializer(),
    values: int32,
  },
  {
    name: 'Long',
    serializer: new LongSerializer(),
    deserializer: new LongDeserializer(),
    values: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  },
  {
    name: 'Long from and to safe numbers',
    serializer: new LongSerializer(),
    deserializer: new SafeLongDeserializer(),
    values: fc.maxSafeInteger(),
  },
  {
    name: 'Float',
    serializer: new FloatSerializer(),
    deserializer: new FloatDeserializer(),
    values: fc.float(),
  },
  {
    name: 'Double',
    serializer: new DoubleSerializer(),
    deserializer: new DoubleDeserializer(),
    values: fc.double(),
  },
  { name: 'UUID', serializer: new UUIDSerializer(), deserializer: new UUIDDeserializer(), values: fc.uuid() },
  {
    name: 'JSON',
    serializer: new JsonSerializer(),
    deserializer: new JsonDeserializer(),
    values: fc.jsonValue().filter((value) => value !== null),
    plain: (value) => JSON.stringify(value),
  },
  {
    name: 'Protobuf',
    serializer: new ProtobufSerializer<object>({ type: sensorType }),
    deserializer: new ProtobufDeserializer({ type: sensorType }),
    values: fc.record({ device: fc.string({ unit: 'grapheme' }), seq: fc.nat(), raw: bytes, readings }),
    plain: (value) => sensorType.toObject(sensorType.fromObject(value), { bytes: String, defaults: true }),
  },
  {
    name: 'Avro',
    serializer: new AvroSerializer({ schema: avroPair }),
    deserializer: new AvroDeserializer({ schema: avroPair }),
    values: fc.record({
      id: fc.maxSafeInteger(),
      name: fc.option(fc.string({ unit: 'grapheme', maxLength: 3000 })),
      values: fc.array(fc.double()),
      raw: bytes.map((it) => Buffer.from(it)),
    }),
    plain: (value: object) => ({ ...value }),
  },
  ...(['binary', 'compact'] as const).map((protocol) => ({
    name: `Thrift, ${protocol}`,
    serializer: new ThriftSerializer<Sensor>(protocol),
    deserializer: new ThriftDeserializer(Sensor, protocol),
    values: thriftSensors,
    plain: plainThrift,
  })),
];

describe.each(formats)('$name', ({ name, serializer, deserializer, values, plain = (it: unknown) => it }) => {
  it(`${name} comes back as it was sent`, () => {
    fc.assert(
      fc.property(values, (value) => {
        const written = serializer.serialize('t', value as never);
        // Not the serializer's buffer: a plain view in the middle of another one, as a consumer may hand it over.
        const around = new Uint8Array(written!.length + 8);
        around.set(written!, 3);
        const read = deserializer.deserialize('t', around.subarray(3, 3 + written!.length));
        expect(plain(read as never)).toEqual(plain(value as never));
      }),
    );
  });

  it(`${name} never changes bytes that it has handed out`, () => {
    fc.assert(
      fc.property(values, values, (first, second) => {
        const written = serializer.serialize('t', first as never)!;
        const before = Buffer.from(written);
        serializer.serialize('t', second as never);
        expect(Buffer.from(written).equals(before)).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  it(`${name} is a tombstone when it is null, both ways`, () => {
    expect(serializer.serialize('t', null)).toBeNull();
    expect(deserializer.deserialize('t', null)).toBeNull();
    expect(serializer.prepare?.('t', null)).toBeUndefined();
    expect(deserializer.prepare?.('t', null)).toBeUndefined();
  });

  it(`${name} reads any bytes at all as a value or as a SerializationError that names the topic`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (data) => {
        try {
          deserializer.deserialize('readings', data);
        } catch (error) {
          expect(error).toBeInstanceOf(SerializationError);
          expect(error).toMatchObject({
            code: 'DESERIALIZATION_FAILED',
            topic: 'readings',
            retriable: false,
          });
          expect((error as Error).message).not.toContain('undefined');
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('what a type has no place for is refused, not bent', () => {
  it.each<[string, Serializer<never>, unknown]>([
    ['Short', new ShortSerializer(), 32768],
    ['Short', new ShortSerializer(), 1.5],
    ['Integer', new IntegerSerializer(), 2 ** 31],
    ['Integer', new IntegerSerializer(), NaN],
    ['Integer', new IntegerSerializer(), '7'],
    ['Long', new LongSerializer(), 2n ** 63n],
    ['Long', new LongSerializer(), 2 ** 53],
    ['Long', new LongSerializer(), 'x'],
    ['Float', new FloatSerializer(), 1e300],
    ['Double', new DoubleSerializer(), '1.5'],
    ['UUID', new UUIDSerializer(), '1-2-3-4-5'],
    ['String', new StringSerializer(), 5],
    ['ByteArray', new ByteArraySerializer(), 'text'],
    ['JSON', new JsonSerializer(), undefined],
    ['JSON', new JsonSerializer(), 5n],
    ['Avro', new AvroSerializer({ schema: 'int' }), 1.5],
    ['Protobuf', new ProtobufSerializer<object>({ type: sensorType }), { device: 5 }],
    [
      'Thrift',
      new ThriftSerializer(),
      {
        write: (it: { writeString: (x: unknown) => void }) => {
          it.writeString(5);
        },
      },
    ],
  ])('%s', (_name, serializer, value) => {
    expect(() => serializer.serialize('readings', value as never)).toThrow(
      expect.objectContaining({
        code: 'SERIALIZATION_FAILED',
        topic: 'readings',
        retriable: false,
        isRecordFault: true,
      }),
    );
  });

  it('reads a long beyond 2^53 - 1 as a number never, as a bigint always', () => {
    const data = new LongSerializer().serialize('t', 2n ** 53n);
    expect(() => new SafeLongDeserializer().deserialize('t', data)).toThrow(/9007199254740992/);
    expect(new LongDeserializer().deserialize('t', data)).toBe(2n ** 53n);
  });

  it('reads no integer from bytes of another length', () => {
    expect(() => new IntegerDeserializer().deserialize('t', new Uint8Array(5))).toThrow(
      /5 bytes instead of 4/,
    );
  });
});

describe('StringSerializer', () => {
  it('StringSerializer takes encodings by the names that Java has for them', () => {
    expect(new StringSerializer('UTF-8' as TextEncodingName).serialize('t', 'ü')).toHaveLength(2);
    expect(() => new StringSerializer('ebcdic' as TextEncodingName)).toThrow(/utf-8/);
  });
});

describe('JsonDeserializer', () => {
  it('JsonDeserializer lets a schema library decide what it returns', () => {
    const validate = (json: unknown) => {
      if (typeof json !== 'number') throw new Error('not a number');
      return json;
    };
    const deserializer = new JsonDeserializer({ validate });
    expect(deserializer.deserialize('t', Buffer.from('5'))).toBe(5);
    expect(() => deserializer.deserialize('t', Buffer.from('"5"'))).toThrow(/not a number/);
  });
});

describe('ProtobufSerializer', () => {
  it('ProtobufSerializer refuses the bigint that protobufjs would write as 0', () => {
    const serializer = new ProtobufSerializer<object>({ type: sensorType });
    expect(() => serializer.serialize('t', { ts: 5n })).toThrow(/ts: integer\|Long expected/);
  });

  it('ProtobufSerializer does not ask again what the compiler vouched for', () => {
    const serializer = new ProtobufSerializer<object>({ type: sensorType, verify: false });
    expect(serializer.serialize('t', { seq: 5 })).toHaveLength(2);
  });

  it('ProtobufSerializer takes types without verify and fullName, as those of ts-proto', () => {
    const type = {
      encode: (message: { text: string }) => ({ finish: () => Buffer.from(message.text) }),
      decode: (data: Uint8Array) => ({ text: Buffer.from(data).toString() }),
    };
    expect(new ProtobufSerializer({ type }).serialize('t', { text: 'hi' })).toEqual(Buffer.from('hi'));
  });
});

describe('AvroSerializer', () => {
  it('AvroSerializer says which field does not fit, and what belongs there', () => {
    const serializer = new AvroSerializer({ schema: avroPair });
    const value = { id: 1, name: 'a', values: [1, 'two'], raw: Buffer.alloc(0) };
    expect(() => serializer.serialize('t', value)).toThrow(/Avro \(Pair\): values\.1 should be "double"/);
  });

  it('AvroSerializer fills in defaults', () => {
    const data = new AvroSerializer({ schema: avroPair }).serialize('t', {
      id: 1,
      values: [],
      raw: Buffer.alloc(0),
    });
    expect(new AvroDeserializer({ schema: avroPair }).deserialize('t', data)).toMatchObject({
      id: 1,
      name: null,
    });
  });

  it('AvroSerializer takes a schema as text, as an object, or as the name of a simple type', () => {
    for (const schema of ['{"type":"string"}', { type: 'string' }, 'string', '"string"']) {
      expect(new AvroSerializer({ schema }).serialize('t', 'hi')).toEqual(Buffer.from('\x04hi'));
    }
    expect(() => new AvroSerializer({ schema: 'strin' })).toThrow(/strin/);
  });

  it('AvroSerializer never rounds a long: numbers up to 2^53 - 1, or bigints', () => {
    const bigints = new AvroSerializer({ schema: 'long', longs: 'bigint' });
    const data = bigints.serialize('t', 2n ** 60n);
    expect(() => new AvroDeserializer({ schema: 'long' }).deserialize('t', data)).toThrow(SerializationError);
    expect(new AvroDeserializer({ schema: 'long', longs: 'bigint' }).deserialize('t', data)).toBe(2n ** 60n);
    expect(() => bigints.serialize('t', 2n ** 63n)).toThrow(SerializationError);
  });
});

describe('AvroDeserializer', () => {
  // A count of 2^30, then two bytes.
  const claims = Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x10, 1, 2);
  const array = (items: string) => ({ type: 'array', items });

  it.each([
    ['doubles', array('double')],
    ['nulls', array('null')],
    ['strings by name', { type: 'map', values: 'string' }],
    ['dates', { ...array('double'), logicalType: 'dates' }],
  ])('refuses a few bytes that claim a billion %s, before they take its memory', (_name, schema) => {
    const deserializer = new AvroDeserializer({ schema, avsc: { logicalTypes: { dates: Dates } } });
    expect(() => deserializer.deserialize('t', claims)).toThrow(/claims more items/);
  });

  it('AvroDeserializer reads arrays and maps of several blocks, with their sizes and without', () => {
    const bytes = Uint8Array.of(2, 2, 3, 4, 4, 6, 0);
    expect(new AvroDeserializer({ schema: array('int') }).deserialize('t', bytes)).toEqual([1, 2, 3]);
    const map = Uint8Array.of(1, 6, 2, 0x61, 2, 2, 2, 0x62, 4, 0);
    expect(new AvroDeserializer({ schema: { type: 'map', values: 'int' } }).deserialize('t', map)).toEqual({
      a: 1,
      b: 2,
    });
  });

  it('AvroDeserializer takes a map’s key __proto__ for a key like any other', () => {
    const schema = { type: 'map', values: 'int' };
    const map = JSON.parse('{"__proto__":5}') as object;
    const data = new AvroSerializer({ schema }).serialize('t', map);
    expect(JSON.stringify(new AvroDeserializer({ schema }).deserialize('t', data))).toBe('{"__proto__":5}');
  });

  it('AvroDeserializer makes every long a bigint when told to, one with a logical type that nobody knows too', () => {
    const schema = { type: 'array', items: { type: 'long', logicalType: 'timestamp-millis' } };
    const data = new AvroSerializer({ schema }).serialize('t', [5]);
    expect(new AvroDeserializer({ schema, longs: 'bigint' }).deserialize('t', data)).toEqual([5n]);
  });

  it('AvroDeserializer reads and writes logical types that avsc was given', () => {
    const schema = { type: 'array', items: { type: 'long', logicalType: 'timestamp-millis' } };
    const avsc = { logicalTypes: { 'timestamp-millis': Timestamp } };
    const data = new AvroSerializer({ schema, avsc }).serialize('t', [new Date(5)]);
    expect(new AvroDeserializer({ schema, avsc }).deserialize('t', data)).toEqual([new Date(5)]);
    expect(new AvroDeserializer({ schema }).deserialize('t', data)).toEqual([5]);
  });
});

describe('ThriftSerializer', () => {
  it('ThriftSerializer is not confused by a struct that failed in the middle of its fields', () => {
    const good = Object.assign(new Sensor(), { device: 'a' });
    for (const protocol of ['binary', 'compact'] as const) {
      const serializer = new ThriftSerializer<Sensor>(protocol);
      const expected = serializer.serialize('t', good);
      const bad = Object.assign(new Sensor(), { device: 'b', note: 5 });
      expect(() => serializer.serialize('t', bad)).toThrow(SerializationError);
      expect(serializer.serialize('t', good)).toEqual(expected);
    }
  });
});

describe('SelectingSerializer', () => {
  const sensors = new ProtobufSerializer<object>({ type: sensorType });
  const alarms = new ProtobufSerializer<object>({ type: alarmType });
  const selecting = new SelectingSerializer<{ kind: string }>(({ kind }) =>
    kind === 'sensor' ? sensors : kind === 'alarm' ? alarms : undefined,
  );

  it('SelectingSerializer gives each kind of data to its own serializer', () => {
    const alarm = { kind: 'alarm', code: 7 };
    expect(selecting.serialize('t', alarm)).toEqual(alarms.serialize('t', alarm));
    expect(selecting.serialize('t', null)).toBeNull();
  });

  it('SelectingSerializer refuses a kind that has none', () => {
    expect(() => selecting.serialize('t', { kind: 'ghost' })).toThrow(SerializationError);
  });
});
