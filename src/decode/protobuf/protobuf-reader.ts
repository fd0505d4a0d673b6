import { isUtf8 } from 'node:buffer';
import { errorMessage } from '../../core/errors.ts';
import type { DecodeFault } from '../../core/route.ts';
import {
  decodeFailed,
  PAYLOAD_EMPTY,
  type FieldInfo,
  type Inspection,
  type PayloadReader,
} from '../formats/payload-reader.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';
import { Op, TAG_TABLE_SIZE, type FieldPlan, type MessagePlan } from './protobuf-plan.ts';

/** Messages within messages, and groups within groups, deeper than this are refused; as protobufjs does. */
const MAX_DEPTH = 100;

const NOTHING = Buffer.alloc(0);

/**
 * Reads protobuf's wire format (protobuf.dev, "Encoding") straight into the slots that a profile asks for:
 * no message object is made, text stays bytes, and everything else is checked and skipped. As the encoding
 * demands, the last of several values wins, a message that comes in parts is merged, a member of a oneof
 * takes the place of the others, and a known field with another wire type counts as unknown.
 */
export class ProtobufReader implements PayloadReader {
  readonly contentType: string;
  readonly fields: readonly FieldInfo[];
  readonly #plan: MessagePlan;
  readonly #decode: (payload: Uint8Array) => unknown;
  // What is being read. Fields instead of arguments, so that a step returns no more than whether it went well.
  #buffer: Buffer = NOTHING;
  #position = 0;
  #low = 0;
  #high = 0;
  #problem = '';

  /** `decode` reads a whole message, for {@link inspect}. */
  constructor(
    plan: MessagePlan,
    fields: readonly FieldInfo[],
    decode: (payload: Uint8Array) => unknown = () => undefined,
  ) {
    this.#plan = plan;
    this.#decode = decode;
    this.fields = fields;
    this.contentType = `application/protobuf; proto=${plan.name}`;
  }

  read(payload: Buffer, values: FieldValues): DecodeFault | undefined {
    if (payload.length === 0) return PAYLOAD_EMPTY;
    values.clear(payload);
    this.#buffer = payload;
    this.#position = 0;
    const sound = this.#message(this.#plan, values, payload.length, 0);
    // The payload is a view on a socket's buffer: let it go.
    this.#buffer = NOTHING;
    if (sound) return undefined;
    return decodeFailed(`not a ${this.#plan.name}: ${this.#problem} at byte ${this.#position}`);
  }

  inspect(payload: Buffer): Inspection | DecodeFault {
    if (payload.length === 0) return PAYLOAD_EMPTY;
    try {
      return { tree: this.#decode(payload), notes: [`protobuf message ${this.#plan.name}`] };
    } catch (error) {
      return decodeFailed(errorMessage(error));
    }
  }

  /** Reads fields up to `end`. False: the problem is noted. */
  #message(plan: MessagePlan, values: FieldValues, end: number, depth: number): boolean {
    const buffer = this.#buffer;
    if (depth > MAX_DEPTH) return this.#fail('messages nested too deep');
    for (const { slot, kind } of plan.zeros) {
      // Not if an earlier part of this message has set it.
      if (values.kind[slot] === ValueKind.Absent) {
        values.kind[slot] = kind;
        values.double[slot] = 0;
        values.low[slot] = 0;
        values.high[slot] = 0;
      }
    }
    let seen = 0;
    while (this.#position < end) {
      let tag = buffer[this.#position] as number;
      if (tag < 0x80) this.#position += 1;
      else {
        tag = this.#tag(end);
        if (tag < 0) return false;
      }
      const field = tag < TAG_TABLE_SIZE ? plan.byTag[tag] : plan.byLargeTag.get(tag);
      if (field === undefined) {
        if (!this.#skip(tag, end, depth)) return false;
      } else {
        seen |= field.requiredBit;
        if (field.clears.length > 0 && field.op !== Op.ClosedEnum) clearOthers(field, values);
        if (!this.#field(field, values, end, depth)) return false;
      }
    }
    // What is within a message ends with it, so a value that overshoots was noticed before.
    if (seen !== plan.requiredBits) return this.#fail('a required field is missing');
    return true;
  }

  #field(field: FieldPlan, values: FieldValues, end: number, depth: number): boolean {
    const { op, slot } = field;
    switch (op) {
      case Op.Double:
        if (!this.#has(8, end)) return false;
        values.kind[slot] = ValueKind.Double;
        values.double[slot] = this.#buffer.readDoubleLE(this.#position);
        this.#position += 8;
        return true;
      case Op.Float:
        if (!this.#has(4, end)) return false;
        values.kind[slot] = ValueKind.Double;
        values.double[slot] = this.#buffer.readFloatLE(this.#position);
        this.#position += 4;
        return true;
      case Op.Fixed32:
      case Op.Sfixed32:
        if (!this.#has(4, end)) return false;
        this.#low = this.#buffer.readInt32LE(this.#position);
        this.#high = op === Op.Sfixed32 ? this.#low >> 31 : 0;
        this.#position += 4;
        return this.#storeInteger(values, slot, ValueKind.Int);
      case Op.Fixed64:
      case Op.Sfixed64:
        if (!this.#has(8, end)) return false;
        this.#low = this.#buffer.readInt32LE(this.#position);
        this.#high = this.#buffer.readInt32LE(this.#position + 4);
        this.#position += 8;
        return this.#storeInteger(values, slot, op === Op.Fixed64 ? unsignedKind(this.#high) : ValueKind.Int);
      case Op.String:
      case Op.Bytes: {
        const length = this.#length(end);
        if (length < 0) return false;
        const start = this.#position;
        if (op === Op.String && !this.#utf8(length)) return false;
        this.#position = start + length;
        if (length === 0 && field.emptyIsAbsent) values.kind[slot] = ValueKind.Absent;
        else values.kind[slot] = op === Op.String ? ValueKind.Utf8 : ValueKind.Bytes;
        values.start[slot] = start;
        values.end[slot] = start + length;
        return true;
      }
      case Op.Message: {
        const length = this.#length(end);
        if (length < 0) return false;
        return this.#message(field.message as MessagePlan, values, this.#position + length, depth + 1);
      }
      default:
        return op < Op.SkipVarint ? this.#varintField(field, values, end) : this.#skipKnown(op, end);
    }
  }

  #varintField(field: FieldPlan, values: FieldValues, end: number): boolean {
    const { op, slot } = field;
    if (!this.#varint(end)) return false;
    const low = this.#low;
    switch (op) {
      case Op.Uint32:
        this.#high = 0;
        break;
      case Op.Int64:
        break;
      case Op.Uint64:
        return this.#storeInteger(values, slot, unsignedKind(this.#high));
      case Op.Sint32:
        this.#low = (low >>> 1) ^ -(low & 1);
        this.#high = this.#low >> 31;
        break;
      case Op.Sint64: {
        const sign = -(low & 1);
        this.#low = ((low >>> 1) | (this.#high << 31)) ^ sign;
        this.#high = (this.#high >>> 1) ^ sign;
        break;
      }
      case Op.Bool:
        values.kind[slot] = ValueKind.Bool;
        values.low[slot] = (low | this.#high) === 0 ? 0 : 1;
        return true;
      case Op.ClosedEnum:
        // A number that the enum doesn't have is an unknown field: the one before it stands.
        if (field.enumNames?.has(low) !== true) return true;
        clearOthers(field, values);
        this.#high = low >> 31;
        break;
      default:
        this.#high = low >> 31;
    }
    return this.#storeInteger(values, slot, ValueKind.Int);
  }

  #storeInteger(values: FieldValues, slot: number, kind: ValueKind): boolean {
    values.kind[slot] = kind;
    values.low[slot] = this.#low;
    values.high[slot] = this.#high;
    return true;
  }

  /** A field of the schema that nobody asked for. */
  #skipKnown(op: Op, end: number): boolean {
    if (op === Op.SkipVarint) return this.#varint(end);
    if (op === Op.SkipFixed32) return this.#advance(4, end);
    if (op === Op.SkipFixed64) return this.#advance(8, end);
    const length = this.#length(end);
    if (length < 0) return false;
    const stop = this.#position + length;
    switch (op) {
      case Op.SkipString:
        if (!this.#utf8(length)) return false;
        break;
      case Op.SkipPackedVarint:
        while (this.#position < stop) if (!this.#varint(stop)) return false;
        break;
      case Op.SkipPackedFixed32:
        if (length % 4 !== 0) return this.#fail('packed values cut short');
        break;
      case Op.SkipPackedFixed64:
        if (length % 8 !== 0) return this.#fail('packed values cut short');
        break;
      default:
    }
    this.#position = stop;
    return true;
  }

  /** Skips the value of an unknown field by its wire type. */
  #skip(tag: number, end: number, depth: number): boolean {
    if (tag < 8) return this.#fail('field number 0');
    switch (tag & 7) {
      case 0:
        return this.#varint(end);
      case 1:
        return this.#advance(8, end);
      case 2: {
        const length = this.#length(end);
        if (length < 0) return false;
        this.#position += length;
        return true;
      }
      case 3:
        return this.#skipGroup(tag, end, depth + 1);
      case 5:
        return this.#advance(4, end);
      case 4:
        return this.#fail('the end of a group that was not begun');
      default:
        return this.#fail(`wire type ${tag & 7}`);
    }
  }

  /** Up to and with the end tag that belongs to `startTag`. */
  #skipGroup(startTag: number, end: number, depth: number): boolean {
    if (depth > MAX_DEPTH) return this.#fail('groups nested too deep');
    while (this.#position < end) {
      const tag = this.#tag(end);
      if (tag < 0) return false;
      if ((tag & 7) === 4) return tag === startTag + 1 || this.#fail('the end of another group');
      if (!this.#skip(tag, end, depth)) return false;
    }
    return this.#fail('a group without end');
  }

  /** A tag: a varint of 32 bits. -1: the problem is noted. */
  #tag(end: number): number {
    let tag = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.#position >= end) return this.#cutShort();
      const byte = this.#buffer[this.#position++] as number;
      if (shift === 28 && byte > 0x0f) break;
      tag = (tag | ((byte & 0x7f) << shift)) >>> 0;
      if (byte < 0x80) return tag;
    }
    this.#fail('a tag of more than 32 bits');
    return -1;
  }

  /** The length of what follows, which lies within `end`. -1: the problem is noted. */
  #length(end: number): number {
    if (this.#position >= end) return this.#cutShort();
    let length = this.#buffer[this.#position] as number;
    if (length < 0x80) this.#position += 1;
    else {
      if (!this.#varint(end)) return -1;
      length = this.#low;
      if (this.#high !== 0 || length < 0) {
        this.#fail('a length of more than 31 bits');
        return -1;
      }
    }
    return this.#position + length > end ? this.#cutShort() : length;
  }

  /** A varint of up to 64 bits into #low and #high. */
  #varint(end: number): boolean {
    const buffer = this.#buffer;
    let position = this.#position;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (position >= end) {
        this.#position = position;
        return this.#fail('a value cut short');
      }
      const byte = buffer[position++] as number;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.#position = position;
        this.#low = low;
        this.#high = high;
        return true;
      }
    }
    this.#position = position;
    return this.#fail('a varint of more than 10 bytes');
  }

  /** Whether the `length` bytes at the position are valid UTF-8. Leaves the position where it is. */
  #utf8(length: number): boolean {
    const buffer = this.#buffer;
    const start = this.#position;
    const end = start + length;
    for (let index = start; index < end; index++) {
      // The call costs more than looking at the few bytes of most texts.
      if ((buffer[index] as number) >= 0x80) {
        return isUtf8(buffer.subarray(start, end)) || this.#fail('text of invalid UTF-8');
      }
    }
    return true;
  }

  #advance(length: number, end: number): boolean {
    if (!this.#has(length, end)) return false;
    this.#position += length;
    return true;
  }

  #has(length: number, end: number): boolean {
    return this.#position + length <= end || this.#fail('a value cut short');
  }

  #cutShort(): -1 {
    this.#fail('a value cut short');
    return -1;
  }

  #fail(problem: string): false {
    this.#problem = problem;
    return false;
  }
}

/** A member of a oneof takes the place of the others. */
function clearOthers(field: FieldPlan, values: FieldValues): void {
  for (const slot of field.clears) values.kind[slot] = ValueKind.Absent;
}

function unsignedKind(high: number): ValueKind {
  return high < 0 ? ValueKind.Uint : ValueKind.Int;
}
