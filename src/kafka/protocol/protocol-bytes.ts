import { unsignedVarint } from '../../core/record.ts';

/**
 * Reads the primitive types of the protocol (Kafka protocol guide, "Protocol Primitive Types"): those of flexible
 * versions (KIP-482), with compact strings and arrays and tagged fields, or those of the versions before.
 * Reading past the end throws a RangeError.
 */
export class ProtocolReader {
  readonly #bytes: Buffer;
  readonly #flexible: boolean;
  #position = 0;

  constructor(bytes: Buffer, flexible = true) {
    this.#bytes = bytes;
    this.#flexible = flexible;
  }

  /** Where the next read begins. */
  get position(): number {
    return this.#position;
  }

  boolean(): boolean {
    return this.int8() !== 0;
  }

  int8(): number {
    return this.#bytes.readInt8(this.#position++);
  }

  int16(): number {
    this.#position += 2;
    return this.#bytes.readInt16BE(this.#position - 2);
  }

  int32(): number {
    this.#position += 4;
    return this.#bytes.readInt32BE(this.#position - 4);
  }

  int64(): bigint {
    this.#position += 8;
    return this.#bytes.readBigInt64BE(this.#position - 8);
  }

  unsignedVarint(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes.readUInt8(this.#position++);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
      if (shift >= 28) throw new RangeError('a varint has at most 5 bytes');
    }
  }

  /** COMPACT_NULLABLE_STRING, or NULLABLE_STRING */
  nullableString(): string | null {
    const length = this.#flexible ? this.unsignedVarint() - 1 : this.int16();
    if (length < 0) return null;
    return this.#take(length).toString('utf8');
  }

  /** COMPACT_STRING, or STRING */
  string(): string {
    return this.nullableString() ?? '';
  }

  /** COMPACT_NULLABLE_BYTES, or NULLABLE_BYTES; a view. A null reads as no bytes. */
  bytes(): Buffer {
    const length = this.#flexible ? this.unsignedVarint() - 1 : this.int32();
    return this.#take(Math.max(0, length));
  }

  uuid(): string {
    return this.#take(16).toString('hex');
  }

  /** COMPACT_ARRAY, or ARRAY; a null array reads as an empty one. */
  array<T>(readItem: () => T): T[] {
    const length = this.#flexible ? this.unsignedVarint() - 1 : this.int32();
    const items: T[] = [];
    for (let i = 0; i < length; i++) items.push(readItem());
    return items;
  }

  /** Tagged fields: those that `known` has a function for are read by it, the others skipped. */
  tags(known: Readonly<Record<number, () => void>> = {}): void {
    if (!this.#flexible) return;
    for (let rest = this.unsignedVarint(); rest > 0; rest--) {
      const tag = this.unsignedVarint();
      const end = this.unsignedVarint() + this.#position;
      known[tag]?.();
      this.#position = end;
    }
  }

  #take(length: number): Buffer {
    const end = this.#position + length;
    if (end > this.#bytes.length) throw new RangeError('the response ends too early');
    const taken = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return taken;
  }
}

export function int8(value: number): Buffer {
  return Buffer.of(value & 0xff);
}

export function int16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeInt16BE(value);
  return bytes;
}

export function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(value);
  return bytes;
}

export function int64(value: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}

/** Writes what differs between flexible versions (KIP-482) and those before. */
export class ProtocolWriter {
  readonly #flexible: boolean;

  constructor(flexible: boolean) {
    this.#flexible = flexible;
  }

  /** COMPACT_NULLABLE_STRING, or NULLABLE_STRING */
  string(value: string | null): Buffer {
    if (value === null) return this.#flexible ? unsignedVarint(0) : int16(-1);
    const text = Buffer.from(value, 'utf8');
    return Buffer.concat([this.#flexible ? unsignedVarint(text.length + 1) : int16(text.length), text]);
  }

  /** The length in front of an array or of records. */
  length(length: number): Buffer {
    return this.#flexible ? unsignedVarint(length + 1) : int32(length);
  }

  /** No tagged fields. */
  noTags(): Buffer {
    return this.#flexible ? unsignedVarint(0) : Buffer.alloc(0);
  }
}
