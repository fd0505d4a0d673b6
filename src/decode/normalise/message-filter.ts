import type { FilterSpec } from '../../core/profile/normaliser-spec.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';
import type { DeviceState } from './device-table.ts';

/** A metric whose change decides. */
interface Deadband {
  readonly slot: number;
  readonly by: number;
  /** Whether `by` is a share of the value that passed last. */
  readonly relative: boolean;
}

/**
 * Holds back messages that say nothing new: too soon after the last that passed, or without a change of any
 * metric that has a deadband. Looks, and remembers only when told that the message has really gone on.
 */
export class MessageFilter {
  readonly spec: FilterSpec;
  readonly deadbands: readonly Deadband[];
  /** The values of the message that was looked at last. */
  readonly #current: Float64Array;

  constructor(spec: FilterSpec | undefined, deadbands: readonly Deadband[]) {
    this.spec = spec ?? { minIntervalMs: 0, maxSilenceMs: undefined };
    this.deadbands = deadbands;
    this.#current = new Float64Array(deadbands.length);
  }

  /** Whether a device's message is worth a record; `atMs` is its time. */
  passes(state: DeviceState, values: FieldValues, atMs: number): boolean {
    const { minIntervalMs, maxSilenceMs } = this.spec;
    const changed = this.#changed(state.passed, values);
    const elapsed = atMs - state.passedAtMs;
    if (Number.isNaN(elapsed)) return true;
    // Older than the last one: stored by the device, and its own series.
    if (elapsed >= 0 && elapsed < minIntervalMs) return false;
    if (this.deadbands.length === 0 || changed) return true;
    return maxSilenceMs !== undefined && elapsed >= maxSilenceMs;
  }

  /** The message that was looked at last has passed. */
  passed(state: DeviceState, atMs: number): void {
    state.passedAtMs = atMs;
    if (this.deadbands.length === 0) return;
    state.passed ??= new Float64Array(this.deadbands.length);
    state.passed.set(this.#current);
  }

  #changed(last: Float64Array | undefined, values: FieldValues): boolean {
    let changed = last === undefined;
    for (let index = 0; index < this.deadbands.length; index++) {
      const { slot, by, relative } = this.deadbands[index] as Deadband;
      const value = comparable(values, slot);
      this.#current[index] = value;
      if (value === INCOMPARABLE) changed = true;
      if (last === undefined || changed) continue;
      const before = last[index] as number;
      if (Number.isNaN(value) || Number.isNaN(before)) changed = Number.isNaN(value) !== Number.isNaN(before);
      else changed = Math.abs(value - before) > (relative ? by * Math.abs(before) : by);
    }
    return changed;
  }
}

/** Of text and bytes: they count as changed. */
const INCOMPARABLE = Number.POSITIVE_INFINITY;

/** NaN: there is no value. */
function comparable(values: FieldValues, slot: number): number {
  if (values.isNumber(slot)) {
    const value = values.numberAt(slot);
    return Number.isFinite(value) ? value : Number.NaN;
  }
  switch (values.kind[slot]) {
    case ValueKind.Bool:
      return values.low[slot] as number;
    case ValueKind.Absent:
      return Number.NaN;
    default:
      return INCOMPARABLE;
  }
}
