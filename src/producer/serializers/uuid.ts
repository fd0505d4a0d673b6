import { cannotDeserialize, cannotSerialize } from './errors.ts';
import type { Deserializer, Serializer } from './serializer.ts';
import { textEncoding, type TextEncoding, type TextEncodingName } from './text-encoding.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * A UUID as Java's UUIDSerializer writes it: not its 16 bytes but its text form of 36 characters, in lower case,
 * so that a key has the same bytes, and the same partition, whoever produces it.
 */
export class UUIDSerializer implements Serializer<string> {
  readonly #encoding: TextEncoding;

  /** @throws RangeError for an unknown encoding */
  constructor(encoding: TextEncodingName = 'utf-8') {
    this.#encoding = textEncoding(encoding);
  }

  serialize(topic: string, data: string | null): Uint8Array | null {
    if (data === null) return null;
    if (!UUID.test(data)) {
      throw cannotSerialize(topic, 'a UUID', 'it is not 32 hexadecimal digits in groups of 8-4-4-4-12');
    }
    return this.#encoding.encode(data.toLowerCase());
  }
}

/** The text form in lower case. Shortened forms such as `1-2-3-4-5`, which Java reads too, are refused. */
export class UUIDDeserializer implements Deserializer<string> {
  readonly #encoding: TextEncoding;

  /** @throws RangeError for an unknown encoding */
  constructor(encoding: TextEncodingName = 'utf-8') {
    this.#encoding = textEncoding(encoding);
  }

  deserialize(topic: string, data: Uint8Array | null): string | null {
    if (data === null) return null;
    const text = this.#encoding.decode(data);
    if (!UUID.test(text)) {
      throw cannotDeserialize(topic, 'a UUID', 'it is not 32 hexadecimal digits in groups of 8-4-4-4-12');
    }
    return text.toLowerCase();
  }
}
