import { decode, encode, type DecodeOptions, type TagDecoder } from 'cborg';
import { treeFormat } from './tree-reader.ts';

/*
 * CBOR (RFC 8949) by cborg: maintained, strict about what it is given, and it never generates code. It reads lists
 * and maps of indefinite length, but no text or bytes in chunks.
 */

/** A tag says more about a value than a metric can hold: the value itself counts (RFC 8949, section 3.4). */
const untagged: TagDecoder = (content) => content();

const bignum =
  (negative: boolean): TagDecoder =>
  (content) => {
    const bytes = content();
    if (!(bytes instanceof Uint8Array) || bytes.length > 8) throw new Error('a bignum of more than 64 bits');
    const value = bytes.length === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
    return negative ? -1n - value : value;
  };

/** Decimal fractions, as [exponent, mantissa] (section 3.4.4). */
const decimal: TagDecoder = (content) => {
  const parts = content();
  if (!Array.isArray(parts) || parts.length !== 2) throw new Error('a decimal fraction without two parts');
  const [exponent, mantissa] = parts as unknown[];
  if (typeof exponent !== 'number') throw new Error('a decimal fraction without exponent');
  if (typeof mantissa !== 'number' && typeof mantissa !== 'bigint') throw new Error('no mantissa');
  return Number(`${mantissa}e${exponent}`);
};

const TAGS: Record<number, TagDecoder> = new Proxy(
  { 2: bignum(false), 3: bignum(true), 4: decimal } as Record<number, TagDecoder>,
  { get: (tags, tag: string) => tags[Number(tag)] ?? untagged },
);

/** Maps become Map, because keys are often small integers. */
const OPTIONS: DecodeOptions = { useMaps: true, tags: TAGS };

export const cbor = treeFormat(
  {
    name: 'CBOR',
    contentType: 'application/cbor',
    parse(payload) {
      try {
        return decode(payload, OPTIONS) as unknown;
      } catch (error) {
        // cborg reads what is within a value within the call for it.
        if (error instanceof RangeError) throw new Error('nested too deep', { cause: error });
        throw error;
      }
    },
    write,
    readsItsOwn: true,
  },
  (payload) => write(withIntegerKeys(payload)),
);

/** Numbers that are whole become integers. */
function write(value: unknown): Uint8Array {
  return encode(value ?? null);
}

/** Devices that send CBOR name their fields by small integers, where a profile's paths are such numbers. */
function withIntegerKeys(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value) || value instanceof Uint8Array) return value;
  const entries = Object.entries(value);
  const key = (name: string): string | number => (/^(0|[1-9]\d{0,8})$/.test(name) ? Number(name) : name);
  return new Map(entries.map(([name, inner]) => [key(name), withIntegerKeys(inner)]));
}
