import type { FieldSchema, MessageSchema } from './message-schema.ts';
import type { FieldInfo, FieldType } from '../formats/payload-reader.ts';
import type { Conversion } from '../formats/tree-reader.ts';

/** A field of a message that has been read into plain data. */
export interface TreeField extends Conversion {
  readonly info: FieldInfo;
}

const FIELD_TYPES: Readonly<Record<Exclude<FieldSchema['type'], 'message' | 'group'>, FieldType>> = {
  double: 'number',
  float: 'number',
  int32: 'integer',
  int64: 'integer',
  uint32: 'integer',
  uint64: 'integer',
  sint32: 'integer',
  sint64: 'integer',
  fixed32: 'integer',
  fixed64: 'integer',
  sfixed32: 'integer',
  sfixed64: 'integer',
  bool: 'bool',
  string: 'string',
  bytes: 'bytes',
  // Read by name already.
  enum: 'string',
};

/**
 * Where a path leads in a message: names of fields, `[n]` for an element of a repeated field, a key for a value of
 * a map. Returns what should be there instead if it leads nowhere.
 */
export function resolveTreeField(
  root: MessageSchema,
  keys: readonly string[],
  inner: readonly string[] | undefined,
): TreeField | string {
  let place: Place = { message: root };
  for (const key of keys) {
    const next = step(place, key);
    if (typeof next === 'string') return next;
    place = next;
  }
  if (inner !== undefined) {
    if (place.field?.repeated !== true || place.element === true) return 'a repeated field before []';
    place = elementOf(place.field);
    for (const key of inner) {
      const next = step(place, key);
      if (typeof next === 'string') return next;
      place = next;
    }
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
  const type = FIELD_TYPES[field.type];
  const isEmptyAbsent = !field.hasPresence && element !== true;
  return {
    info: { type },
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
