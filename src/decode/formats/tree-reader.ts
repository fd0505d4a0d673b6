import { errorMessage } from '../../core/errors.ts';
import type { DecodeFault } from '../../core/route.ts';
import { decodeFailed, fieldMissing, fieldType, PAYLOAD_EMPTY, tooManyReadings } from './decode-fault.ts';
import type { FieldPaths } from './field-path.ts';
import type { FieldValues } from './field-values.ts';
import {
  MAX_READINGS,
  type FieldInfo,
  type Inspection,
  type PayloadReader,
  type ReadingBatch,
} from './payload-reader.ts';
import { PlainValues } from './plain-values.ts';

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
 * Reads fields from payloads that a library parses into a tree of plain values; null counts as absent. Depth needs no limit here: only the profile's paths are followed.
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
  readonly #plain = new PlainValues();
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
      const conversion = this.#conversions?.[slot];
      if (conversion !== undefined) {
        if (value !== undefined) value = conversion.convert(value);
        else if (typeof owner === 'object' && owner !== null) value = conversion.zero;
      }
      const isInteger = this.fields[slot]?.type === 'integer';
      const fault = this.#plain.put(values, slot, text, value, isInteger);
      if (fault !== undefined) return fault;
    }
    this.#plain.end(values);
    return undefined;
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
      alone: () => {
        const format = this.#format;
        if (!format.readsItsOwn || this.#selected === undefined) return undefined;
        return format.write(withMember(this.#root, list, [this.#selected.element]));
      },
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
