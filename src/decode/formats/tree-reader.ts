import { errorMessage } from '../../core/errors.ts';
import type { DecodeFault } from '../../core/route.ts';
import { parseFieldPaths, type FieldPath, type FieldPaths } from './field-path.ts';
import type { PayloadFormat, PayloadWriter } from './payload-format.ts';
import { ValueKind, type FieldValues } from './field-values.ts';
import {
  ListBatch,
  PAYLOAD_EMPTY,
  decodeFailed,
  fieldMissing,
  fieldType,
  type FieldInfo,
  type FieldProblem,
  type Inspection,
  type PayloadReader,
  type Apart,
} from './payload-reader.ts';

/** A format whose payloads are parsed into plain values: objects or maps, arrays, and single values. */
export interface TreeFormat {
  /** As it stands in messages, e.g. `JSON`. */
  readonly name: string;
  readonly contentType: string;
  /** Parses a payload of at least one byte. Throws what is wrong with it. May keep views on the payload. */
  parse(payload: Buffer): unknown;
  /** Writes one reading of a list, for a raw value. */
  write(value: unknown): Uint8Array;
  /** Whether `parse` reads what {@link write} writes. */
  readonly readsItsOwn: boolean;
  /** Whether a list without elements is not in the tree. */
  readonly emptyListIsAbsent?: boolean;
}

/** What a schema knows of a field, beyond what stands in the tree. */
export interface TreeField {
  readonly info: FieldInfo;
  /** What it is if its owner is there and it isn't. */
  readonly zero?: unknown;
  /** What it stands for; undefined: nothing. Left out, itself. */
  readonly convert?: (value: unknown) => unknown;
}

/** What a schema says of a path; or what should be there instead. */
export type FieldOf = (path: FieldPath, slot: number) => TreeField | string;

const ANY: TreeField = { info: { type: 'any' } };

/** A format without a schema. */
export function treeFormat(format: TreeFormat, write: PayloadWriter): PayloadFormat<unknown> {
  return { reader: (_spec, { fields }) => compileTreeReader(format, fields), writer: () => write };
}

/** Compiles the reader of a format for a profile's fields. */
export function compileTreeReader(
  format: TreeFormat,
  fields: readonly string[],
  fieldOf: FieldOf = () => ANY,
): { readonly reader: TreeReader } | { readonly problems: readonly FieldProblem[] } {
  const { paths, problems } = parseFieldPaths(fields);
  if (problems.length > 0) return { problems };
  const found = paths.paths.map(fieldOf);
  const unknown = found.flatMap((each, field) =>
    typeof each === 'string' ? [{ field, found: fields[field] as string, expected: each }] : [],
  );
  return unknown.length > 0
    ? { problems: unknown }
    : { reader: new TreeReader(format, paths, found as TreeField[]) };
}

/** A reading that no payload of its own format can hold alone, for a raw value: integers of 64 bits are text. */
export function writeAsJson(value: unknown): Uint8Array {
  const text = JSON.stringify(value ?? null, (_key, inner: unknown) => {
    if (inner instanceof Map) return Object.fromEntries(inner) as unknown;
    return typeof inner === 'bigint' ? inner.toString() : inner;
  });
  return Buffer.from(text, 'utf8');
}

/**
 * Reads fields from payloads that a library parses into a tree of plain values; null counts as absent. Depth needs no limit here: only the profile's paths are followed.
 */
export class TreeReader implements PayloadReader {
  readonly contentType: string;
  readonly fields: readonly FieldInfo[];
  readonly batch: ListBatch<unknown, unknown> | undefined;
  readonly #format: TreeFormat;
  readonly #paths: FieldPaths;
  readonly #known: readonly TreeField[];
  readonly #wantsScalar: boolean;
  readonly #plain = new PlainValues();

  constructor(format: TreeFormat, paths: FieldPaths, known: readonly TreeField[]) {
    this.#format = format;
    this.#paths = paths;
    this.#known = known;
    this.contentType = format.contentType;
    this.fields = known.map(({ info }) => info);
    this.#wantsScalar = paths.paths.some(({ keys }) => keys.length === 0);
    const { list } = paths;
    if (list === undefined) return;
    this.batch = new ListBatch(
      (payload) => this.#split(payload, list),
      (element) => format.write(element),
      (element, root) => (format.readsItsOwn ? format.write(withMember(root, list, [element])) : undefined),
    );
  }

  read(payload: Buffer, values: FieldValues): DecodeFault | undefined {
    values.clear(payload);
    if (this.batch !== undefined) {
      const { selected } = this.batch;
      return this.#store(selected?.rest, selected?.reading, values);
    }
    const parsed = this.#parse(payload);
    return 'fault' in parsed ? parsed.fault : this.#store(parsed.root, undefined, values);
  }

  inspect(payload: Buffer): Inspection | DecodeFault {
    const parsed = this.#parse(payload);
    return 'fault' in parsed ? parsed.fault : { tree: parsed.root, notes: [this.#format.name] };
  }

  #parse(payload: Buffer): { readonly root: unknown } | { readonly fault: DecodeFault } {
    if (payload.length === 0) return { fault: PAYLOAD_EMPTY };
    let root: unknown;
    try {
      root = this.#format.parse(payload);
    } catch (error) {
      return { fault: decodeFailed(`not ${this.#format.name}: ${shortened(errorMessage(error))}`) };
    }
    if ((typeof root !== 'object' || root === null) && !this.#wantsScalar) {
      return { fault: decodeFailed(`not a ${this.#format.name} object`) };
    }
    return { root };
  }

  #store(root: unknown, element: unknown, values: FieldValues): DecodeFault | undefined {
    this.#plain.begin();
    for (const [slot, { text, keys, inner }] of this.#paths.paths.entries()) {
      let owner: unknown;
      let value = inner === undefined ? root : element;
      for (const key of inner ?? keys) {
        owner = value;
        value = member(value, key);
      }
      const { info, zero, convert } = this.#known[slot] as TreeField;
      if (value === undefined && zero !== undefined) {
        if (typeof owner === 'object' && owner !== null) value = zero;
      } else if (value !== undefined && convert !== undefined) value = convert(value);
      const fault = this.#plain.put(values, slot, text, value, info.type === 'integer');
      if (fault !== undefined) return fault;
    }
    this.#plain.end(values);
    return undefined;
  }

  /** The elements of a list, and the tree that they stand in. */
  #split(payload: Buffer, list: readonly string[]): Apart<unknown, unknown> | DecodeFault {
    const parsed = this.#parse(payload);
    if ('fault' in parsed) return parsed.fault;
    const { root } = parsed;
    let value = root;
    for (const key of list) value = member(value, key);
    if (Array.isArray(value)) return { readings: value, rest: root };
    if (value === undefined && this.#format.emptyListIsAbsent === true) return { readings: [], rest: root };
    const name = list.join('.');
    const where = list.length === 0 ? 'the payload' : `field ${name}`;
    if (value === undefined || value === null) return fieldMissing('list of readings', where);
    return fieldType(list.length === 0 ? where : name, 'no list', 'a list of readings');
  }
}

const INDEX = /^(0|[1-9]\d*)$/;

/** Own members only: `constructor` is no field of a payload. A map's key may be a whole number. */
function member(owner: unknown, key: string): unknown {
  if (typeof owner !== 'object' || owner === null) return undefined;
  if (owner instanceof Map) {
    const byText: unknown = owner.get(key);
    return byText === undefined && /^-?\d+$/.test(key) ? (owner.get(Number(key)) as unknown) : byText;
  }
  if (!Object.hasOwn(owner, key)) return undefined;
  if (Array.isArray(owner) && !INDEX.test(key)) return undefined;
  return (owner as Record<string, unknown>)[key];
}

/** A copy of the tree in which something else stands at the path; what is beside the path is shared. */
function withMember(owner: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const inner = withMember(member(owner, key), rest, value);
  if (owner instanceof Map) {
    const place = owner.has(key) ? key : Number(key);
    return new Map<unknown, unknown>([...owner, [place, inner]]);
  }
  if (Array.isArray(owner)) return owner.map((element: unknown, i) => (String(i) === key ? inner : element));
  return { ...(owner as object), [key]: inner };
}

/** A parser may quote the payload in its message; a header needs no more than its beginning. */
function shortened(message: string): string {
  const sound = message.toWellFormed();
  return sound.length > 200 ? `${sound.slice(0, 199)}…`.toWellFormed() : sound;
}

/** Puts plain values into slots: numbers, bigints, strings, booleans, bytes, dates; null and undefined are absent. */
export class PlainValues {
  /** Bytes that a library took out of the payload, or made. */
  #scratch = Buffer.alloc(0);
  #used = 0;

  /** Begins a reading. */
  begin(): void {
    this.#used = 0;
  }

  /** Ends a reading: bytes that were put are where the values look for them. */
  end(values: FieldValues): void {
    if (this.#used > 0) values.source = this.#scratch;
  }

  /**
   * A number is a double, so that a metric's type doesn't change with its value, except where `isInteger` says
   * otherwise, or where a double would not be exact. Returns what is wrong with a value that is no single one.
   */
  put(
    values: FieldValues,
    slot: number,
    path: string,
    value: unknown,
    isInteger: boolean,
  ): DecodeFault | undefined {
    switch (typeof value) {
      case 'number':
        if (isInteger && Number.isSafeInteger(value)) values.setInteger(slot, BigInt(value));
        else putDouble(values, slot, value);
        return undefined;
      case 'bigint':
        if (!isInteger && Number.isSafeInteger(Number(value))) putDouble(values, slot, Number(value));
        else if (!values.setInteger(slot, value)) {
          return fieldType(path, 'an integer of more than 64 bits', 'one of 64 bits');
        }
        return undefined;
      case 'boolean':
        values.kind[slot] = ValueKind.Bool;
        values.low[slot] = value ? 1 : 0;
        return undefined;
      case 'string':
        if (!value.isWellFormed()) return fieldType(path, 'a lone surrogate', 'text of valid Unicode');
        values.kind[slot] = ValueKind.Text;
        values.text[slot] = value;
        return undefined;
      default:
        if (value === null || value === undefined) return undefined;
        if (value instanceof Uint8Array) this.#putBytes(values, slot, value);
        else if (value instanceof Date) putDouble(values, slot, value.getTime());
        else return fieldType(path, Array.isArray(value) ? 'an array' : 'an object', 'a single value');
        return undefined;
    }
  }

  #putBytes(values: FieldValues, slot: number, bytes: Uint8Array): void {
    const start = this.#used;
    const end = start + bytes.length;
    if (end > this.#scratch.length) {
      const larger = Buffer.allocUnsafeSlow(2 * end);
      this.#scratch.copy(larger, 0, 0, start);
      this.#scratch = larger;
    }
    this.#scratch.set(bytes, start);
    this.#used = end;
    values.kind[slot] = ValueKind.Bytes;
    values.start[slot] = start;
    values.end[slot] = end;
  }
}

function putDouble(values: FieldValues, slot: number, value: number): void {
  values.kind[slot] = ValueKind.Double;
  values.double[slot] = value;
}
