import type { FieldPath } from '../formats/field-path.ts';
import type { ReaderProblem } from '../formats/payload-format.ts';
import type { PayloadReader } from '../formats/payload-reader.ts';
import { compileTreeReader, writeAsJson, type TreeField, type TreeFormat } from '../formats/tree-reader.ts';
import {
  loadMessageType,
  SchemaError,
  type FieldSchema,
  type MessageSchema,
  type MessageType,
} from './message-type.ts';
import { compileMessagePlan, SCALARS } from './protobuf-plan.ts';
import { ProtobufReader } from './protobuf-reader.ts';

export type CompiledMessage =
  { readonly reader: PayloadReader } | { readonly problems: readonly ReaderProblem[] };

/** Compiles the reader of a message; `path` is the profile's key that names it. */
export function compileMessage(
  file: string,
  message: string,
  path: readonly string[],
  fields: readonly string[],
): CompiledMessage {
  const type = loadMessage(file, message, path);
  return 'problem' in type ? { problems: [type.problem] } : compileType(type, fields);
}

export function loadMessage(
  file: string,
  message: string,
  path: readonly string[],
): MessageType | { readonly problem: ReaderProblem } {
  try {
    return loadMessageType(file, message);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    const { part, found, expected } = error;
    return { problem: { path: part === 'file' ? ['decode', 'protobuf', 'file'] : path, found, expected } };
  }
}

/**
 * Compiles the reader of a message type; fields that are undefined stay absent. The specialised reader knows fields
 * with single values. Elements of repeated fields and maps, fields of groups, and Timestamps are read by way of
 * protobufjs' message object, at several times the cost.
 */
export function compileType(type: MessageType, fields: readonly (string | undefined)[]): CompiledMessage {
  const planned = compileMessagePlan(type.schema, fields);
  if ('plan' in planned) {
    return { reader: new ProtobufReader(planned.plan, planned.fields, (bytes) => type.decode(bytes)) };
  }
  const asked = fields.map((field) => field ?? '$');
  const compiled = compileTreeReader(treeFormatOf(type), asked, (path, slot) =>
    fields[slot] === undefined ? ABSENT : fieldAt(type.schema, path),
  );
  if ('reader' in compiled) return compiled;
  return {
    problems: compiled.problems.map((problem) => {
      const first = planned.problems.find(({ field }) => field === problem.field);
      if (first === undefined || problem.found !== asked[problem.field]) return problem;
      // The specialised reader goes no further than a list or a map, which is not what is wrong with the path.
      return /, which is (a map|repeated)$/.test(first.found) ? problem : first;
    }),
  };
}

const ABSENT: TreeField = { info: { type: 'any' }, convert: () => undefined };

function treeFormatOf(type: MessageType): TreeFormat {
  return {
    name: type.name,
    contentType: `application/protobuf; proto=${type.name}`,
    parse: (payload) => type.decode(payload),
    // One element alone is another message, or none at all: as a raw value it is JSON.
    write: writeAsJson,
    readsItsOwn: false,
    emptyListIsAbsent: true,
  };
}

/**
 * Where a path leads in a message: names of fields, `[n]` for an element of a repeated field, a key for a value of
 * a map. Returns what should be there instead if it leads nowhere.
 */
function fieldAt(root: MessageSchema, { keys, inner }: FieldPath): TreeField | string {
  let place = follow({ message: root }, keys);
  if (typeof place === 'string') return place;
  if (inner !== undefined) {
    if (place.field?.repeated !== true || place.element === true) return 'a repeated field before []';
    place = follow(elementOf(place.field), inner);
    if (typeof place === 'string') return place;
  }
  return leaf(place);
}

interface Place {
  /** The message that stands there. */
  readonly message?: MessageSchema | undefined;
  readonly field?: FieldSchema;
  /** Of a repeated field: one of its elements. */
  readonly element?: boolean;
}

function elementOf(field: FieldSchema): Place {
  return { field, element: true, message: field.message };
}

function follow(from: Place, keys: readonly string[]): Place | string {
  let place = from;
  for (const key of keys) {
    const next = step(place, key);
    if (typeof next === 'string') return next;
    place = next;
  }
  return place;
}

function step(place: Place, key: string): Place | string {
  const { field } = place;
  if (field !== undefined && place.element !== true) {
    if (field.map)
      return elementOf(field.message?.fields.find(({ name }) => name === 'value') as FieldSchema);
    if (field.repeated) {
      return /^(0|[1-9]\d*)$/.test(key) ? elementOf(field) : `${field.name}[n] or ${field.name}[]`;
    }
  }
  const next = place.message?.fields.find(({ name }) => name === key);
  if (next !== undefined) return { field: next, message: next.repeated ? undefined : next.message };
  const names = place.message?.fields.map(({ name }) => name).join(', ') ?? 'no fields';
  return `one of ${names}`;
}

function leaf({ field, message, element }: Place): TreeField | string {
  if (field === undefined) return 'a field of the message';
  if (element !== true && field.map) return `a value of the map: ${field.name}.<key>`;
  if (element !== true && field.repeated)
    return `an element of the list: ${field.name}[n] or ${field.name}[]`;
  if (message?.name === 'google.protobuf.Timestamp') {
    return { info: { type: 'number' }, zero: undefined, convert: timestampMs };
  }
  if (message !== undefined && /^google\.protobuf\.\w+Value$/.test(message.name)) {
    const value = message.fields.find(({ name }) => name === 'value');
    if (value === undefined) return 'a single value';
    const inner = leaf({ field: value });
    if (typeof inner === 'string') return 'a single value';
    const { info, zero } = inner;
    return { info, zero: undefined, convert: (wrapper) => wrapped(wrapper, zero) };
  }
  if (field.type === 'message' || field.type === 'group') return 'one of its fields';
  const { type } = SCALARS[field.type];
  const isEmptyAbsent = !field.hasPresence && element !== true;
  return {
    // An enum is read by name already.
    info: { type: type === 'enum' ? 'string' : type },
    zero: isEmptyAbsent ? zeroOf(field) : undefined,
    convert: (value) => (isEmptyAbsent && isEmpty(value) ? undefined : value),
  };
}

/** A Timestamp is its milliseconds since 1970. */
function timestampMs(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  const { seconds = 0, nanos = 0 } = value as { seconds?: bigint | number; nanos?: number };
  return Number(seconds) * 1_000 + nanos / 1_000_000;
}

function wrapped(value: unknown, zero: unknown): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return (value as { value?: unknown }).value ?? zero;
}

function zeroOf({ type, enumNames }: FieldSchema): unknown {
  switch (type) {
    case 'string':
    case 'bytes':
      return undefined;
    case 'bool':
      return false;
    case 'enum':
      return enumNames?.get(0) ?? 0;
    default:
      return 0;
  }
}

/** Empty text without presence says nothing. */
function isEmpty(value: unknown): boolean {
  return value === '' || (value instanceof Uint8Array && value.length === 0);
}
