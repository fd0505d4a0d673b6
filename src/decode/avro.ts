import { readFileSync } from 'node:fs';
import avro from 'avsc';
import { errorMessage } from '../core/errors.ts';
import type { FieldInfo, FieldType } from './payload-reader.ts';
import type { TreeFormat } from './tree-reader.ts';

/* Avro's binary encoding (Avro 1.12 specification) by avsc. Longs are bigints, because avsc's own are wrong from 2^52 on. */

export interface AvroSchema {
  readonly format: TreeFormat;
  /** What a path leads to; or what is wrong with it. */
  readonly field: (keys: readonly string[], inner: readonly string[] | undefined) => FieldInfo | string;
}

const LONG = avro.types.LongType.__with({
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
  let type: avro.Type;
  try {
    const text = JSON.parse(readFileSync(file, 'utf8')) as avro.Schema;
    type = avro.Type.forSchema(text, { wrapUnions: 'never', registry: { long: LONG } });
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
        write: (value) => Buffer.from(JSON.stringify(value ?? null, plain), 'utf8'),
        readsItsOwn: false,
      },
      field: (keys, inner) => resolve(type, keys, inner),
    },
  };
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
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

function resolve(
  root: avro.Type,
  keys: readonly string[],
  inner: readonly string[] | undefined,
): FieldInfo | string {
  let type = descend(root, keys);
  if (typeof type === 'string') return type;
  if (inner !== undefined) {
    const list = nonNull(type);
    if (list.length !== 1 || !(list[0] instanceof avro.types.ArrayType)) return 'a list before []';
    type = descend(list[0].itemsType, inner);
    if (typeof type === 'string') return type;
  }
  const types = nonNull(type).map(({ typeName }) => FIELD_TYPES[typeName]);
  if (types.includes(undefined)) return 'a field with a single value';
  const [first] = types;
  return { type: types.length === 1 && first !== undefined ? first : 'any' };
}

function descend(root: avro.Type, keys: readonly string[]): avro.Type | string {
  let type = root;
  for (const key of keys) {
    const next = nonNull(type).flatMap((branch): avro.Type[] => {
      if (branch instanceof avro.types.RecordType) {
        const field = branch.fields.find(({ name }) => name === key);
        return field === undefined ? [] : [field.type];
      }
      if (branch instanceof avro.types.MapType) return [branch.valuesType as avro.Type];
      return branch instanceof avro.types.ArrayType && /^\d+$/.test(key) ? [branch.itemsType] : [];
    });
    if (next[0] === undefined) {
      const names = nonNull(type).flatMap((branch) =>
        branch instanceof avro.types.RecordType ? branch.fields.map(({ name }) => name) : [],
      );
      return names.length === 0 ? `no ${key} there` : `one of ${names.join(', ')}`;
    }
    type = next[0];
  }
  return type;
}

/** The branches of a union without null; any other type is its own only branch. */
function nonNull(type: avro.Type): avro.Type[] {
  const branches: readonly avro.Type[] = type instanceof avro.types.UnwrappedUnionType ? type.types : [type];
  return branches.filter(({ typeName }) => typeName !== 'null');
}

/** Whether some list's items may take no bytes: then its length says nothing about its payload's. */
function hasListOfNothing(type: avro.Type, seen = new Set<avro.Type>()): boolean {
  if (seen.has(type)) return false;
  seen.add(type);
  const within = (inner: avro.Type): boolean => hasListOfNothing(inner, seen);
  if (type instanceof avro.types.ArrayType) return isNothing(type.itemsType) || within(type.itemsType);
  if (type instanceof avro.types.MapType) return within(type.valuesType as avro.Type);
  if (type instanceof avro.types.RecordType) return type.fields.some((field) => within(field.type));
  return type instanceof avro.types.UnwrappedUnionType && type.types.some(within);
}

function isNothing(type: avro.Type, seen = new Set<avro.Type>()): boolean {
  if (seen.has(type)) return false;
  seen.add(type);
  if (type.typeName === 'null') return true;
  if (type instanceof avro.types.FixedType) return type.size === 0;
  return type instanceof avro.types.RecordType && type.fields.every((field) => isNothing(field.type, seen));
}
