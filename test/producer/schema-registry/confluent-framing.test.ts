import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  framePrefix,
  readMessageIndexes,
  readSchemaId,
} from '../../../src/producer/schema-registry/confluent-framing.ts';
import { SerializationError } from '../../../src/producer/serializers/serializer.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe("Confluent's wire format", () => {
  it("Confluent's wire format is the byte 0, the schema id big-endian, and for Protobuf the message indexes", () => {
    expect(hex(framePrefix(0x01020304))).toBe('0001020304');
    expect(hex(framePrefix(1, [0]))).toBe('000000000100');
    expect(hex(framePrefix(1, [1]))).toBe('00000000010202');
    expect(hex(framePrefix(1, [0, 0]))).toBe('0000000001040000');
    expect(hex(framePrefix(1, [2, 100]))).toBe('00000000010404c801');
  });

  it("Confluent's wire format gives back the id and the indexes that were put in", () => {
    const indexes = fc.array(fc.nat({ max: 100_000 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 31 - 1 }), indexes, (id, messageIndexes) => {
        const prefix = framePrefix(id, messageIndexes);
        expect(readSchemaId('t', prefix)).toBe(id);
        expect(readMessageIndexes(prefix)).toEqual({ messageIndexes, offset: prefix.length });
      }),
    );
  });

  it("Confluent's wire format takes the first message written at length as the first message, as Confluent does", () => {
    expect(readMessageIndexes(Uint8Array.of(0, 0, 0, 0, 1, 2, 0))).toEqual({
      messageIndexes: [0],
      offset: 7,
    });
  });

  it("Confluent's wire format says so when bytes are in another format", () => {
    const read = (...bytes: number[]) => {
      try {
        return readSchemaId('readings', Uint8Array.from(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(SerializationError);
        return (error as SerializationError).message;
      }
    };
    expect(read(0, 0, 0, 1)).toMatch(/topic 'readings' .*it has 4 bytes/);
    expect(read(123, 34, 97, 34, 58, 49, 125)).toMatch(/begins with byte 123/);
  });

  it("Confluent's wire format refuses malformed message indexes instead of reading on or allocating for them", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (tail) => {
        const framed = readMessageIndexes(Uint8Array.of(0, 0, 0, 0, 1, ...tail));
        expect(framed === undefined || framed.offset <= 5 + tail.length).toBe(true);
      }),
    );
    for (const tail of [[1], [0x80], [0xff, 0xff, 0xff, 0xff, 0x0f], [2, 1], [4, 0]]) {
      expect(readMessageIndexes(Uint8Array.of(0, 0, 0, 0, 1, ...tail))).toBeUndefined();
    }
  });
});
