import { cannotSerialize } from './errors.ts';
import type { Deserializer, Serializer } from './serializer.ts';
import { textEncoding, type TextEncoding, type TextEncodingName } from './text-encoding.ts';

/**
 * Text in UTF-8, or in the encoding that is named (Java's `serializer.encoding`). As in Java what the encoding
 * can't represent becomes its replacement character: this never fails for a string.
 */
export class StringSerializer implements Serializer<string> {
  readonly #encoding: TextEncoding;

  /** @throws RangeError for an unknown encoding */
  constructor(encoding: TextEncodingName = 'utf-8') {
    this.#encoding = textEncoding(encoding);
  }

  serialize(topic: string, data: string | null): Uint8Array | null {
    if (data === null) return null;
    if (typeof data !== 'string') throw cannotSerialize(topic, 'a string', `it is a ${typeof data}`);
    return this.#encoding.encode(data);
  }
}

/** What {@link StringSerializer} wrote. As in Java malformed input becomes U+FFFD: this never fails. */
export class StringDeserializer implements Deserializer<string> {
  readonly #encoding: TextEncoding;

  /** @throws RangeError for an unknown encoding */
  constructor(encoding: TextEncodingName = 'utf-8') {
    this.#encoding = textEncoding(encoding);
  }

  deserialize(_topic: string, data: Uint8Array | null): string | null {
    return data === null ? null : this.#encoding.decode(data);
  }
}
