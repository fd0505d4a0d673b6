import { cannotSerialize } from './errors.ts';
import type { Deserializer, Serializer } from './serializer.ts';

/** Bytes as they are, without a copy. */
export class ByteArraySerializer implements Serializer<Uint8Array> {
  serialize(topic: string, data: Uint8Array | null): Uint8Array | null {
    if (data !== null && !(data instanceof Uint8Array)) {
      throw cannotSerialize(topic, 'bytes', `it is a ${typeof data}, not a Uint8Array`);
    }
    return data;
  }
}

/** Bytes as they are, without a copy: a view on what was fetched. */
export class ByteArrayDeserializer implements Deserializer<Uint8Array> {
  deserialize(_topic: string, data: Uint8Array | null): Uint8Array | null {
    return data;
  }
}
