import type { MetricSpec, TimeSpec, TimeWindow } from '../../core/profile/normaliser-spec.ts';
import { FILTERED, type DecodeFault } from '../../core/route.ts';
import { fieldType } from '../formats/payload-reader.ts';
import { EVENT_TIME_WINDOW, isWithinWindow, readEventTime, type TimeFormat } from './event-time.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';
import type { DeviceState, DeviceTable } from './device-table.ts';
import type { MessageFilter } from './message-filter.ts';
import { runCheck, type MetricCheck } from './metric-checks.ts';
import { runStep, type MetricStep } from './metric-steps.ts';

/** Where a record's timestamp comes from: `Plain`: from where the profile says, the device or receipt. */
export const TimeSource = { Plain: 0, Receipt: 1, Corrected: 2 } as const;
export type TimeSource = (typeof TimeSource)[keyof typeof TimeSource];

/** A metric as the envelope has it. */
export interface NormalisedMetric {
  readonly slot: number;
  readonly name: string;
  readonly unit: string | undefined;
  readonly enumNames: ReadonlyMap<number, string> | undefined;
}

/** A metric's way from its field to the envelope. */
export interface MetricPlan extends NormalisedMetric {
  readonly spec: MetricSpec;
  /** The field's slot, and the names of its numbers. */
  readonly source: number;
  readonly sourceNames: ReadonlyMap<number, string> | undefined;
  /** undefined: the field is taken as it is. */
  readonly step: MetricStep | undefined;
  readonly check: MetricCheck | undefined;
}

/** What a profile wants done with decoded fields, resolved to slots. */
export interface NormaliserPlan {
  readonly time:
    { readonly slot: number; readonly spec: TimeSpec; readonly format: TimeFormat | undefined } | undefined;
  readonly sequence: { readonly slot: number; readonly field: string; readonly modulo: number } | undefined;
  /** In the envelope's order. */
  readonly metrics: readonly MetricPlan[];
  readonly filter: MessageFilter | undefined;
  /** Its devices; those of a profile that remembers nothing of them stay unknown. */
  readonly devices: DeviceTable;
}

/**
 * Everything between decoded fields and the envelope: event time and clocks, the device's count, values made of
 * values, checks, filters. One instance serves all routes of a profile; what it says of the message that it ran
 * on last stands in its properties.
 */
export class Normaliser {
  /** Event time as the device said it; NaN: it said none. */
  observedAtMs = Number.NaN;
  /** The record's timestamp, and where it comes from. */
  timestampMs = 0;
  timeSource: TimeSource = TimeSource.Receipt;
  hasSequence = false;
  /** Whether its record is for quarantine; whoever makes it says so. */
  quarantines = false;
  /** A {@link Quality} for each metric. */
  readonly qualities: Uint8Array;
  /** Whether qualities may be other than good. */
  readonly hasChecks: boolean;
  /** Whether anything of a device is remembered from message to message. */
  readonly remembers: boolean;
  readonly #plan: NormaliserPlan;
  readonly #steps: readonly MetricStep[];
  readonly #checks: readonly MetricCheck[];
  readonly #window: TimeWindow;

  // Of the last message, until it is taken.
  #state: DeviceState | undefined;
  #sequence = Number.NaN;
  #dup = false;
  #receivedAtMs = 0;
  #clockStepped = false;
  #passed = false;

  constructor(plan: NormaliserPlan) {
    this.#plan = plan;
    this.#window = plan.time?.spec.window ?? EVENT_TIME_WINDOW;
    this.#steps = plan.metrics.map(({ step }) => step).filter((step) => step !== undefined);
    this.#checks = plan.metrics.map(({ check }) => check).filter((check) => check !== undefined);
    this.qualities = new Uint8Array(plan.metrics.length);
    this.hasChecks = this.#checks.length > 0;
    this.remembers = plan.time !== undefined || plan.sequence !== undefined || plan.filter !== undefined;
  }

  /** A new message begins: nothing of the one before it may be taken any more. */
  forget(): void {
    this.#state = undefined;
    this.quarantines = false;
  }

  /**
   * Normalises a message of a device; `state` is undefined where nothing is remembered. Returns why it is no
   * record. Changes nothing about the device before {@link taken}.
   */
  run(
    values: FieldValues,
    state: DeviceState | undefined,
    receivedAtMs: number,
    dup: boolean,
  ): DecodeFault | undefined {
    this.#receivedAtMs = receivedAtMs;
    const fault = this.#readTime(values) ?? this.#readSequence(values);
    if (fault !== undefined) return fault;
    // From here on the message is the device's, whatever becomes of it.
    this.#state = state;
    this.#dup = dup;
    this.#passed = false;
    return (
      this.#timestamp(state) ??
      this.runSteps(values) ??
      (this.hasChecks ? this.#runChecks(values) : undefined) ??
      this.#filtered(values, state)
    );
  }

  /** The last message has been taken on: what it says of its device is remembered. */
  taken(): void {
    if (this.quarantines) this.#plan.devices.quarantined++;
    this.quarantines = false;
    const state = this.#state;
    if (state === undefined) return;
    this.#state = undefined;
    const { sequence, filter, devices } = this.#plan;
    if (!Number.isNaN(this.observedAtMs)) {
      const difference = this.#receivedAtMs - this.observedAtMs;
      if (this.#clockStepped) state.clock.reset(difference, this.#receivedAtMs);
      else state.clock.observe(difference, this.#receivedAtMs);
    }
    if (sequence !== undefined && this.hasSequence) {
      state.sequence.observe(this.#sequence, this.#dup, sequence.modulo, devices.totals);
    }
    if (this.#passed) filter?.passed(state, this.timestampMs);
  }

  #readTime(values: FieldValues): DecodeFault | undefined {
    const { time } = this.#plan;
    this.observedAtMs = Number.NaN;
    if (time === undefined) return undefined;
    const { slot, spec, format } = time;
    if (format !== undefined) return this.#readTimeText(values, slot, spec, format);
    const ms = readEventTime(values, slot, spec.unit ?? 'ms');
    if (ms === undefined) return fieldType(spec.field, 'no number', 'a time');
    this.observedAtMs = ms;
    return undefined;
  }

  #readTimeText(
    values: FieldValues,
    slot: number,
    { field, format }: TimeSpec,
    compiled: TimeFormat,
  ): DecodeFault | undefined {
    const kind = values.kind[slot];
    if (kind === ValueKind.Absent) return undefined;
    if (kind !== ValueKind.Text && kind !== ValueKind.Utf8) return fieldType(field, 'no text', 'a time');
    const text = values.textAt(slot);
    if (text === '') return undefined;
    const ms = compiled.parse(text);
    if (Number.isNaN(ms))
      return fieldType(field, JSON.stringify(text.slice(0, 40)), `a time as ${format ?? ''}`);
    this.observedAtMs = ms;
    return undefined;
  }

  #readSequence(values: FieldValues): DecodeFault | undefined {
    const { sequence } = this.#plan;
    if (sequence === undefined) return undefined;
    const { slot, field } = sequence;
    const fault = checkSequence(values, slot, field);
    if (fault !== undefined) return fault;
    this.hasSequence = values.kind[slot] !== ValueKind.Absent;
    if (this.hasSequence) this.#sequence = values.integerAsNumber(slot);
    return undefined;
  }

  #timestamp(state: DeviceState | undefined): DecodeFault | undefined {
    const receivedAtMs = this.#receivedAtMs;
    const observedAtMs = this.observedAtMs;
    this.#clockStepped = false;
    if (isWithinWindow(observedAtMs, receivedAtMs, this.#window)) {
      this.timestampMs = observedAtMs;
      this.timeSource = TimeSource.Plain;
      return undefined;
    }
    this.timestampMs = receivedAtMs;
    this.timeSource = this.#plan.time === undefined ? TimeSource.Plain : TimeSource.Receipt;
    const outside = this.#plan.time?.spec.outside;
    if (outside === undefined || outside === 'receipt' || Number.isNaN(observedAtMs)) return undefined;
    if (outside === 'dead-letter') return timeOutside(observedAtMs, receivedAtMs);
    this.timeSource = TimeSource.Corrected;
    const difference = receivedAtMs - observedAtMs;
    const corrected = observedAtMs + Math.min(difference, state?.clock.offsetMs ?? difference);
    // A clock that was set back: what was measured before doesn't help, this message becomes the new measure.
    if (isWithinWindow(corrected, receivedAtMs, this.#window)) this.timestampMs = corrected;
    else this.#clockStepped = true;
    return undefined;
  }

  /** Makes metrics of fields. */
  protected runSteps(values: FieldValues): DecodeFault | undefined {
    for (const step of this.#steps) {
      const fault = runStep(step, values);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #runChecks(values: FieldValues): DecodeFault | undefined {
    this.qualities.fill(0);
    for (const check of this.#checks) {
      const fault = this.runCheck(check, values);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  protected runCheck(check: MetricCheck, values: FieldValues): DecodeFault | undefined {
    return runCheck(check, values, this.qualities);
  }

  #filtered(values: FieldValues, state: DeviceState | undefined): DecodeFault | undefined {
    const { filter } = this.#plan;
    if (filter === undefined || state === undefined) return undefined;
    const passes = this.passes(filter, state, values);
    // Its first sending may have been remembered here and then not have reached Kafka.
    if (!passes && !this.#dup) return FILTERED;
    this.#passed = true;
    return undefined;
  }

  protected passes(filter: MessageFilter, state: DeviceState, values: FieldValues): boolean {
    return filter.passes(state, values, this.timestampMs);
  }
}

function timeOutside(observedAtMs: number, receivedAtMs: number): DecodeFault {
  const seconds = Math.round(Math.abs(observedAtMs - receivedAtMs) / 1_000);
  const direction = observedAtMs > receivedAtMs ? 'after' : 'before';
  return {
    code: 'EVENT_TIME_OUTSIDE',
    message: `the event time is ${seconds} s ${direction} receipt, which is outside the profile's window`,
  };
}

/** A sequence is a whole number from 0; a double that is one is put into the integer's halves. */
function checkSequence(values: FieldValues, slot: number, field: string): DecodeFault | undefined {
  switch (values.kind[slot]) {
    case ValueKind.Absent:
    case ValueKind.Uint:
      return undefined;
    case ValueKind.Int:
      if ((values.high[slot] as number) >= 0) return undefined;
      return fieldType(field, 'a negative number', 'a sequence number from 0');
    case ValueKind.Double: {
      const value = values.double[slot] as number;
      if (!Number.isSafeInteger(value) || value < 0) {
        return fieldType(field, `${value}`, 'a sequence number: a whole number from 0 to 2^53');
      }
      values.kind[slot] = ValueKind.Int;
      values.low[slot] = value;
      values.high[slot] = value / 4_294_967_296;
      return undefined;
    }
    default:
      return fieldType(field, 'no number', 'a sequence number');
  }
}
