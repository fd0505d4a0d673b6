import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  DoubleDeserializer,
  DoubleSerializer,
  FloatDeserializer,
  FloatSerializer,
  IntegerDeserializer,
  IntegerSerializer,
  LongDeserializer,
  LongSerializer,
  ShortDeserializer,
  ShortSerializer,
} from '../../../src/producer/serializers/numbers.ts';
import type { Deserializer, Serializer } from '../../../src/producer/serializers/serializer.ts';
import {
  StringDeserializer,
  StringSerializer,
  UUIDDeserializer,
  UUIDSerializer,
} from '../../../src/producer/serializers/text.ts';
import type { TextEncodingName } from '../../../src/producer/serializers/text.ts';

const vectors = readFileSync(join(import.meta.dirname, 'vectors', 'serializer-vectors.tsv'), 'utf8')
  .replace(/\n$/, '')
  .split('\n')
  .map((line) => {
    const [format, encoding, data, hex] = line.split('\t') as [string, string, string, string];
    return { format, encoding: encoding.toLowerCase() as TextEncodingName, data, hex };
  });

function vectorsOf(format: string): typeof vectors {
  const found = vectors.filter((vector) => vector.format === format);
  expect(found.length).toBeGreaterThan(0);
  return found;
}

function codeUnits(hex: string): string {
  return String.fromCharCode(...(hex.match(/.{4}/g) ?? []).map((unit) => Number.parseInt(unit, 16)));
}

const hexOf = (bytes: Uint8Array | null) => Buffer.from(bytes!).toString('hex');
const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));

describe("Kafka's Java serializers", () => {
  const numbers: [string, Serializer<never>, Deserializer<unknown>, (data: string) => unknown][] = [
    ['short', new ShortSerializer(), new ShortDeserializer(), Number],
    ['integer', new IntegerSerializer(), new IntegerDeserializer(), Number],
    ['long', new LongSerializer(), new LongDeserializer(), BigInt],
    ['float', new FloatSerializer(), new FloatDeserializer(), (raw) => Buffer.from(raw, 'hex').readFloatBE()],
    [
      'double',
      new DoubleSerializer(),
      new DoubleDeserializer(),
      (raw) => Buffer.from(raw, 'hex').readDoubleBE(),
    ],
  ];

  it.each(numbers)(
    "Kafka's Java serializers write the same bytes of every %s, and they read back",
    (format, serializer, deserializer, parse) => {
      for (const { data, hex } of vectorsOf(format)) {
        const value = parse(data);
        expect(hexOf(serializer.serialize('t', value as never))).toBe(hex);
        expect(deserializer.deserialize('t', bytesOf(hex))).toBe(value);
      }
    },
  );

  it("Kafka's Java serializers write the same bytes of every UUID: its text, not its 16 bytes", () => {
    for (const { encoding, data, hex } of vectorsOf('uuid')) {
      expect(hexOf(new UUIDSerializer(encoding).serialize('t', data.toUpperCase()))).toBe(hex);
      expect(new UUIDDeserializer(encoding).deserialize('t', bytesOf(hex))).toBe(data);
    }
  });

  it("Kafka's Java serializers write the same bytes of every string in every encoding, halves of surrogate pairs included", () => {
    for (const { encoding, data, hex } of vectorsOf('string')) {
      const bytes = hexOf(new StringSerializer(encoding).serialize('t', codeUnits(data)));
      expect({ encoding, data, bytes }).toEqual({ encoding, data, bytes: hex });
    }
  });

  it("Kafka's Java serializers read the same text out of malformed bytes", () => {
    for (const { encoding, data, hex } of vectorsOf('decode:string')) {
      const text = new StringDeserializer(encoding).deserialize('t', bytesOf(hex));
      expect({ encoding, hex, text }).toEqual({ encoding, hex, text: codeUnits(data) });
    }
  });
});
