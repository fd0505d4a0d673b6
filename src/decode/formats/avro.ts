import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import avsc from 'avsc';
import { errorMessage } from '../../core/errors.ts';
import type { PayloadFormat } from './payload-format.ts';
import type { FieldType } from './payload-reader.ts';
import {
  compileTreeReader,
  writeAsJson,
  type FieldOf,
  type TreeField,
  type TreeFormat,
} from './tree-reader.ts';

/* Avro's binary encoding (Avro 1.12 specification) by avsc. Longs are bigints, because avsc's own are wrong from 2^52 on. */

/** One value in Avro's binary encoding, without a header: the schema is the profile's. */
export const avro: PayloadFormat<{ readonly file: string }> = {
  reader({ file }, { fields }) {
    const loaded = loadAvroSchema(file);
    if ('schema' in loaded) return compileTreeReader(loaded.schema.format, fields, loaded.schema.field);
    const path = ['decode', 'avro', 'file'];
    return { problems: [{ path, found: loaded.problem, expected: 'an Avro schema' }] };
  },
  files: ({ file }) => [resolve(file)],
};

export interface AvroSchema {
  readonly format: TreeFormat;
  readonly field: FieldOf;
}

const LONG = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer(long: bigint) {
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeBigInt64LE(long);
    return bytes;
  },
  fromJSON: (json: number | string) => BigInt(json),
  toJSON: (long: bigint) => Number(long),
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
});

/** Loads a schema. `problem`: why it can't be used. */
export function loadAvroSchema(file: string): { readonly schema: AvroSchema } | { readonly problem: string } {
  let type: avsc.Type;
  try {
    const text = JSON.parse(readFileSync(file, 'utf8')) as avsc.Schema;
    type = avsc.Type.forSchema(text, {
      wrapUnions: 'never',
      registry: { long: LONG },
      typeHook: boundedType,
    });
  } catch (error) {
    return { problem: errorMessage(error) };
  }
  if (hasListOfNothing(type)) {
    return { problem: 'a list whose items take no bytes: a payload of a few bytes could hold billions' };
  }
  return {
    schema: {
      format: {
        name: `Avro (${type.name ?? type.typeName})`,
        contentType: 'application/avro',
        parse: (payload) => type.fromBuffer(payload) as unknown,
        // A reading has no schema of its own: as a raw value it is JSON.
        write: writeAsJson,
        readsItsOwn: false,
      },
      field: ({ keys, inner }) => fieldAt(type, keys, inner),
    },
  };
}

const FIELD_TYPES: Readonly<Record<string, FieldType>> = {
  int: 'integer',
  long: 'integer',
  'abstract:long': 'integer',
  float: 'number',
  double: 'number',
  boolean: 'bool',
  string: 'string',
  enum: 'string',
  bytes: 'bytes',
  fixed: 'bytes',
};

function fieldAt(
  root: avsc.Type,
  keys: readonly string[],
  inner: readonly string[] | undefined,
): TreeField | string {
  let type = descend(root, keys);
  if (typeof type === 'string') return type;
  if (inner !== undefined) {
    const list = nonNull(type);
    if (list.length !== 1 || !(list[0] instanceof avsc.types.ArrayType)) return 'a list before []';
    type = descend(list[0].itemsType, inner);
    if (typeof type === 'string') return type;
  }
  const types = nonNull(type).map(({ typeName }) => FIELD_TYPES[typeName]);
  if (types.includes(undefined)) return 'a field with a single value';
  const [first] = types;
  return { info: { type: types.length === 1 && first !== undefined ? first : 'any' } };
}

function descend(root: avsc.Type, keys: readonly string[]): avsc.Type | string {
  let type = root;
  for (const key of keys) {
    const next = nonNull(type).flatMap((branch): avsc.Type[] => {
      if (branch instanceof avsc.types.RecordType) {
        const field = branch.fields.find(({ name }) => name === key);
        return field === undefined ? [] : [field.type];
      }
      if (branch instanceof avsc.types.MapType) return [branch.valuesType as avsc.Type];
      return branch instanceof avsc.types.ArrayType && /^\d+$/.test(key) ? [branch.itemsType] : [];
    });
    if (next[0] === undefined) {
      const names = nonNull(type).flatMap((branch) =>
        branch instanceof avsc.types.RecordType ? branch.fields.map(({ name }) => name) : [],
      );
      return names.length === 0 ? `no ${key} there` : `one of ${names.join(', ')}`;
    }
    type = next[0];
  }
  return type;
}

/** The branches of a union without null; any other type is its own only branch. */
function nonNull(type: avsc.Type): avsc.Type[] {
  const branches: readonly avsc.Type[] = type instanceof avsc.types.UnwrappedUnionType ? type.types : [type];
  return branches.filter(({ typeName }) => typeName !== 'null');
}

/** What we know of avsc's own reading. */
interface Tap {
  readonly buf: Buffer;
  readonly pos: number;
  readLong(): number;
  skipLong(): void;
  readString(): string | undefined;
}
interface Readable {
  _read(tap: Tap): unknown;
}

/*
 * Lists and maps are read by us. avsc believes the number of items that stands before them, allocates as many, and reads
 * on behind the payload's end: five bytes would keep it busy for minutes.
 */

class BoundedArray extends avsc.types.ArrayType {
  _read(tap: Tap): unknown {
    const items = this.itemsType as unknown as Readable;
    const list: unknown[] = [];
    readBlocks(tap, () => list.push(items._read(tap)));
    return list;
  }
}

class BoundedMap extends avsc.types.MapType {
  _read(tap: Tap): unknown {
    const values = this.valuesType as Readable;
    const map = new Map<string, unknown>();
    readBlocks(tap, () => map.set(tap.readString() ?? '', values._read(tap)));
    return Object.fromEntries(map);
  }
}

function boundedType(schema: avsc.Schema, options: avsc.ForSchemaOptions): avsc.Type | undefined {
  if (typeof schema !== 'object' || !('type' in schema)) return undefined;
  if (schema.type === 'array') return new BoundedArray(schema, options);
  return schema.type === 'map' ? new BoundedMap(schema, options) : undefined;
}

/** Items come in blocks, each behind its number, and 0 ends them (Avro 1.12, "Arrays", "Maps"). An item is a byte at least. */
function readBlocks(tap: Tap, readItem: () => void): void {
  for (;;) {
    let count = tap.readLong();
    if (count === 0) return;
    if (count < 0) {
      count = -count;
      tap.skipLong();
    }
    if (!(count <= tap.buf.length - tap.pos)) throw new Error('more items than there are bytes');
    while (count-- > 0) readItem();
  }
}

/** Whether some list's items may take no bytes: then its length says nothing about its payload's. */
function hasListOfNothing(type: avsc.Type, seen = new Set<avsc.Type>()): boolean {
  if (seen.has(type)) return false;
  seen.add(type);
  const within = (inner: avsc.Type): boolean => hasListOfNothing(inner, seen);
  if (type instanceof avsc.types.ArrayType) return isNothing(type.itemsType) || within(type.itemsType);
  if (type instanceof avsc.types.MapType) return within(type.valuesType as avsc.Type);
  if (type instanceof avsc.types.RecordType) return type.fields.some((field) => within(field.type));
  return type instanceof avsc.types.UnwrappedUnionType && type.types.some(within);
}

function isNothing(type: avsc.Type, seen = new Set<avsc.Type>()): boolean {
  if (seen.has(type)) return false;
  seen.add(type);
  if (type.typeName === 'null') return true;
  if (type instanceof avsc.types.FixedType) return type.size === 0;
  return type instanceof avsc.types.RecordType && type.fields.every((field) => isNothing(field.type, seen));
}
