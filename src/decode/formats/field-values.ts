/** What a slot of {@link FieldValues} holds. */
export const ValueKind = {
  Absent: 0,
  Double: 1,
  /** A signed integer of 64 bits, in `low` and `high`. */
  Int: 2,
  /** An unsigned integer from 2^63 up, in `low` and `high`. */
  Uint: 3,
  /** `low` is 1 or 0. */
  Bool: 4,
  /** Valid UTF-8: the source's bytes from `start` to `end`. */
  Utf8: 5,
  /** A string, in `text`. */
  Text: 6,
  /** The source's bytes from `start` to `end`. */
  Bytes: 7,
} as const;
export type ValueKind = (typeof ValueKind)[keyof typeof ValueKind];

const NOTHING = Buffer.alloc(0);

/**
 * The decoded fields that a profile asks for, one slot each, as parallel arrays: filled anew for every
 * message without making an object. Ranges refer to `source`.
 */
export class FieldValues {
  readonly size: number;
  readonly kind: Uint8Array;
  readonly double: Float64Array;
  /** The low and high halves of 64-bit integers, two's complement. */
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly start: Int32Array;
  readonly end: Int32Array;
  readonly text: string[];
  /** What ranges refer to: the payload, or what it was unpacked to. */
  source: Buffer = NOTHING;
  /** The id of the schema that the payload was framed with; undefined: it was not framed. */
  schemaId: number | undefined;

  constructor(size: number) {
    this.size = size;
    this.kind = new Uint8Array(size);
    this.double = new Float64Array(size);
    this.low = new Int32Array(size);
    this.high = new Int32Array(size);
    this.start = new Int32Array(size);
    this.end = new Int32Array(size);
    this.text = Array.from({ length: size }, () => '');
  }

  /** Makes every slot absent; what is stored next may refer to `source`. */
  clear(source: Buffer): void {
    this.kind.fill(ValueKind.Absent);
    this.source = source;
  }

  /** Stores an integer; false: it has more than 64 bits, and nothing is stored. */
  setInteger(slot: number, value: bigint): boolean {
    const isUnsigned = value >= 2n ** 63n;
    if (value < -(2n ** 63n) || value >= 2n ** 64n) return false;
    this.kind[slot] = isUnsigned ? ValueKind.Uint : ValueKind.Int;
    this.low[slot] = Number(BigInt.asIntN(32, value));
    this.high[slot] = Number(BigInt.asIntN(32, value >> 32n));
    return true;
  }

  /** The integer in a slot of kind Int or Uint; exact up to 2^53, the nearest double beyond. */
  integerAsNumber(slot: number): number {
    const high = this.high[slot] as number;
    const upper = this.kind[slot] === ValueKind.Uint ? high >>> 0 : high;
    return upper * 4_294_967_296 + ((this.low[slot] as number) >>> 0);
  }

  /** The integer in a slot of kind Int or Uint, exact. */
  integerAsBigInt(slot: number): bigint {
    const high = this.high[slot] as number;
    const upper = this.kind[slot] === ValueKind.Uint ? high >>> 0 : high;
    return (BigInt(upper) << 32n) | BigInt((this.low[slot] as number) >>> 0);
  }

  /** Whether a slot holds a number: {@link numberAt} reads it. */
  isNumber(slot: number): boolean {
    const kind = this.kind[slot] as number;
    return kind >= ValueKind.Double && kind <= ValueKind.Uint;
  }

  /** The number in a slot of kind Double, Int or Uint; of an integer beyond 2^53 the nearest double. */
  numberAt(slot: number): number {
    return this.kind[slot] === ValueKind.Double ? (this.double[slot] as number) : this.integerAsNumber(slot);
  }

  /** The text in a slot of kind Utf8 or Text. */
  textAt(slot: number): string {
    if (this.kind[slot] === ValueKind.Text) return this.text[slot] as string;
    return this.source.toString('utf8', this.start[slot], this.end[slot]);
  }
}
