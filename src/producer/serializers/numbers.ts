import { asBuffer, cannotDeserialize, cannotSerialize } from './serializer.ts';
import type { Deserializer, Serializer } from './serializer.ts';

const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;

/** A 16-bit signed integer, 2 bytes big-endian: Java's Short. */
export class ShortSerializer implements Serializer<number> {
  serialize(topic: string, data: number | null): Uint8Array | null {
    if (data === null) return null;
    // The shift drops every bit that a short has no room for.
    if ((data << 16) >> 16 !== data) throw cannotSerialize(topic, 'a 16-bit integer', notOne(data));
    const bytes = Buffer.allocUnsafe(2);
    bytes.writeInt16BE(data);
    return bytes;
  }
}

export class ShortDeserializer implements Deserializer<number> {
  deserialize(topic: string, data: Uint8Array | null): number | null {
    return data === null ? null : sized(topic, 'a 16-bit integer', data, 2).readInt16BE();
  }
}

/** A 32-bit signed integer, 4 bytes big-endian: Java's Integer. */
export class IntegerSerializer implements Serializer<number> {
  serialize(topic: string, data: number | null): Uint8Array | null {
    if (data === null) return null;
    if ((data | 0) !== data) throw cannotSerialize(topic, 'a 32-bit integer', notOne(data));
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeInt32BE(data);
    return bytes;
  }
}

export class IntegerDeserializer implements Deserializer<number> {
  deserialize(topic: string, data: Uint8Array | null): number | null {
    return data === null ? null : sized(topic, 'a 32-bit integer', data, 4).readInt32BE();
  }
}

/** A 64-bit signed integer, 8 bytes big-endian: Java's Long. Takes a bigint, or a number that is a safe integer. */
export class LongSerializer implements Serializer<bigint | number> {
  serialize(topic: string, data: bigint | number | null): Uint8Array | null {
    if (data === null) return null;
    if (typeof data === 'bigint' ? data < LONG_MIN || data > LONG_MAX : !Number.isSafeInteger(data)) {
      throw cannotSerialize(topic, 'a 64-bit integer', notOne(data));
    }
    const bytes = Buffer.allocUnsafe(8);
    if (typeof data === 'bigint') {
      bytes.writeBigInt64BE(data);
    } else {
      // In two halves: 60 ns less than by way of a bigint.
      bytes.writeInt32BE(Math.floor(data / 2 ** 32), 0);
      bytes.writeUInt32BE(data >>> 0, 4);
    }
    return bytes;
  }
}

/** A 64-bit signed integer as a bigint, which holds all of them. */
export class LongDeserializer implements Deserializer<bigint> {
  deserialize(topic: string, data: Uint8Array | null): bigint | null {
    return data === null ? null : sized(topic, 'a 64-bit integer', data, 8).readBigInt64BE();
  }
}

/** A 64-bit signed integer as a number; one beyond 2^53 - 1 either way is an error, never rounded. */
export class SafeLongDeserializer implements Deserializer<number> {
  deserialize(topic: string, data: Uint8Array | null): number | null {
    if (data === null) return null;
    const long = sized(topic, 'a 64-bit integer', data, 8).readBigInt64BE();
    const number = Number(long);
    if (!Number.isSafeInteger(number)) {
      throw cannotDeserialize(
        topic,
        'a safe integer',
        `${long} is beyond 2^53 - 1; LongDeserializer reads it`,
      );
    }
    return number;
  }
}

/** The bytes, if there are exactly `size` of them, as Java's deserializers demand. */
function sized(topic: string, format: string, data: Uint8Array, size: number): Buffer {
  if (data.length !== size) {
    throw cannotDeserialize(topic, format, `it has ${data.length} bytes instead of ${size}`);
  }
  return asBuffer(data);
}

function notOne(data: unknown): string {
  return typeof data === 'number' || typeof data === 'bigint'
    ? `${data} is out of range or no integer`
    : `it is a ${typeof data}`;
}

/**
 * An IEEE 754 number of 32 bits, 4 bytes big-endian: Java's Float. A number is rounded to the nearest that 32 bits
 * can hold; a finite one that they can't hold at all is an error rather than Infinity.
 */
export class FloatSerializer implements Serializer<number> {
  serialize(topic: string, data: number | null): Uint8Array | null {
    if (data === null) return null;
    if (typeof data !== 'number') throw cannotSerialize(topic, 'a 32-bit float', `it is a ${typeof data}`);
    if (Number.isFinite(data) && !Number.isFinite(Math.fround(data))) {
      throw cannotSerialize(topic, 'a 32-bit float', `${data} is out of range`);
    }
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeFloatBE(data);
    return bytes;
  }
}

export class FloatDeserializer implements Deserializer<number> {
  deserialize(topic: string, data: Uint8Array | null): number | null {
    return data === null ? null : sized(topic, 'a 32-bit float', data, 4).readFloatBE();
  }
}

/** An IEEE 754 number of 64 bits, 8 bytes big-endian: Java's Double. */
export class DoubleSerializer implements Serializer<number> {
  serialize(topic: string, data: number | null): Uint8Array | null {
    if (data === null) return null;
    if (typeof data !== 'number') throw cannotSerialize(topic, 'a 64-bit float', `it is a ${typeof data}`);
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeDoubleBE(data);
    return bytes;
  }
}

export class DoubleDeserializer implements Deserializer<number> {
  deserialize(topic: string, data: Uint8Array | null): number | null {
    return data === null ? null : sized(topic, 'a 64-bit float', data, 8).readDoubleBE();
  }
}
