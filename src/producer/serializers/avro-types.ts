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
  const forSchemaOptions = {
    omitRecordMethods: true,
    ...options.avsc,
    typeHook: typeHook(options),
    // avsc puts each named type that it meets into it, where the next schema finds it.
    registry: { ...options.avsc?.registry },
  };
  const forSchema = (text: string) => avro.Type.forSchema(JSON.parse(text) as avro.Schema, forSchemaOptions);
  for (const { text } of references) forSchema(text);
  return forSchema(schemaText);
}

type TypeHook = NonNullable<NonNullable<AvroOptions['avsc']>['typeHook']>;

/** Puts our types in the place of avsc's, wherever they stand in a schema. */
function typeHook({ longs, avsc }: AvroOptions): TypeHook {
  const underLogicalType = new WeakSet();
  return (schema, options) => {
    const given = avsc?.typeHook?.(schema, options);
    if (given !== undefined) return given;
    const { type, logicalType } =
      typeof schema === 'string' ? { type: schema } : (schema as SchemaAttributes);
    if (type !== 'long' && type !== 'array' && type !== 'map') return undefined;
    if (
      typeof schema === 'object' &&
      logicalType !== undefined &&
      avsc?.logicalTypes?.[logicalType] !== undefined
    ) {
      // avsc makes the logical type, which asks a second time for the type beneath it.
      if (!underLogicalType.has(schema)) {
        underLogicalType.add(schema);
        return undefined;
      }
    }
    if (type === 'long') return longs === 'bigint' ? bigintLong() : new SafeLong();
    return type === 'array' ? new BoundedArray(schema, options) : new BoundedMap(schema, options);
  };
}

interface SchemaAttributes {
  readonly type?: unknown;
  readonly logicalType?: string;
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

/** avsc's cursor over a buffer. Reading past the end gives nothing in particular, and leaves `pos` behind the end. */
interface Tap {
  readonly buf: Buffer;
  pos: number;
  readLong(): number;
  readString(): string;
  skipString(): void;
  writeLong(long: number): void;
}

/** What avsc asks of the types within a type. */
interface Reader {
  _read(tap: Tap): unknown;
  _skip(tap: Tap): void;
}

/** Items of no bytes at all, such as nulls, that an array may have beyond its bytes. */
const MAX_EMPTY_ITEMS = 1024;

/**
 * Calls `item` for each item of an array or map, a series of blocks that end with an empty one. A count beyond the
 * data is refused when the data end; avsc itself looks only after the last item, and seven bytes that claim
 * 2^30 items would have the process out of memory first.
 */
function forEachItem(tap: Tap, item: () => void): void {
  const start = tap.pos;
  let items = 0;
  for (let count = tap.readLong(); count !== 0; count = tap.readLong()) {
    if (count < 0) {
      // The block's size in bytes follows.
      count = -count;
      tap.readLong();
    }
    for (; count > 0; count--) {
      item();
      if (tap.pos > tap.buf.length || ++items > tap.pos - start + MAX_EMPTY_ITEMS) {
        throw new RangeError('an array or map claims more items than there are data');
      }
    }
  }
}

// avsc also calls `_read` on its resolvers, which have an itemsType or valuesType of their own.
class BoundedArray extends avro.types.ArrayType {
  _read(tap: Tap): unknown[] {
    const itemsType = this.itemsType as unknown as Reader;
    const items: unknown[] = [];
    forEachItem(tap, () => {
      items.push(itemsType._read(tap));
    });
    return items;
  }

  _skip(tap: Tap): void {
    const itemsType = this.itemsType as unknown as Reader;
    forEachItem(tap, () => itemsType._skip(tap));
  }
}

class BoundedMap extends avro.types.MapType {
  _read(tap: Tap): Record<string, unknown> {
    const valuesType = this.valuesType as Reader;
    const map: Record<string, unknown> = {};
    forEachItem(tap, () => {
      const key = tap.readString();
      const value = valuesType._read(tap);
      if (key === '__proto__')
        Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
      else map[key] = value;
    });
    return map;
  }

  _skip(tap: Tap): void {
    const valuesType = this.valuesType as Reader;
    forEachItem(tap, () => {
      tap.skipString();
      valuesType._skip(tap);
    });
  }
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
