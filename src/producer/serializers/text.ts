import { asBuffer, cannotDeserialize, cannotSerialize } from './serializer.ts';
import type { Deserializer, Serializer } from './serializer.ts';

/**
 * Java's name of a character set, in lower case or any other. `utf-16` writes a big-endian byte order mark and
 * heeds one when it reads, as in Java.
 */
export type TextEncodingName = 'utf-8' | 'us-ascii' | 'iso-8859-1' | 'utf-16' | 'utf-16be' | 'utf-16le';

/** Text to bytes and back exactly as `String.getBytes(charset)` and `new String(bytes, charset)` do it. */
interface TextEncoding {
  encode(text: string): Buffer;
  decode(bytes: Uint8Array): string;
}

const BYTE_ORDER_MARK = 0xfeff;
const LONE_SURROGATE = /[\ud800-\udfff]/gu;
const PAIR_OR_HALF = /[\ud800-\udbff][^]?|[\udc00-\udfff]/g;

const utf8: TextEncoding = {
  // Java writes `?` for half a surrogate pair; Node would write U+FFFD. isWellFormed is free for Latin text.
  encode: (text) => Buffer.from(text.isWellFormed() ? text : text.replace(LONE_SURROGATE, '?'), 'utf8'),
  decode: (bytes) => asBuffer(bytes).toString('utf8'),
};

const ascii: TextEncoding = {
  encode: (text) => Buffer.from(text.replace(/\P{ASCII}/gu, '?'), 'latin1'),
  decode: (bytes) =>
    asBuffer(bytes)
      .toString('latin1')
      .replace(/\P{ASCII}/gu, '\ufffd'),
};

const latin1: TextEncoding = {
  encode: (text) => Buffer.from(text.replace(/[\u0100-\u{10ffff}]/gu, '?'), 'latin1'),
  decode: (bytes) => asBuffer(bytes).toString('latin1'),
};

const utf16le: TextEncoding = {
  encode: (text) => encodeUtf16(text),
  decode: (bytes) => decodeUtf16(asBuffer(bytes)),
};

const utf16be: TextEncoding = {
  encode: (text) => encodeUtf16(text).swap16(),
  decode: (bytes) => decodeUtf16(swapped(bytes)),
};

const utf16: TextEncoding = {
  encode: (text) =>
    text === '' ? Buffer.alloc(0) : utf16be.encode(String.fromCharCode(BYTE_ORDER_MARK) + text),
  decode(bytes) {
    if (bytes.length < 2) return utf16be.decode(bytes);
    const [first, second] = bytes;
    if (first === 0xff && second === 0xfe) return utf16le.decode(bytes.subarray(2));
    return utf16be.decode(first === 0xfe && second === 0xff ? bytes.subarray(2) : bytes);
  },
};

const ENCODINGS: Readonly<Record<string, TextEncoding>> = {
  'utf-8': utf8,
  utf8,
  'us-ascii': ascii,
  ascii,
  'iso-8859-1': latin1,
  latin1,
  'utf-16': utf16,
  'utf-16be': utf16be,
  'utf-16le': utf16le,
};

/** @throws RangeError for a name that is none of {@link TextEncodingName} (or the short forms utf8, ascii, latin1) */
function textEncoding(name: string): TextEncoding {
  const encoding = ENCODINGS[name.toLowerCase()];
  if (encoding === undefined) {
    throw new RangeError(`'${name}' is none of the encodings ${Object.keys(ENCODINGS).join(', ')}`);
  }
  return encoding;
}

function encodeUtf16(text: string): Buffer {
  // Java's replacement in UTF-16 is U+FFFD, unlike the `?` of UTF-8.
  return Buffer.from(text.toWellFormed(), 'utf16le');
}

function decodeUtf16(bytes: Buffer): string {
  const text = bytes.toString('utf16le');
  // Java takes the unit after half a pair for the missing half, and replaces both.
  const wellFormed = text.isWellFormed()
    ? text
    : text.replace(PAIR_OR_HALF, (it) => (it.isWellFormed() ? it : '\ufffd'));
  return bytes.length % 2 === 0 ? wellFormed : `${wellFormed}\ufffd`;
}

function swapped(bytes: Uint8Array): Buffer {
  const copy = Buffer.from(bytes);
  copy.subarray(0, copy.length & ~1).swap16();
  return copy;
}

/** What all of them have: an encoding. */
class Encoded {
  protected readonly encoding: TextEncoding;

  /** @throws RangeError for an unknown encoding */
  constructor(encoding: TextEncodingName = 'utf-8') {
    this.encoding = textEncoding(encoding);
  }
}

/**
 * Text in UTF-8, or in the encoding that is named (Java's `serializer.encoding`). As in Java what the encoding
 * can't represent becomes its replacement character: this never fails for a string.
 */
export class StringSerializer extends Encoded implements Serializer<string> {
  serialize(topic: string, data: string | null): Uint8Array | null {
    if (data === null) return null;
    if (typeof data !== 'string') throw cannotSerialize(topic, 'a string', `it is a ${typeof data}`);
    return this.encoding.encode(data);
  }
}

/** What {@link StringSerializer} wrote. As in Java malformed input becomes U+FFFD: this never fails. */
export class StringDeserializer extends Encoded implements Deserializer<string> {
  deserialize(_topic: string, data: Uint8Array | null): string | null {
    return data === null ? null : this.encoding.decode(data);
  }
}

const NO_UUID = 'it is not 32 hexadecimal digits in groups of 8-4-4-4-12';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * A UUID as Java's UUIDSerializer writes it: not its 16 bytes but its text form of 36 characters, in lower case,
 * so that a key has the same bytes, and the same partition, as from any other producer.
 */
export class UUIDSerializer extends Encoded implements Serializer<string> {
  serialize(topic: string, data: string | null): Uint8Array | null {
    if (data === null) return null;
    if (!UUID.test(data)) throw cannotSerialize(topic, 'a UUID', NO_UUID);
    return this.encoding.encode(data.toLowerCase());
  }
}

/** The text form in lower case. Shortened forms such as `1-2-3-4-5`, which Java reads too, are refused. */
export class UUIDDeserializer extends Encoded implements Deserializer<string> {
  deserialize(topic: string, data: Uint8Array | null): string | null {
    if (data === null) return null;
    const text = this.encoding.decode(data);
    if (!UUID.test(text)) throw cannotDeserialize(topic, 'a UUID', NO_UUID);
    return text.toLowerCase();
  }
}
