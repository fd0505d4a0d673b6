/**
 * Variable-length integers of the record format (Kafka protocol guide, "Protocol Primitive Types": VARINT and
 * VARLONG): zigzag, then 7 bits a byte, least significant first.
 */

/** Bytes that `value` takes as a zigzag VARINT; `value` is a 32-bit signed integer. */
export function varintSize(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  if (zigzag < 0x80) return 1;
  if (zigzag < 0x4000) return 2;
  if (zigzag < 0x20_0000) return 3;
  return zigzag < 0x1000_0000 ? 4 : 5;
}

/** Writes `value`, a 32-bit signed integer, at `position`; returns the position behind it. */
export function writeVarint(target: Uint8Array, value: number, position: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  while (rest > 0x7f) {
    target[position++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[position++] = rest;
  return position;
}

/** Bytes that `value`, an integer of up to 2^53, takes as a zigzag VARLONG. */
export function varlongSize(value: number): number {
  if (value === (value | 0)) return varintSize(value);
  // Beyond 32 bits shifts would wrap; the zigzag of a double is exact up to 2^52, a BigInt beyond.
  let rest = zigzagBig(value);
  let size = 1;
  while (rest > 0x7fn) {
    rest >>= 7n;
    size++;
  }
  return size;
}

/** Writes `value`, an integer of up to 2^53, at `position`; returns the position behind it. */
export function writeVarlong(target: Uint8Array, value: number, position: number): number {
  if (value === (value | 0)) return writeVarint(target, value, position);
  let rest = zigzagBig(value);
  while (rest > 0x7fn) {
    target[position++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  target[position++] = Number(rest);
  return position;
}

function zigzagBig(value: number): bigint {
  const big = BigInt(value);
  return big >= 0n ? big << 1n : (-big << 1n) - 1n;
}

/** Reads varints one after the other: for iterating a batch's records. */
export class VarintReader {
  position: number;
  readonly #source: Uint8Array;

  constructor(source: Uint8Array, position: number) {
    this.#source = source;
    this.position = position;
  }

  varint(): number {
    let zigzag = 0;
    let shift = 0;
    let byte: number;
    do {
      byte = this.#source[this.position++] as number;
      zigzag |= (byte & 0x7f) << shift;
      shift += 7;
    } while (byte > 0x7f);
    return (zigzag >>> 1) ^ -(zigzag & 1);
  }

  varlong(): number {
    let zigzag = 0n;
    let shift = 0n;
    let byte: number;
    do {
      byte = this.#source[this.position++] as number;
      zigzag |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
    } while (byte > 0x7f);
    return Number(zigzag & 1n ? -((zigzag + 1n) >> 1n) : zigzag >> 1n);
  }
}
