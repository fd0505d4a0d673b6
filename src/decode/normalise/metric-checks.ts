import type { CheckPolicy, MetricSpec } from '../../core/profile/normaliser-spec.ts';
import { FILTERED, type DecodeFault } from '../../core/route.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';

/** What the checks say of a metric. The first three stand in the envelope, under the same numbers. */
export const Quality = { Good: 0, OutOfRange: 1, Missing: 2, LeftOut: 3 } as const;
export type Quality = (typeof Quality)[keyof typeof Quality];

/** Looks at one metric of a message. */
export interface Check {
  /** Notes the metric's quality; returns why the message as a whole can't go on. */
  run(values: FieldValues, qualities: Uint8Array): DecodeFault | undefined;
}

/** The range and the presence of one metric. */
export class MetricCheck implements Check {
  readonly #name: string;
  readonly #slot: number;
  readonly #index: number;
  readonly #min: number;
  readonly #max: number;
  readonly #outside: CheckPolicy | undefined;
  readonly #absent: CheckPolicy | undefined;

  private constructor(name: string, slot: number, index: number, { range, required }: MetricSpec) {
    this.#name = name;
    this.#slot = slot;
    this.#index = index;
    this.#min = range?.min ?? Number.NEGATIVE_INFINITY;
    this.#max = range?.max ?? Number.POSITIVE_INFINITY;
    this.#outside = range?.otherwise;
    this.#absent = required;
  }

  /** The check of a metric; undefined: nothing is to be checked. `index` is its place among the qualities. */
  static of(name: string, slot: number, index: number, spec: MetricSpec): MetricCheck | undefined {
    if (spec.range === undefined && spec.required === undefined) return undefined;
    return new MetricCheck(name, slot, index, spec);
  }

  run(values: FieldValues, qualities: Uint8Array): DecodeFault | undefined {
    const value = measured(values, this.#slot);
    let present = value !== undefined;
    if (value !== undefined && this.#outside !== undefined && !(value >= this.#min && value <= this.#max)) {
      if (this.#outside === 'reject') return outOfRange(this.#name, value, this.#min, this.#max);
      present = this.#outside !== 'drop';
      qualities[this.#index] = present ? Quality.OutOfRange : Quality.LeftOut;
    }
    if (present || this.#absent === undefined) return undefined;
    if (this.#absent === 'drop') return FILTERED;
    if (this.#absent === 'reject') return metricMissing(this.#name);
    qualities[this.#index] = Quality.Missing;
    return undefined;
  }
}

/** A metric's value for its range; NaN, which is in none, for what is no number; undefined: there is no value. */
function measured(values: FieldValues, slot: number): number | undefined {
  switch (values.kind[slot]) {
    case ValueKind.Absent:
      return undefined;
    case ValueKind.Double: {
      const value = values.double[slot] as number;
      // The envelope has no place for NaN and the infinities either.
      return Number.isFinite(value) ? value : undefined;
    }
    case ValueKind.Int:
    case ValueKind.Uint:
      return values.integerAsNumber(slot);
    default:
      return Number.NaN;
  }
}

function outOfRange(name: string, value: number, min: number, max: number): DecodeFault {
  const found = Number.isNaN(value) ? 'no number' : String(value);
  return { code: 'OUT_OF_RANGE', message: `metric ${name} is ${found}, which is not from ${min} to ${max}` };
}

function metricMissing(name: string): DecodeFault {
  return { code: 'METRIC_MISSING', message: `metric ${name} is required, and the message has none` };
}
