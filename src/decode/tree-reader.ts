import { errorMessage } from '../core/errors.ts';
import type { DecodeFault } from '../core/route.ts';
import { decodeFailed, fieldMissing, fieldType, PAYLOAD_EMPTY, tooManyReadings } from './decode-fault.ts';
import type { FieldPaths } from './field-path.ts';
import { ValueKind, type FieldValues } from './field-values.ts';
import { MAX_READINGS, type FieldInfo, type PayloadReader, type ReadingBatch } from './payload-reader.ts';

/** A format whose payloads are parsed into plain values: objects or maps, arrays, and single values. */
export interface TreeFormat {
  /** As it stands in messages, e.g. `JSON`. */
  readonly name: string;
  readonly contentType: string;
  /** Parses a payload of at least one byte. Throws what is wrong with it. May keep views on the payload. */
  parse(payload: Buffer): unknown;
  /** Writes one reading of a list, for its dead letter. */
  write(value: unknown): Uint8Array;
}

/** What a schema knows of a field beyond what stands in the tree. */
export interface Conversion {
  /** What it is if its owner is there and it isn't. */
  readonly zero: unknown;
  /** What it stands for; undefined: nothing. */
  convert(value: unknown): unknown;
}

export interface SchemaFields {
  /** What the schema says of each path. */
  readonly fields: readonly FieldInfo[];
  readonly conversions?: readonly Conversion[];
  /** Whether a list without elements is not in the tree. */
  readonly emptyListIsAbsent?: boolean;
}

/**
 * Reads fields from payloads that a library parses into a tree of plain values. A number is a double, so that a
 * metric's type doesn't change with its value, except where a schema says integer, or where a double would not
 * be exact; null counts as absent. Depth needs no limit here: only the profile's paths are followed.
 */
export class TreeReader implements PayloadReader {
  readonly contentType: string;
  readonly fields: readonly FieldInfo[];
  readonly batch: ReadingBatch | undefined;
  readonly #format: TreeFormat;
  readonly #paths: FieldPaths;
  readonly #conversions: readonly Conversion[] | undefined;
  readonly #emptyListIsAbsent: boolean;
  readonly #wantsScalar: boolean;
  /** Bytes that a library took out of the payload, or made. */
  #scratch = Buffer.alloc(0);
  #scratchUsed = 0;
  // Of a batch.
  #root: unknown;
  #elements: readonly unknown[] = [];
  #selected: { readonly element: unknown } | undefined;

  constructor(format: TreeFormat, paths: FieldPaths, schema?: SchemaFields) {
    this.#format = format;
    this.#paths = paths;
    this.contentType = format.contentType;
    this.#conversions = schema?.conversions;
    this.#emptyListIsAbsent = schema?.emptyListIsAbsent ?? false;
    this.fields = schema?.fields ?? paths.paths.map(() => ({ type: 'any' }));
    this.#wantsScalar = paths.paths.some(({ keys }) => keys.length === 0);
    if (paths.list !== undefined) this.batch = this.#batch(paths.list);
  }

  read(payload: Buffer, values: FieldValues): DecodeFault | undefined {
    values.clear(payload);
    if (this.batch !== undefined) return this.#store(this.#root, this.#selected?.element, values);
    const parsed = this.#parse(payload);
    return 'fault' in parsed ? parsed.fault : this.#store(parsed.root, undefined, values);
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
    this.#scratchUsed = 0;
    for (const [slot, { text, keys, inner }] of this.#paths.paths.entries()) {
      let owner: unknown;
      let value = inner === undefined ? root : element;
      for (const key of inner ?? keys) {
        owner = value;
        value = member(value, key);
      }
      const conversion = this.#conversions?.[slot];
      if (conversion !== undefined) {
        if (value !== undefined) value = conversion.convert(value);
        else if (typeof owner === 'object' && owner !== null) value = conversion.zero;
      }
      const fault = this.#put(values, slot, text, value);
      if (fault !== undefined) return fault;
    }
    if (this.#scratchUsed > 0) values.source = this.#scratch;
    return undefined;
  }

  #put(values: FieldValues, slot: number, path: string, value: unknown): DecodeFault | undefined {
    switch (typeof value) {
      case 'number':
        if (this.fields[slot]?.type === 'integer' && Number.isSafeInteger(value)) {
          values.setInteger(slot, BigInt(value));
          return undefined;
        }
        values.kind[slot] = ValueKind.Double;
        values.double[slot] = value;
        return undefined;
      case 'bigint':
        return this.#putBigInt(values, slot, path, value);
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
        if (value instanceof Uint8Array) {
          this.#putBytes(values, slot, value);
          return undefined;
        }
        if (value instanceof Date) return this.#put(values, slot, path, value.getTime());
        return fieldType(path, Array.isArray(value) ? 'an array' : 'an object', 'a single value');
    }
  }

  #putBigInt(values: FieldValues, slot: number, path: string, value: bigint): DecodeFault | undefined {
    const number = Number(value);
    if (this.fields[slot]?.type !== 'integer' && Number.isSafeInteger(number)) {
      values.kind[slot] = ValueKind.Double;
      values.double[slot] = number;
    } else if (!values.setInteger(slot, value)) {
      return fieldType(path, 'an integer of more than 64 bits', 'one of 64 bits');
    }
    return undefined;
  }

  #putBytes(values: FieldValues, slot: number, bytes: Uint8Array): void {
    const start = this.#scratchUsed;
    const end = start + bytes.length;
    if (end > this.#scratch.length) {
      const larger = Buffer.allocUnsafeSlow(2 * end);
      this.#scratch.copy(larger, 0, 0, start);
      this.#scratch = larger;
    }
    this.#scratch.set(bytes, start);
    this.#scratchUsed = end;
    values.kind[slot] = ValueKind.Bytes;
    values.start[slot] = start;
    values.end[slot] = end;
  }

  #batch(list: readonly string[]): ReadingBatch {
    const name = list.length === 0 ? 'the payload' : `field ${list.join('.')}`;
    return {
      open: (payload) => {
        const parsed = this.#parse(payload);
        if ('fault' in parsed) return parsed.fault;
        let value = parsed.root;
        for (const key of list) value = member(value, key);
        if (value === undefined && this.#emptyListIsAbsent) return 0;
        if (value === undefined || value === null) return fieldMissing('list of readings', name);
        if (!Array.isArray(value))
          return fieldType(name.replace('field ', ''), 'no list', 'a list of readings');
        if (value.length > MAX_READINGS) return tooManyReadings(value.length, MAX_READINGS);
        this.#root = parsed.root;
        this.#elements = value;
        return value.length;
      },
      select: (index) => {
        this.#selected = { element: this.#elements[index] };
      },
      bytes: () => (this.#selected === undefined ? undefined : this.#format.write(this.#selected.element)),
      close: () => {
        this.#root = undefined;
        this.#elements = [];
        this.#selected = undefined;
      },
    };
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

/** A parser may quote the payload in its message; a header needs no more than its beginning. */
function shortened(message: string): string {
  const sound = message.toWellFormed();
  return sound.length > 200 ? `${sound.slice(0, 199)}…`.toWellFormed() : sound;
}
