import { ValueKind } from '../formats/field-values.ts';
import type { FieldSchema, MessageSchema } from './message-type.ts';
import type { FieldInfo, FieldProblem } from '../formats/payload-reader.ts';

/** What to do with the bytes of a field. `Skip…`: nobody asked for it, but its bytes must be sound. */
export const Op = {
  Int32: 0,
  Uint32: 1,
  Sint32: 2,
  Int64: 3,
  Uint64: 4,
  Sint64: 5,
  Bool: 6,
  ClosedEnum: 7,
  Fixed32: 8,
  Sfixed32: 9,
  Float: 10,
  Fixed64: 11,
  Sfixed64: 12,
  Double: 13,
  String: 14,
  Bytes: 15,
  Message: 16,
  SkipVarint: 17,
  SkipFixed32: 18,
  SkipFixed64: 19,
  SkipString: 20,
  SkipBytes: 21,
  SkipPackedVarint: 22,
  SkipPackedFixed32: 23,
  SkipPackedFixed64: 24,
} as const;
export type Op = (typeof Op)[keyof typeof Op];

/** A field as the reader meets it on the wire: with one tag, that is one number and one wire type. */
export interface FieldPlan {
  readonly op: Op;
  /** Where its value goes; -1: nowhere. */
  readonly slot: number;
  /** Of a message. */
  readonly message: MessagePlan | undefined;
  /** Slots that it makes absent: of the other members of its oneof. */
  readonly clears: readonly number[];
  /** Of a required field: its bit in the set of those seen; else 0. */
  readonly requiredBit: number;
  readonly enumNames: ReadonlyMap<number, string> | undefined;
  /** Whether text or bytes of no length are the same as none: there is no presence that says otherwise. */
  readonly emptyIsAbsent: boolean;
}

/** A message type, compiled for the fields that a profile asks for. */
export interface MessagePlan {
  /** Full name, for messages. */
  readonly name: string;
  /** By tag, below {@link TAG_TABLE_SIZE}: number * 8 + wire type. */
  readonly byTag: (FieldPlan | undefined)[];
  /** The fields with larger tags. */
  readonly byLargeTag: Map<number, FieldPlan>;
  /** Slots that hold zero as soon as the message is there: fields without presence. */
  readonly zeros: { readonly slot: number; readonly kind: ValueKind }[];
  /** The bits of all required fields. */
  requiredBits: number;
}

/** Field numbers 1 to 127 are looked up in an array; nearly all fields have one of those. */
export const TAG_TABLE_SIZE = 1_024;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

interface ScalarPlan {
  readonly op: Op;
  readonly skip: Op;
  readonly wireType: number;
  readonly type: Exclude<FieldInfo['type'], 'any'>;
}

/** What there is to each type of a single value. */
export const SCALARS: Readonly<Record<Exclude<FieldSchema['type'], 'message' | 'group'>, ScalarPlan>> = {
  double: { op: Op.Double, skip: Op.SkipFixed64, wireType: FIXED64, type: 'number' },
  float: { op: Op.Float, skip: Op.SkipFixed32, wireType: FIXED32, type: 'number' },
  int32: { op: Op.Int32, skip: Op.SkipVarint, wireType: VARINT, type: 'integer' },
  int64: { op: Op.Int64, skip: Op.SkipVarint, wireType: VARINT, type: 'integer' },
  uint32: { op: Op.Uint32, skip: Op.SkipVarint, wireType: VARINT, type: 'integer' },
  uint64: { op: Op.Uint64, skip: Op.SkipVarint, wireType: VARINT, type: 'integer' },
  sint32: { op: Op.Sint32, skip: Op.SkipVarint, wireType: VARINT, type: 'integer' },
  sint64: { op: Op.Sint64, skip: Op.SkipVarint, wireType: VARINT, type: 'integer' },
  fixed32: { op: Op.Fixed32, skip: Op.SkipFixed32, wireType: FIXED32, type: 'integer' },
  fixed64: { op: Op.Fixed64, skip: Op.SkipFixed64, wireType: FIXED64, type: 'integer' },
  sfixed32: { op: Op.Sfixed32, skip: Op.SkipFixed32, wireType: FIXED32, type: 'integer' },
  sfixed64: { op: Op.Sfixed64, skip: Op.SkipFixed64, wireType: FIXED64, type: 'integer' },
  bool: { op: Op.Bool, skip: Op.SkipVarint, wireType: VARINT, type: 'bool' },
  enum: { op: Op.Int32, skip: Op.SkipVarint, wireType: VARINT, type: 'enum' },
  string: { op: Op.String, skip: Op.SkipString, wireType: LENGTH, type: 'string' },
  bytes: { op: Op.Bytes, skip: Op.SkipBytes, wireType: LENGTH, type: 'bytes' },
};

const ZEROS = {
  number: ValueKind.Double,
  integer: ValueKind.Int,
  enum: ValueKind.Int,
  bool: ValueKind.Bool,
} as const;

const PACKED: Readonly<Partial<Record<number, Op>>> = {
  [VARINT]: Op.SkipPackedVarint,
  [FIXED32]: Op.SkipPackedFixed32,
  [FIXED64]: Op.SkipPackedFixed64,
};

/** The paths that are asked for below a message, by the name of the first field. */
type Wanted = ReadonlyMap<string, readonly WantedPath[]>;
interface WantedPath {
  readonly slot: number;
  readonly rest: readonly string[];
}

/**
 * Compiles a message type for the fields at `paths` (names with dots; undefined: a slot that stays absent). All message fields are entered, asked
 * for or not, so that what other readers of the schema refuse is refused here too.
 */
export function compileMessagePlan(
  schema: MessageSchema,
  paths: readonly (string | undefined)[],
):
  | { readonly plan: MessagePlan; readonly fields: readonly FieldInfo[] }
  | { readonly problems: FieldProblem[] } {
  const compiler = new PlanCompiler(paths.length);
  const resolved = paths.flatMap((path, slot) =>
    path === undefined ? [] : [{ slot, rest: throughWrapper(schema, path.split('.')) }],
  );
  for (const { slot, rest } of resolved) {
    compiler.check(schema, rest, slot);
    const first = resolved.find((other) => other.rest.join('.') === rest.join('.'))?.slot ?? slot;
    if (first !== slot) {
      const found = `${paths[slot] ?? ''}, which is ${paths[first] ?? ''}`;
      compiler.problems.push({ field: slot, found, expected: 'one way to name a field' });
    }
  }
  if (compiler.problems.length > 0) return { problems: compiler.problems };
  return { plan: compiler.message(schema, resolved), fields: compiler.fields };
}

/** The value of google.protobuf.DoubleValue and its like is meant where the message is named. */
function throughWrapper(schema: MessageSchema, names: readonly string[]): readonly string[] {
  let message: MessageSchema | undefined = schema;
  for (const name of names) message = message?.fields.find((field) => field.name === name)?.message;
  return message !== undefined &&
    /^google\.protobuf\.\w+Value$/.test(message.name) &&
    message.fields.length === 1
    ? [...names, 'value']
    : names;
}

class PlanCompiler {
  readonly problems: FieldProblem[] = [];
  readonly fields: FieldInfo[];
  /** Plans of messages of which nothing is asked for; types may be recursive. */
  readonly #unasked = new Map<MessageSchema, MessagePlan>();

  constructor(size: number) {
    this.fields = Array.from({ length: size }, () => ({ type: 'any' }));
  }

  /** Finds the field that a path leads to, and whether a single value can be read from it. */
  check(root: MessageSchema, names: readonly string[], slot: number): void {
    const refuse = (found: string, expected: string): void => {
      this.problems.push({ field: slot, found, expected });
    };
    let message: MessageSchema | undefined = root;
    for (const [depth, name] of names.entries()) {
      const here = names.slice(0, depth + 1).join('.');
      if (message === undefined) {
        refuse(`${here}, where ${names.slice(0, depth).join('.')} is a single value`, 'a field of a message');
        return;
      }
      const field: FieldSchema | undefined = message.fields.find((candidate) => candidate.name === name);
      const last = depth === names.length - 1;
      if (field === undefined) {
        const known = message.fields.map((candidate) => candidate.name).join(', ');
        refuse(`no field ${name} in ${message.name}`, `one of ${known === '' ? 'no fields' : known}`);
      } else if (field.repeated || field.map) {
        refuse(`${here}, which is ${field.map ? 'a map' : 'repeated'}`, 'a field with a single value');
      } else if (field.type === 'group') {
        refuse(`${here}, which is a group`, 'a field of a message');
      } else if (last && field.type === 'message') {
        const inner = field.message?.fields.map((candidate) => `${here}.${candidate.name}`).join(', ') ?? '';
        refuse(`${here}, which is a message`, `one of its fields: ${inner}`);
      } else if (last && field.type !== 'message') {
        const { type } = SCALARS[field.type];
        this.fields[slot] = field.enumNames === undefined ? { type } : { type, enumNames: field.enumNames };
      } else {
        message = field.message;
        continue;
      }
      return;
    }
  }

  message(schema: MessageSchema, asked: readonly WantedPath[]): MessagePlan {
    const known = asked.length === 0 ? this.#unasked.get(schema) : undefined;
    if (known !== undefined) return known;
    const plan: MessagePlan = {
      name: schema.name,
      byTag: [],
      byLargeTag: new Map(),
      zeros: [],
      requiredBits: 0,
    };
    if (asked.length === 0) this.#unasked.set(schema, plan);
    const wanted = Map.groupBy(asked, ({ rest }) => rest[0] ?? '');
    for (const field of schema.fields) this.#field(plan, schema, field, wanted);
    return plan;
  }

  #field(plan: MessagePlan, schema: MessageSchema, field: FieldSchema, wanted: Wanted): void {
    // An unasked group is skipped by its structure, like an unknown one.
    if (field.type === 'group') return;
    const asked = wanted.get(field.name) ?? [];
    const base = {
      clears: field.oneof === undefined ? [] : slotsBesides(schema, field, wanted),
      // All ones plus one is the next bit; from the 31st required field on they aren't insisted on.
      requiredBit: field.required && plan.requiredBits < 0x3fff_ffff ? plan.requiredBits + 1 : 0,
      enumNames: field.enumNames,
      emptyIsAbsent: !field.hasPresence,
    };
    plan.requiredBits |= base.requiredBit;
    if (field.type === 'message') {
      const below = asked.map(({ slot, rest }) => ({ slot, rest: rest.slice(1) }));
      const message = this.message(field.message ?? { name: '', fields: [] }, below);
      addField(plan, field.number, LENGTH, { ...base, op: Op.Message, slot: -1, message });
      return;
    }
    const { op, skip, wireType, type } = SCALARS[field.type];
    const slot = asked[0]?.slot;
    const scalar = { ...base, message: undefined };
    if (slot === undefined) {
      addField(plan, field.number, wireType, { ...scalar, op: skipOf(field, skip), slot: -1 });
      const packed = PACKED[wireType];
      // Readers accept both encodings of a repeated scalar, whatever the schema says.
      if (field.repeated && packed !== undefined) {
        addField(plan, field.number, LENGTH, { ...scalar, op: packed, slot: -1 });
      }
      return;
    }
    addField(plan, field.number, wireType, { ...scalar, op: field.closedEnum ? Op.ClosedEnum : op, slot });
    // What isn't on the wire is zero then. Empty text and empty bytes say nothing, so those stay absent.
    if (!field.hasPresence && type !== 'string' && type !== 'bytes') {
      plan.zeros.push({ slot, kind: ZEROS[type] });
    }
  }
}

/** What to do with a field that nobody asked for. */
function skipOf(field: FieldSchema, skip: Op): Op {
  // A member of a oneof takes the place of the others only with a number that the enum has.
  if (field.closedEnum && !field.repeated) return Op.ClosedEnum;
  return field.type === 'string' && !field.verifyUtf8 ? Op.SkipBytes : skip;
}

function addField(plan: MessagePlan, number: number, wireType: number, field: FieldPlan): void {
  const tag = number * 8 + wireType;
  if (tag >= TAG_TABLE_SIZE) {
    plan.byLargeTag.set(tag, field);
    return;
  }
  while (plan.byTag.length <= tag) plan.byTag.push(undefined);
  plan.byTag[tag] = field;
}

/** All slots below the other members of a field's oneof. */
function slotsBesides(schema: MessageSchema, field: FieldSchema, wanted: Wanted): number[] {
  return schema.fields
    .filter((other) => other.oneof === field.oneof && other !== field)
    .flatMap((other) => (wanted.get(other.name) ?? []).map(({ slot }) => slot));
}
