import { cannotSerialize } from './errors.ts';
import { sized } from './integers.ts';
import type { Deserializer, Serializer } from './serializer.ts';

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
