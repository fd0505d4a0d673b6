import type { MetricSpec } from '../../core/profile/normaliser-spec.ts';
import type { DecodeFault } from '../../core/route.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';
import { fieldType } from '../formats/payload-reader.ts';
import type { Linear } from './units.ts';

/** What a step makes of a field's value. */
const Make = { Double: 0, Integer: 1, Bit: 2, Enum: 3, Boolean: 4, Text: 5 } as const;
type Make = (typeof Make)[keyof typeof Make];

/** Makes one slot's value of another's. Compiled once, and run for every message by {@link runStep}. */
export interface MetricStep {
  readonly make: Make;
  readonly source: number;
  readonly target: number;
  /** The source's path, for faults. */
  readonly field: string;
  /** Scale, offset and unit in one multiplication and one addition. */
  readonly factor: number;
  readonly offset: number;
  /** Whether factor and offset change nothing. */
  readonly isIdentity: boolean;
  readonly bit: number;
  /** Names of numbers: the metric's own for an enum, the schema's for text. */
  readonly names: ReadonlyMap<number, string> | undefined;
}

/** The step that a metric needs; undefined: its field is taken as it is. */
export function metricStep(
  spec: MetricSpec,
  slots: Pick<MetricStep, 'source' | 'target' | 'field'>,
  converted: Linear | undefined,
  sourceNames: ReadonlyMap<number, string> | undefined,
): MetricStep | undefined {
  const { bit = 0, scale = 1, offset: added = 0, enum: ownNames } = spec;
  const factor = scale * (converted?.factor ?? 1);
  const offset = added * (converted?.factor ?? 1) + (converted?.offset ?? 0);
  const isIdentity = factor === 1 && offset === 0;
  const make = makeOf(spec, isIdentity);
  if (make === undefined) return undefined;
  return { ...slots, make, factor, offset, isIdentity, bit, names: ownNames ?? sourceNames };
}

function makeOf({ bit, enum: names, type }: MetricSpec, isIdentity: boolean): Make | undefined {
  if (bit !== undefined) return Make.Bit;
  if (names !== undefined) return Make.Enum;
  switch (type) {
    case 'boolean':
      return Make.Boolean;
    case 'text':
      return Make.Text;
    case 'integer':
      return Make.Integer;
    case 'double':
      return Make.Double;
    default:
      return isIdentity ? undefined : Make.Double;
  }
}

/** Fills the step's target slot. Returns why the source can't become what the profile says. */
export function runStep(step: MetricStep, values: FieldValues): DecodeFault | undefined {
  if (values.kind[step.source] === ValueKind.Absent) {
    values.kind[step.target] = ValueKind.Absent;
    return undefined;
  }
  switch (step.make) {
    case Make.Double:
    case Make.Integer:
      return makeNumber(step, values);
    case Make.Bit:
      return makeBit(step, values);
    case Make.Enum:
      return makeEnum(step, values);
    case Make.Boolean:
      return makeBoolean(step, values);
    case Make.Text:
      return makeText(step, values);
  }
}

/** The number in a slot, a text's too; NaN: it holds none. */
function numberIn(values: FieldValues, slot: number): number {
  if (values.isNumber(slot)) return values.numberAt(slot);
  switch (values.kind[slot]) {
    case ValueKind.Bool:
      return values.low[slot] as number;
    case ValueKind.Text:
    case ValueKind.Utf8: {
      const text = values.textAt(slot).trim();
      return text === '' ? Number.NaN : Number(text);
    }
    default:
      return Number.NaN;
  }
}

/** A whole number into a slot, as an integer of 64 bits; false: it has no room there. */
function storeInteger(values: FieldValues, slot: number, value: number): boolean {
  if (!(value >= -(2 ** 63) && value < 2 ** 64)) return false;
  values.kind[slot] = value >= 2 ** 63 ? ValueKind.Uint : ValueKind.Int;
  values.low[slot] = value;
  values.high[slot] = Math.floor(value / 4_294_967_296);
  return true;
}

function makeNumber(step: MetricStep, values: FieldValues): DecodeFault | undefined {
  const { source, target, field, isIdentity } = step;
  const isInteger = step.make === Make.Integer;
  const kind = values.kind[source] as ValueKind;
  if (isInteger && isIdentity && (kind === ValueKind.Int || kind === ValueKind.Uint)) {
    // All 64 bits, which a double has no room for.
    values.kind[target] = kind;
    values.low[target] = values.low[source] as number;
    values.high[target] = values.high[source] as number;
    return undefined;
  }
  const number = numberIn(values, source);
  if (Number.isNaN(number) && kind !== ValueKind.Double) return fieldType(field, 'no number', 'a number');
  const value = isIdentity ? number : number * step.factor + step.offset;
  if (!isInteger) {
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

/** One bit of an integer. */
function makeBit({ source, target, field, bit }: MetricStep, values: FieldValues): DecodeFault | undefined {
  const kind = values.kind[source];
  let low = values.low[source] as number;
  let high = values.high[source] as number;
  if (kind !== ValueKind.Int && kind !== ValueKind.Uint) {
    const value = numberIn(values, source);
    if (!Number.isSafeInteger(value)) return fieldType(field, 'no whole number', 'an integer of flags');
    low = value | 0;
    high = Math.floor(value / 4_294_967_296);
  }
  values.kind[target] = ValueKind.Bool;
  values.low[target] = ((bit < 32 ? low : high) >>> (bit & 31)) & 1;
  return undefined;
}

/** A number's name. The integer stays where it has one: the envelope has its name's bytes ready. */
function makeEnum(
  { source, target, field, names }: MetricStep,
  values: FieldValues,
): DecodeFault | undefined {
  const number = numberIn(values, source);
  if (Number.isNaN(number)) return fieldType(field, 'no number', 'a number that has a name');
  if (names?.has(number) === true) storeInteger(values, target, number);
  else {
    values.kind[target] = ValueKind.Text;
    values.text[target] = String(number);
  }
  return undefined;
}

const YES = /^(?:true|1|on|yes)$/i;
const NO = /^(?:false|0|off|no)$/i;

function makeBoolean({ source, target, field }: MetricStep, values: FieldValues): DecodeFault | undefined {
  const kind = values.kind[source];
  let value: boolean;
  if (kind === ValueKind.Text || kind === ValueKind.Utf8) {
    const text = values.textAt(source).trim();
    value = YES.test(text);
    if (!value && !NO.test(text)) {
      return fieldType(field, 'another text', 'true, false, on, off, yes, no, 1 or 0');
    }
  } else {
    const number = numberIn(values, source);
    if (Number.isNaN(number)) return fieldType(field, 'no number', 'true or false');
    value = number !== 0;
  }
  values.kind[target] = ValueKind.Bool;
  values.low[target] = value ? 1 : 0;
  return undefined;
}

function makeText(step: MetricStep, values: FieldValues): DecodeFault | undefined {
  const { source, target, field } = step;
  if (values.kind[source] === ValueKind.Bytes) {
    return fieldType(field, 'bytes', 'a value that can be written as text');
  }
  values.kind[target] = ValueKind.Text;
  values.text[target] = textOf(step, values);
  return undefined;
}

function textOf({ source, isIdentity, factor, offset, names }: MetricStep, values: FieldValues): string {
  const kind = values.kind[source];
  if (kind === ValueKind.Bool) return values.low[source] === 1 ? 'true' : 'false';
  if (!isIdentity) return String(numberIn(values, source) * factor + offset);
  if (kind === ValueKind.Int || kind === ValueKind.Uint) {
    return names?.get(values.low[source] as number) ?? String(values.integerAsBigInt(source));
  }
  return kind === ValueKind.Double ? String(values.double[source]) : values.textAt(source);
}
