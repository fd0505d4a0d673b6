import protobuf from 'protobufjs';
import 'protobufjs/ext/descriptor.js';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { SluiceError, errorMessage } from '../../core/errors.ts';
import type { PlainPayload } from '../formats/payload-format.ts';

// protobufjs brings this file with itself, in camel case; here fields have the names of the schema.
const STRUCT = 'google/protobuf/struct.proto';
const struct = JSON.stringify(protobuf.common.get(STRUCT));
protobuf.common(
  STRUCT,
  JSON.parse(struct.replaceAll(/"(null|number|string|bool|struct|list)Value"/g, '"$1_value"')) as object,
);

/** A .proto schema that can't be used: which part of `file` and `message` is wrong, and how. */
export class SchemaError extends SluiceError {
  readonly part: 'file' | 'message';
  readonly found: string;
  readonly expected: string;

  constructor(part: 'file' | 'message', found: string, expected: string) {
    super(part === 'file' ? 'SCHEMA_FILE' : 'SCHEMA_MESSAGE', `found ${found}, expected ${expected}`);
    this.part = part;
    this.found = found;
    this.expected = expected;
  }
}

/** A message type of a .proto file. */
export interface MessageType {
  /** Full name, e.g. `fleet.EnvSensor`. */
  readonly name: string;
  /** The .proto file it was loaded from. */
  readonly file: string;
  readonly schema: MessageSchema;
  /**
   * Reads a message into plain data: 64-bit integers as bigint, enums by name, bytes copied, fields that are
   * not on the wire left out. For tools and tests; telemetry is read by {@link MessageSchema}.
   * Throws SluiceError DECODE_FAILED.
   */
  decode(bytes: Uint8Array): PlainPayload;
  /** Writes plain data: numbers, bigints, strings, booleans, bytes, enum names, nested objects, arrays. */
  encode(message: PlainPayload): Uint8Array;
}

/**
 * Loads a message type from a .proto file (proto2, proto3, editions), with what it imports. An import is
 * looked for beside the importing file and in each folder above it, so that both habits work: paths
 * relative to the file, and paths relative to a root that protoc is given with -I. The files of
 * google/protobuf come with Sluice.
 *
 * Throws {@link SchemaError} for a file that is missing or wrong, or a message that it doesn't have.
 */
export function loadMessageType(file: string, message: string): MessageType {
  const type = lookUp(loadRoot(file), file, message);
  const name = type.fullName.replace(/^\./, '');
  const conversion = { longs: BigInt, enums: String } as const;
  return {
    name,
    file,
    schema: new SchemaReader().message(type),
    decode(bytes) {
      try {
        // Copied, because protobufjs makes bytes fields views on what it read.
        return type.toObject(type.decode(Uint8Array.from(bytes)), conversion);
      } catch (error) {
        throw new SluiceError('DECODE_FAILED', `not a ${name}: ${errorMessage(error)}`, { cause: error });
      }
    },
    encode: (plain) => type.encode(type.fromObject(withoutBigInts(plain) as PlainPayload)).finish(),
  };
}

function loadRoot(file: string): protobuf.Root {
  const path = resolve(file);
  if (!existsSync(path)) throw new SchemaError('file', `no file ${file}`, 'a .proto file');
  if (!path.endsWith('.proto')) return loadDescriptorSet(path);
  const root = new protobuf.Root();
  root.resolvePath = (origin, target) => (origin === '' ? target : resolveImport(origin, target));
  try {
    return root.loadSync(path, { keepCase: true });
  } catch (error) {
    if (error instanceof SchemaError) throw error;
    throw new SchemaError('file', `${basename(file)}: ${errorMessage(error)}`, 'a .proto file that compiles');
  }
}

/** A FileDescriptorSet: what `protoc --include_imports --descriptor_set_out` writes. */
function loadDescriptorSet(path: string): protobuf.Root {
  try {
    const root = protobuf.Root.fromDescriptor(readFileSync(path), { keepCase: true });
    root.resolveAll();
    return root;
  } catch (error) {
    const found = `${basename(path)}: ${errorMessage(error)}`;
    throw new SchemaError('file', found, 'a .proto file, or a FileDescriptorSet with its imports');
  }
}

/** The file that `origin` imports as `target`; undefined: there is none. */
function findImport(origin: string, target: string): string | undefined {
  let folder = dirname(origin);
  for (;;) {
    const candidate = join(folder, target);
    if (existsSync(candidate)) return candidate;
    const above = dirname(folder);
    if (above === folder) break;
    folder = above;
  }
  if (target.startsWith('google/protobuf/')) {
    // protobufjs knows the common ones by itself; the others are files of its package.
    const shipped = join(dirname(createRequire(import.meta.url).resolve('protobufjs/package.json')), target);
    if (existsSync(shipped)) return shipped;
  }
  return undefined;
}

function resolveImport(origin: string, target: string): string {
  const file = findImport(origin, target);
  if (file !== undefined) return file;
  const found = `${basename(origin)}: import "${target}" not found`;
  throw new SchemaError('file', found, 'imports beside the file or in a folder above it');
}

function lookUp(root: protobuf.Root, file: string, message: string): protobuf.Type {
  const types = [...allTypes(root)].filter((type) => !type.fullName.startsWith('.google.protobuf.'));
  const type = types.find(({ fullName }) => fullName === `.${message}`);
  if (type !== undefined) return type;
  const names = types.map(({ fullName }) => fullName.slice(1));
  const shown = names.length > 12 ? `${names.slice(0, 12).join(', ')}, …` : names.join(', ');
  const expected = names.length > 0 ? `a message of ${basename(file)}: ${shown}` : 'a file with a message';
  throw new SchemaError('message', JSON.stringify(message), expected);
}

function* allTypes(namespace: protobuf.NamespaceBase): Generator<protobuf.Type> {
  for (const nested of namespace.nestedArray) {
    if (nested instanceof protobuf.Type) yield nested;
    if (nested instanceof protobuf.Namespace) yield* allTypes(nested);
  }
}

/** Turns protobufjs' reflection into our own description, each message type once: types may be recursive. */
class SchemaReader {
  readonly #known = new Map<protobuf.Type, MessageSchema>();

  message(type: protobuf.Type): MessageSchema {
    const known = this.#known.get(type);
    if (known !== undefined) return known;
    const fields: FieldSchema[] = [];
    const schema: MessageSchema = { name: type.fullName.replace(/^\./, ''), fields };
    this.#known.set(type, schema);
    for (const field of type.fieldsArray) fields.push(this.#field(field.resolve()));
    return schema;
  }

  #field(field: protobuf.Field): FieldSchema {
    // Typed as a boolean, but the oneof itself for a member of one.
    const hasPresence: unknown = field.hasPresence;
    const base = {
      name: field.name,
      number: field.id,
      repeated: field.repeated,
      map: field instanceof protobuf.MapField,
      hasPresence: Boolean(hasPresence),
      required: field.required,
      oneof: field.partOf?.name,
      enumNames: undefined,
      closedEnum: false,
      verifyUtf8: features(field).utf8_validation === 'VERIFY',
      message: undefined,
    };
    if (field instanceof protobuf.MapField) {
      return { ...base, type: 'message', message: this.#mapEntry(field) };
    }
    if (field.resolvedType instanceof protobuf.Enum) {
      const enumeration = field.resolvedType;
      const enumNames = new Map(
        Object.entries(enumeration.valuesById).map(([number, name]) => [Number(number), name]),
      );
      return { ...base, type: 'enum', enumNames, closedEnum: features(enumeration).enum_type === 'CLOSED' };
    }
    if (field.resolvedType instanceof protobuf.Type) {
      const type = field.delimited ? 'group' : 'message';
      return { ...base, type, message: this.message(field.resolvedType) };
    }
    return { ...base, type: field.type as ScalarType };
  }

  /** On the wire a map is a repeated message of key = 1 and value = 2 (protobuf encoding, "Maps"). */
  #mapEntry(field: protobuf.MapField): MessageSchema {
    const entry = { map: false, repeated: false, hasPresence: true, required: false, oneof: undefined };
    const verifyUtf8 = features(field).utf8_validation === 'VERIFY';
    const none = { enumNames: undefined, closedEnum: false, verifyUtf8, message: undefined };
    const key: FieldSchema = { ...entry, ...none, name: 'key', number: 1, type: field.keyType as ScalarType };
    const value = { ...entry, ...none, name: 'value', number: 2 };
    const { resolvedType } = field;
    const name = `${field.parent?.fullName.replace(/^\./, '') ?? ''}.${field.name}`;
    if (resolvedType instanceof protobuf.Type) {
      return { name, fields: [key, { ...value, type: 'message', message: this.message(resolvedType) }] };
    }
    const type = resolvedType instanceof protobuf.Enum ? 'int32' : (field.type as ScalarType);
    return { name, fields: [key, { ...value, type }] };
  }
}

interface Features {
  readonly enum_type?: string;
  readonly utf8_validation?: string;
}

/** The features of protobuf's editions, which hold for proto2 and proto3 too. */
function features(object: protobuf.ReflectionObject): Features {
  // protobufjs resolves them, but its typings don't tell.
  return (object as unknown as { readonly _features?: Features })._features ?? {};
}

/** protobufjs writes 0 for a bigint, but takes decimal text. */
function withoutBigInts(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(withoutBigInts);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutBigInts(inner)]));
}

/** The scalar types of protobuf (protobuf language guide, "Scalar Value Types"). */
type ScalarType =
  | 'double'
  | 'float'
  | 'int32'
  | 'int64'
  | 'uint32'
  | 'uint64'
  | 'sint32'
  | 'sint64'
  | 'fixed32'
  | 'fixed64'
  | 'sfixed32'
  | 'sfixed64'
  | 'bool'
  | 'string'
  | 'bytes';

/** A message type as the decoder needs to know it. May be recursive. */
export interface MessageSchema {
  /** Full name, e.g. `fleet.EnvSensor`. */
  readonly name: string;
  readonly fields: readonly FieldSchema[];
}

export interface FieldSchema {
  readonly name: string;
  readonly number: number;
  readonly type: ScalarType | 'enum' | 'message' | 'group';
  readonly repeated: boolean;
  /** A map; its `message` is the entry. */
  readonly map: boolean;
  /** Whether "not on the wire" differs from "zero"; not so for proto3's fields without `optional`. */
  readonly hasPresence: boolean;
  readonly required: boolean;
  /** The oneof that it belongs to; members of one exclude each other. */
  readonly oneof: string | undefined;
  readonly enumNames: ReadonlyMap<number, string> | undefined;
  readonly closedEnum: boolean;
  /** Whether text that is not valid UTF-8 makes the message invalid: in proto3, not in proto2. */
  readonly verifyUtf8: boolean;
  /** The type of a message, a group or a map's entry. */
  readonly message: MessageSchema | undefined;
}

const IMPORT = /\bimport\s+(?:public\s+|weak\s+|option\s+)?["']([^"'\n]+)["']/g;

/**
 * The files that a schema is made of, imports included, as absolute paths. An import that is missing is named where it
 * would be looked for first. Never throws.
 */
export function protoFiles(file: string): string[] {
  const files = new Set<string>();
  collect(resolve(file), files);
  return [...files];
}

function collect(file: string, files: Set<string>): void {
  if (files.has(file)) return;
  files.add(file);
  if (!file.endsWith('.proto')) return;
  for (const [, target = ''] of textOf(file).matchAll(IMPORT)) {
    collect(findImport(file, target) ?? join(dirname(file), target), files);
  }
}

function textOf(file: string): string {
  try {
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  } catch {
    // Compiling the profile says what is wrong with it.
    return '';
  }
}
