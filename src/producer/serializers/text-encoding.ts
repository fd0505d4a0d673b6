/**
 * Java's name of a character set, in lower case or any other. `utf-16` writes a big-endian byte order mark and
 * heeds one when it reads, as in Java.
 */
export type TextEncodingName = 'utf-8' | 'us-ascii' | 'iso-8859-1' | 'utf-16' | 'utf-16be' | 'utf-16le';

/** Text to bytes and back exactly as `String.getBytes(charset)` and `new String(bytes, charset)` do it. */
export interface TextEncoding {
  readonly name: TextEncodingName;
  encode(text: string): Buffer;
  decode(bytes: Uint8Array): string;
}

const BYTE_ORDER_MARK = 0xfeff;
const LONE_SURROGATE = /[\ud800-\udfff]/gu;
const PAIR_OR_HALF = /[\ud800-\udbff][^]?|[\udc00-\udfff]/g;

const utf8: TextEncoding = {
  name: 'utf-8',
  // Java writes `?` for half a surrogate pair; Node would write U+FFFD. isWellFormed is free for Latin text.
  encode: (text) => Buffer.from(text.isWellFormed() ? text : text.replace(LONE_SURROGATE, '?'), 'utf8'),
  decode: (bytes) => asBuffer(bytes).toString('utf8'),
};

const ascii: TextEncoding = {
  name: 'us-ascii',
  encode: (text) => Buffer.from(text.replace(/\P{ASCII}/gu, '?'), 'latin1'),
  decode: (bytes) =>
    asBuffer(bytes)
      .toString('latin1')
      .replace(/\P{ASCII}/gu, '\ufffd'),
};

const latin1: TextEncoding = {
  name: 'iso-8859-1',
  encode: (text) => Buffer.from(text.replace(/[\u0100-\u{10ffff}]/gu, '?'), 'latin1'),
  decode: (bytes) => asBuffer(bytes).toString('latin1'),
};

const utf16le: TextEncoding = {
  name: 'utf-16le',
  encode: (text) => encodeUtf16(text),
  decode: (bytes) => decodeUtf16(asBuffer(bytes)),
};

const utf16be: TextEncoding = {
  name: 'utf-16be',
  encode: (text) => encodeUtf16(text).swap16(),
  decode: (bytes) => decodeUtf16(swapped(bytes)),
};

const utf16: TextEncoding = {
  name: 'utf-16',
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
export function textEncoding(name: string): TextEncoding {
  const encoding = ENCODINGS[name.toLowerCase()];
  if (encoding === undefined) {
    throw new RangeError(`'${name}' is none of the encodings ${Object.keys(ENCODINGS).join(', ')}`);
  }
  return encoding;
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
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
