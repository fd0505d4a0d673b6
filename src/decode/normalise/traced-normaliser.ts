import { instantText } from '../../core/clock.ts';
import type { FilterSpec, MetricSpec } from '../../core/profile/normaliser-spec.ts';
import type { DecodeFault, Trace } from '../../core/route.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';
import type { DeviceState } from './device-table.ts';
import { EVENT_TIME_WINDOW } from './event-time.ts';
import { MessageFilter, type Deadband } from './message-filter.ts';
import { Quality, type Check } from './metric-checks.ts';
import type { MetricStep, Slots } from './metric-steps.ts';
import { Normaliser, TimeSource, type NormaliserPlan } from './normaliser.ts';
import type { SequenceCounts } from './sequence-tracker.ts';

/** Tells what becomes of a message's time and sequence; see Normaliser, which does the work. */
export class TracedNormaliser extends Normaliser {
  readonly #plan: NormaliserPlan;
  readonly #trace: Trace;
  #state: DeviceState | undefined;
  #sequence: string | undefined;

  constructor(plan: NormaliserPlan, trace: Trace) {
    super(plan);
    this.#plan = plan;
    this.#trace = trace;
  }

  override run(
    values: FieldValues,
    state: DeviceState | undefined,
    receivedAtMs: number,
    dup: boolean,
  ): DecodeFault | undefined {
    const { time, sequence, filter } = this.#plan;
    this.#state = state;
    this.#sequence = sequence && `field ${sequence.field} = ${valueText(values, sequence.slot)}`;
    const found = time && `field ${time.spec.field} = ${valueText(values, time.slot)}`;
    const offsetMs = state?.clock.offsetMs ?? Number.POSITIVE_INFINITY;
    const verdict = super.run(values, state, receivedAtMs, dup);
    this.#trace.note({ rule: 'time', says: this.#time(found, receivedAtMs, offsetMs, verdict) });
    if (dup && filter !== undefined) {
      const says = 'it may be a repeat (DUP), so it passes whatever the filter says';
      this.#trace.note({ rule: 'filter', says });
    }
    return verdict;
  }

  override taken(): void {
    const state = this.#state;
    this.#state = undefined;
    const before = state && copy(state.sequence);
    super.taken();
    if (state === undefined || before === undefined || this.#sequence === undefined) return;
    const after = copy(state.sequence);
    this.#trace.note({ rule: 'sequence', says: `${this.#sequence}: ${sequenceText(before, after)}` });
  }

  #time(
    found: string | undefined,
    receivedAtMs: number,
    offsetMs: number,
    verdict: DecodeFault | undefined,
  ): string {
    const { time } = this.#plan;
    if (time === undefined || found === undefined) {
      return 'the profile has no `time`: the timestamp is the time of receipt';
    }
    if (Number.isNaN(this.observedAtMs)) {
      const isFault = verdict?.code === 'FIELD_TYPE' && verdict.message.includes(time.spec.field);
      return `${found}, ${isFault ? 'which is no time' : 'no time: the timestamp is the time of receipt'}`;
    }
    const { behindMs, aheadMs } = time.spec.window ?? EVENT_TIME_WINDOW;
    const ahead = this.observedAtMs - receivedAtMs;
    const when = `${found}, ${instantText(this.observedAtMs)}, ${span(Math.abs(ahead))} ${ahead > 0 ? 'after' : 'before'} receipt`;
    const window = `${span(behindMs)} behind to ${span(aheadMs)} ahead`;
    if (ahead >= -behindMs && ahead <= aheadMs) return `${when}: becomes the timestamp (window ${window})`;
    if (time.spec.outside === 'dead-letter') return `${when}: outside of ${window}, a dead letter`;
    if (this.timeSource !== TimeSource.Corrected) {
      return `${when}: outside of ${window}, so the timestamp is the time of receipt`;
    }
    const measured = Number.isFinite(offsetMs) ? `off by ${span(Math.abs(offsetMs))}` : 'not known yet';
    return `${when}: outside of ${window}; the device's clock is ${measured}, so the timestamp is ${instantText(this.timestampMs)}`;
  }
}

function copy({ missing, repeated, late, restarts }: SequenceCounts): SequenceCounts {
  return { missing, repeated, late, restarts };
}

function sequenceText(before: SequenceCounts, after: SequenceCounts): string {
  if (after.restarts > before.restarts) return 'the count has begun anew';
  if (after.repeated > before.repeated) return 'was there already';
  if (after.late > before.late) return 'comes late, after higher ones';
  if (after.missing > before.missing) return `${after.missing - before.missing} before it are missing`;
  return 'in order';
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

/** A duration in its largest unit that leaves a number of at most three digits after the point. */
function span(ms: number): string {
  const [name, size] = UNITS.find(([, bytes]) => ms >= bytes) ?? ['ms', 1];
  return `${Number((ms / size).toFixed(3))} ${name}`;
}

/*
 * Variants of what runs between fields and envelope that tell what they do, for `sluice explain`. Each has the real
 * one do the work, and looks before and after.
 */

/** A slot's value as a person reads it. */
export function valueText(values: FieldValues, slot: number): string {
  switch (values.kind[slot]) {
    case ValueKind.Double:
      return String(values.double[slot]);
    case ValueKind.Int:
    case ValueKind.Uint:
      return String(values.integerAsBigInt(slot));
    case ValueKind.Bool:
      return values.low[slot] === 1 ? 'true' : 'false';
    case ValueKind.Utf8:
      return shortText(values.source.toString('utf8', values.start[slot], values.end[slot]));
    case ValueKind.Text:
      return shortText(values.text[slot] as string);
    case ValueKind.Bytes: {
      const bytes = values.source.subarray(values.start[slot], values.end[slot]);
      return `${bytes.length} bytes ${bytes.subarray(0, SHOWN_BYTES).toString('hex')}${bytes.length > SHOWN_BYTES ? '…' : ''}`;
    }
    default:
      return 'absent';
  }
}

const SHOWN_BYTES = 16;
const SHOWN_CHARACTERS = 60;

function shortText(text: string): string {
  return JSON.stringify(
    text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…`.toWellFormed() : text,
  );
}

/** A metric's way from its field; `step` is undefined where the field is taken as it is. */
export class TracedStep implements MetricStep {
  readonly #step: MetricStep | undefined;
  readonly #name: string;
  readonly #spec: MetricSpec;
  readonly #slots: Slots;
  readonly #enumNames: ReadonlyMap<number, string> | undefined;
  readonly #trace: Trace;

  constructor(
    step: MetricStep | undefined,
    name: string,
    spec: MetricSpec,
    slots: Slots,
    enumNames: ReadonlyMap<number, string> | undefined,
    trace: Trace,
  ) {
    this.#step = step;
    this.#name = name;
    this.#spec = spec;
    this.#slots = slots;
    this.#enumNames = enumNames;
    this.#trace = trace;
  }

  run(values: FieldValues): DecodeFault | undefined {
    const { source, target, field } = this.#slots;
    const before = this.#named(values, source);
    const fault = this.#step?.run(values);
    const rule = `metrics.${this.#name}`;
    const steps = describeSpec(this.#spec);
    if (fault !== undefined) this.#trace.note({ rule, says: `${fault.message}${steps}` });
    else if (this.#step === undefined) this.#trace.note({ rule, says: `field ${field} = ${before}` });
    else {
      const after = this.#named(values, target);
      this.#trace.note({ rule, says: `field ${field} = ${before} -> ${after}${steps}` });
    }
    return fault;
  }

  #named(values: FieldValues, slot: number): string {
    const text = valueText(values, slot);
    const isInteger = values.kind[slot] === ValueKind.Int || values.kind[slot] === ValueKind.Uint;
    const names = slot === this.#slots.source ? this.#enumNames : this.#spec.enum;
    const name = isInteger ? names?.get(values.low[slot] as number) : undefined;
    return name === undefined ? text : `${text} (${name})`;
  }
}

/** What of a metric's keys makes its value another one. */
function describeSpec({ bit, enum: names, scale, offset, from, unit, type }: MetricSpec): string {
  const parts = [
    ...(bit === undefined ? [] : [`bit ${bit}`]),
    ...(names === undefined ? [] : ['enum']),
    ...(scale === undefined ? [] : [`scale ${scale}`]),
    ...(offset === undefined ? [] : [`offset ${offset}`]),
    ...(from === undefined ? [] : [`from ${from} to ${unit ?? ''}`]),
    ...(type === undefined ? [] : [`type ${type}`]),
  ];
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}

const FINDINGS: Readonly<Record<number, string>> = {
  [Quality.OutOfRange]: 'out of range, and marked so',
  [Quality.Missing]: 'missing, and marked so',
  [Quality.LeftOut]: 'out of range, and left out',
};

/** The range and the presence of a metric. */
export class TracedCheck implements Check {
  readonly #check: Check;
  readonly #name: string;
  readonly #spec: MetricSpec;
  readonly #slot: number;
  readonly #index: number;
  readonly #trace: Trace;

  constructor(check: Check, name: string, spec: MetricSpec, slot: number, index: number, trace: Trace) {
    this.#check = check;
    this.#name = name;
    this.#spec = spec;
    this.#slot = slot;
    this.#index = index;
    this.#trace = trace;
  }

  run(values: FieldValues, qualities: Uint8Array): DecodeFault | undefined {
    const verdict = this.#check.run(values, qualities);
    const { range, required } = this.#spec;
    const rule = `metrics.${this.#name}.${range === undefined ? 'required' : 'range'}`;
    const bounds = range && `${range.min ?? '-∞'} to ${range.max ?? '∞'}, else ${range.otherwise}`;
    const wanted = [
      ...(bounds === undefined ? [] : [bounds]),
      ...(required ? [`required: ${required}`] : []),
    ];
    const found =
      verdict === undefined
        ? (FINDINGS[qualities[this.#index] as number] ?? 'sound')
        : required === 'drop'
          ? 'the message is filtered'
          : verdict.message;
    this.#trace.note({ rule, says: `${valueText(values, this.#slot)} is ${found} (${wanted.join('; ')})` });
    return verdict;
  }
}

/** Deadbands and the message rate. */
export class TracedFilter extends MessageFilter {
  readonly #says: string;
  readonly #trace: Trace;

  constructor(spec: FilterSpec | undefined, deadbands: readonly Deadband[], trace: Trace) {
    super(spec, deadbands);
    const { minIntervalMs = 0, maxSilenceMs } = spec ?? {};
    const parts = [
      ...(minIntervalMs > 0 ? [`at most one in ${minIntervalMs} ms`] : []),
      ...(deadbands.length > 0 ? ['only with a change beyond a deadband'] : []),
      ...(maxSilenceMs === undefined ? [] : [`one after ${maxSilenceMs} ms in any case`]),
    ];
    this.#says = parts.join('; ');
    this.#trace = trace;
  }

  override passes(state: DeviceState, values: FieldValues, atMs: number): boolean {
    const passes = super.passes(state, values, atMs);
    const elapsed = atMs - state.passedAtMs;
    const since = Number.isNaN(elapsed)
      ? 'the first of its device'
      : `${elapsed} ms after the last that passed`;
    this.#trace.note({
      rule: 'filter',
      says: `${since}: ${passes ? 'passes' : 'says nothing new'} (${this.#says})`,
    });
    return passes;
  }
}
