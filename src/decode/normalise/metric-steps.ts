import type { MetricSpec } from '../../core/profile/normaliser-spec.ts';
import type { DecodeFault } from '../../core/route.ts';
import { fieldType } from '../formats/payload-reader.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';
import type { Linear } from './units.ts';

/** Makes one slot's value of another's. Steps are compiled once and run for every message. */
export interface MetricStep {
  /** Fills the target slot. Returns why the source can't become what the profile says. */
  run(values: FieldValues): DecodeFault | undefined;
}

/** What a step reads and fills. */
export interface Slots {
  readonly source: number;
  readonly target: number;
  /** The source's path, for faults. */
  readonly field: string;
}

/** The step that a metric needs; undefined: its field is taken as it is. */
export function metricStep(
  spec: MetricSpec,
  slots: Slots,
  converted: Linear | undefined,
  sourceNames: ReadonlyMap<number, string> | undefined,
): MetricStep | undefined {
  if (spec.bit !== undefined) return new BitStep(slots, spec.bit);
  if (spec.enum !== undefined) return new EnumStep(slots, spec.enum);
  const { scale = 1, offset = 0, type } = spec;
  const { factor, offset: shift } = converted ?? { factor: 1, offset: 0 };
  const linear: Linear = { factor: scale * factor, offset: offset * factor + shift };
  const changes = linear.factor !== 1 || linear.offset !== 0;
  if (type === 'boolean') return new BooleanStep(slots);
  if (type === 'text') return new TextStep(slots, sourceNames, changes ? linear : undefined);
  if (type === undefined && !changes) return undefined;
  return new NumberStep(slots, linear, type === 'integer');
}

/** The number in a slot, a text's too; NaN: it holds none. */
function numberIn(values: FieldValues, slot: number): number {
  switch (values.kind[slot]) {
    case ValueKind.Double:
      return values.double[slot] as number;
    case ValueKind.Int:
    case ValueKind.Uint:
      return values.integerAsNumber(slot);
    case ValueKind.Bool:
      return values.low[slot] as number;
    case ValueKind.Text:
    case ValueKind.Utf8: {
      const text = textIn(values, slot).trim();
      return text === '' ? Number.NaN : Number(text);
    }
    default:
      return Number.NaN;
  }
}

/** The text in a slot of kind Text or Utf8. */
export function textIn(values: FieldValues, slot: number): string {
  if (values.kind[slot] === ValueKind.Text) return values.text[slot] as string;
  return values.source.toString('utf8', values.start[slot], values.end[slot]);
}

/** A whole number into a slot, as an integer of 64 bits; false: it has no room there. */
function storeInteger(values: FieldValues, slot: number, value: number): boolean {
  if (!(value >= -(2 ** 63) && value < 2 ** 64)) return false;
  values.kind[slot] = value >= 2 ** 63 ? ValueKind.Uint : ValueKind.Int;
  values.low[slot] = value;
  values.high[slot] = Math.floor(value / 4_294_967_296);
  return true;
}

/** Scale, offset and unit in one multiplication and one addition; then the type. */
class NumberStep implements MetricStep {
  readonly #slots: Slots;
  readonly #linear: Linear;
  readonly #integer: boolean;
  readonly #identity: boolean;

  constructor(slots: Slots, linear: Linear, integer: boolean) {
    this.#slots = slots;
    this.#linear = linear;
    this.#integer = integer;
    this.#identity = linear.factor === 1 && linear.offset === 0;
  }

  run(values: FieldValues): DecodeFault | undefined {
    const { source, target, field } = this.#slots;
    const kind = values.kind[source] as ValueKind;
    if (kind === ValueKind.Absent) {
      values.kind[target] = ValueKind.Absent;
      return undefined;
    }
    if (this.#integer && this.#identity && (kind === ValueKind.Int || kind === ValueKind.Uint)) {
      // All 64 bits, which a double has no room for.
      values.kind[target] = kind;
      values.low[target] = values.low[source] as number;
      values.high[target] = values.high[source] as number;
      return undefined;
    }
    const number = numberIn(values, source);
    if (Number.isNaN(number) && kind !== ValueKind.Double) return fieldType(field, 'no number', 'a number');
    const value = this.#identity ? number : number * this.#linear.factor + this.#linear.offset;
    if (!this.#integer) {
      values.kind[target] = ValueKind.Double;
      values.double[target] = value;
      return undefined;
    }
    if (Number.isNaN(value)) {
      values.kind[target] = ValueKind.Absent;
      return undefined;
    }
    if (storeInteger(values, target, Math.round(value))) return undefined;
    return fieldType(field, String(value), 'an integer of 64 bits');
  }
}

/** One bit of an integer. */
class BitStep implements MetricStep {
  readonly #slots: Slots;
  readonly #bit: number;

  constructor(slots: Slots, bit: number) {
    this.#slots = slots;
    this.#bit = bit;
  }

  run(values: FieldValues): DecodeFault | undefined {
    const { source, target, field } = this.#slots;
    const bit = this.#bit;
    let low: number;
    let high: number;
    switch (values.kind[source]) {
      case ValueKind.Absent:
        values.kind[target] = ValueKind.Absent;
        return undefined;
      case ValueKind.Int:
      case ValueKind.Uint:
        low = values.low[source] as number;
        high = values.high[source] as number;
        break;
      default: {
        const value = numberIn(values, source);
        if (!Number.isSafeInteger(value)) return fieldType(field, 'no whole number', 'an integer of flags');
        low = value | 0;
        high = Math.floor(value / 4_294_967_296);
      }
    }
    values.kind[target] = ValueKind.Bool;
    values.low[target] = ((bit < 32 ? low : high) >>> (bit & 31)) & 1;
    return undefined;
  }
}

/** A number's name. The integer stays where it has one: the envelope has its name's bytes ready. */
class EnumStep implements MetricStep {
  readonly #slots: Slots;
  readonly #names: ReadonlyMap<number, string>;

  constructor(slots: Slots, names: ReadonlyMap<number, string>) {
    this.#slots = slots;
    this.#names = names;
  }

  run(values: FieldValues): DecodeFault | undefined {
    const { source, target, field } = this.#slots;
    if (values.kind[source] === ValueKind.Absent) {
      values.kind[target] = ValueKind.Absent;
      return undefined;
    }
    const number = numberIn(values, source);
    if (Number.isNaN(number)) return fieldType(field, 'no number', 'a number that has a name');
    if (this.#names.has(number)) storeInteger(values, target, number);
    else {
      values.kind[target] = ValueKind.Text;
      values.text[target] = String(number);
    }
    return undefined;
  }
}

const YES = /^(?:true|1|on|yes)$/i;
const NO = /^(?:false|0|off|no)$/i;

class BooleanStep implements MetricStep {
  readonly #slots: Slots;

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  run(values: FieldValues): DecodeFault | undefined {
    const { source, target, field } = this.#slots;
    const kind = values.kind[source];
    if (kind === ValueKind.Absent) {
      values.kind[target] = ValueKind.Absent;
      return undefined;
    }
    let value: boolean;
    if (kind === ValueKind.Text || kind === ValueKind.Utf8) {
      const text = textIn(values, source).trim();
      value = YES.test(text);
      if (!value && !NO.test(text))
        return fieldType(field, 'another text', 'true, false, on, off, yes, no, 1 or 0');
    } else {
      const number = numberIn(values, source);
      if (Number.isNaN(number)) return fieldType(field, 'no number', 'true or false');
      value = number !== 0;
    }
    values.kind[target] = ValueKind.Bool;
    values.low[target] = value ? 1 : 0;
    return undefined;
  }
}

class TextStep implements MetricStep {
  readonly #slots: Slots;
  readonly #names: ReadonlyMap<number, string> | undefined;
  readonly #linear: Linear | undefined;

  constructor(slots: Slots, names: ReadonlyMap<number, string> | undefined, linear: Linear | undefined) {
    this.#slots = slots;
    this.#names = names;
    this.#linear = linear;
  }

  run(values: FieldValues): DecodeFault | undefined {
    const { source, target, field } = this.#slots;
    const text = this.#text(values, source);
    if (text === undefined) return fieldType(field, 'bytes', 'a value that can be written as text');
    values.kind[target] = text === null ? ValueKind.Absent : ValueKind.Text;
    values.text[target] = text ?? '';
    return undefined;
  }

  #text(values: FieldValues, source: number): string | null | undefined {
    const kind = values.kind[source];
    if (kind === ValueKind.Absent) return null;
    if (kind === ValueKind.Bytes) return undefined;
    if (kind === ValueKind.Bool) return values.low[source] === 1 ? 'true' : 'false';
    if (this.#linear !== undefined) {
      return String(numberIn(values, source) * this.#linear.factor + this.#linear.offset);
    }
    if (kind === ValueKind.Int || kind === ValueKind.Uint) {
      return this.#names?.get(values.low[source] as number) ?? String(values.integerAsBigInt(source));
    }
    return kind === ValueKind.Double ? String(values.double[source]) : textIn(values, source);
  }
}
