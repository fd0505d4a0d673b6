import type { CheckPolicy, MetricSpec } from '../../core/profile/normaliser-spec.ts';
import { FILTERED, type DecodeFault } from '../../core/route.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';

/** What the checks say of a metric. The first three stand in the envelope, under the same numbers. */
export const Quality = { Good: 0, OutOfRange: 1, Missing: 2, LeftOut: 3 } as const;
export type Quality = (typeof Quality)[keyof typeof Quality];

/** The range and the presence of one metric. Compiled once, and run for every message by {@link runCheck}. */
export interface MetricCheck {
  readonly name: string;
  readonly slot: number;
  /** Its place among the qualities. */
  readonly index: number;
  readonly min: number;
  readonly max: number;
  readonly outside: CheckPolicy | undefined;
  readonly absent: CheckPolicy | undefined;
}

/** The check of a metric; undefined: nothing is to be checked. */
export function metricCheck(
  name: string,
  slot: number,
  index: number,
  { range, required }: MetricSpec,
): MetricCheck | undefined {
  if (range === undefined && required === undefined) return undefined;
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = range ?? {};
  return { name, slot, index, min, max, outside: range?.else, absent: required };
}

/** Notes the metric's quality; returns why the message as a whole can't go on. */
export function runCheck(
  check: MetricCheck,
  values: FieldValues,
  qualities: Uint8Array,
): DecodeFault | undefined {
  const { name, index, outside, absent } = check;
  const value = measured(values, check.slot);
  let present = value !== undefined;
  if (value !== undefined && outside !== undefined && !(value >= check.min && value <= check.max)) {
    if (outside === 'reject') return outOfRange(check, value);
    present = outside !== 'drop';
    qualities[index] = present ? Quality.OutOfRange : Quality.LeftOut;
  }
  if (present || absent === undefined) return undefined;
  if (absent === 'drop') return FILTERED;
  if (absent === 'reject') {
    return { code: 'METRIC_MISSING', message: `metric ${name} is required, and the message has none` };
  }
  qualities[index] = Quality.Missing;
  return undefined;
}

/** A metric's value for its range; NaN, which is in none, for what is no number; undefined: there is no value. */
function measured(values: FieldValues, slot: number): number | undefined {
  if (!values.isNumber(slot)) return values.kind[slot] === ValueKind.Absent ? undefined : Number.NaN;
  const value = values.numberAt(slot);
  // The envelope has no place for NaN and the infinities either.
  return Number.isFinite(value) ? value : undefined;
}

function outOfRange({ name, min, max }: MetricCheck, value: number): DecodeFault {
  const found = Number.isNaN(value) ? 'no number' : String(value);
  return { code: 'OUT_OF_RANGE', message: `metric ${name} is ${found}, which is not from ${min} to ${max}` };
}
