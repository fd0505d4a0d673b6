import avro from 'avsc';
import type { Schema } from '../schema-registry/schema.ts';

/** A compiled schema of avsc. */
export type AvroType = avro.Type;

/** An Avro schema: its JSON as text, or parsed. */
export type AvroSchema = string | object;

export interface AvroOptions {
  /**
   * What an Avro long is in JavaScript. `number`, the default: one beyond 2^53 - 1 is an error, never rounded.
   * `bigint`: all of them.
   */
  readonly longs?: 'number' | 'bigint';
  /** avsc's own options for every schema: `logicalTypes`, `wrapUnions`, `typeHook`, ... */
  readonly avsc?: Parameters<typeof avro.Type.forSchema>[1];
}

/** Compiles a schema, after those that it refers to. @throws Error if it is no Avro schema */
export function avroType(schemaText: string, references: Iterable<Schema>, options: AvroOptions): AvroType {
  const registry = { long: options.longs === 'bigint' ? bigintLong() : new SafeLong() };
  // avsc puts each named type that it meets into `registry`, where the next schema finds it.
  const forSchema = (text: string) =>
    avro.Type.forSchema(JSON.parse(text) as avro.Schema, {
      omitRecordMethods: true,
      ...options.avsc,
      registry,
    });
  for (const { text } of references) forSchema(text);
  return forSchema(schemaText);
}

/** The text of a schema as it is registered. A bare type name (`string`) is put in quotes, as JSON wants it. */
export function avroSchemaText(schema: AvroSchema): string {
  if (typeof schema !== 'string') return JSON.stringify(schema);
  return /^\s*[[{"]/.test(schema) ? schema : JSON.stringify(schema);
}

/** The name that Java gives a schema: of a record, enum or fixed its full name, else its type. */
export function avroName(type: AvroType): string {
  return type.name ?? type.typeName.replace(/^union:.*/, 'union');
}

/** avsc's cursor over a buffer, as far as longs need it. */
interface Tap {
  readonly buf: Buffer;
  pos: number;
  readLong(): number;
  writeLong(long: number): void;
}

/** Up to here a long doubled, as zigzag doubles it, is still exact in floating point. */
const EXACT = 2 ** 52 - 1;

/**
 * Longs as numbers. avsc 5.7 gets those from 2^52 on silently wrong, -(2^52 + 1) comes back as 2^52, so these go by
 * way of bigints here; all others keep avsc's pace (its own hook for longs, `LongType.__with`, costs 60 ns each).
 */
class SafeLong extends avro.types.LongType {
  _check(value: unknown, _flags: unknown, hook?: (value: unknown, type: AvroType) => void): boolean {
    const valid = Number.isSafeInteger(value);
    if (!valid) hook?.(value, this);
    return valid;
  }

  // avsc also calls this on other objects than its own: it must not need `this`.
  _read(tap: Tap): number {
    const start = tap.pos;
    const long = tap.readLong();
    return long >= -EXACT && long <= EXACT ? long : readExact(tap.buf.subarray(start, tap.pos));
  }

  _write(tap: Tap, long: number): void {
    if (long >= -EXACT && long <= EXACT && long % 1 === 0) tap.writeLong(long);
    else if (Number.isSafeInteger(long)) writeExact(tap, BigInt(long));
    else throw new TypeError(`${String(long)} is no safe integer`);
  }
}

function readExact(varint: Uint8Array): number {
  let zigzag = 0n;
  for (const [index, byte] of varint.entries()) zigzag |= BigInt(byte & 0x7f) << BigInt(7 * index);
  const long = Number(BigInt.asIntN(64, (zigzag >> 1n) ^ -(zigzag & 1n)));
  if (!Number.isSafeInteger(long))
    throw new RangeError("a long is beyond 2^53 - 1: longs: 'bigint' reads it");
  return long;
}

function writeExact(tap: Tap, long: bigint): void {
  let zigzag = BigInt.asUintN(64, (long << 1n) ^ (long >> 63n));
  for (; zigzag > 0x7fn; zigzag >>= 7n) tap.buf[tap.pos++] = Number(zigzag & 0x7fn) | 0x80;
  tap.buf[tap.pos++] = Number(zigzag);
}

function bigintLong(): AvroType {
  return avro.types.LongType.__with({
    fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
    toBuffer: (long: bigint) => {
      const bytes = Buffer.allocUnsafe(8);
      bytes.writeBigInt64LE(long);
      return bytes;
    },
    fromJSON: (json: number | string) => BigInt(json),
    toJSON: (long: bigint) => Number(long),
    isValid: (value: unknown) => typeof value === 'bigint' && BigInt.asIntN(64, value) === value,
    compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
  });
}

/** Where a value doesn't fit, and what is expected there, e.g. `readings.0.value should be "double"`. */
export function firstMisfit(type: AvroType, value: unknown): string | undefined {
  let misfit: string | undefined;
  type.isValid(value, {
    errorHook: (path, _value, expected) => {
      misfit ??= `${path.length === 0 ? 'it' : path.join('.')} should be ${expected.toString()}`;
    },
  });
  return misfit;
}

/** Translates what was written by one schema into what another one expects (Avro's schema resolution). */
export function avroResolver(reader: AvroType, writer: AvroType): ReturnType<AvroType['createResolver']> {
  return reader.createResolver(writer);
}
