import { instantText } from '../../core/clock.ts';
import type { FilterSpec, MetricSpec } from '../../core/profile/normaliser-spec.ts';
import type { DecodeFault, Trace } from '../../core/route.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';
import type { DeviceState } from './device-table.ts';
import { EVENT_TIME_WINDOW } from './event-time.ts';
import type { MessageFilter } from './message-filter.ts';
import { Quality, type MetricCheck } from './metric-checks.ts';
import { runStep } from './metric-steps.ts';
import { Normaliser, TimeSource, type MetricPlan, type NormaliserPlan } from './normaliser.ts';
import type { SequenceCounts } from './sequence-tracker.ts';

/**
 * Tells what becomes of a message's time, sequence and values, for `sluice explain`. The normaliser itself does the
 * work; this looks before and after.
 */
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
    this.#note('time', this.#time(found, receivedAtMs, offsetMs, verdict));
    if (dup && filter !== undefined) {
      this.#note('filter', 'it may be a repeat (DUP), so it passes whatever the filter says');
    }
    return verdict;
  }

  override taken(): void {
    const state = this.#state;
    this.#state = undefined;
    const before = state && copy(state.sequence);
    super.taken();
    if (state === undefined || before === undefined || this.#sequence === undefined) return;
    this.#note('sequence', `${this.#sequence}: ${sequenceText(before, state.sequence)}`);
  }

  protected override runSteps(values: FieldValues): DecodeFault | undefined {
    for (const metric of this.#plan.metrics) {
      const { spec, step, name } = metric;
      const before = namedText(values, metric.source, metric.sourceNames);
      const fault = step && runStep(step, values);
      const field = `field ${spec.field} = ${before}`;
      const made = step && ` -> ${namedText(values, metric.slot, spec.enum)}${keysText(spec)}`;
      this.#note(`metrics.${name}`, fault ? `${fault.message}${keysText(spec)}` : `${field}${made ?? ''}`);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  protected override runCheck(check: MetricCheck, values: FieldValues): DecodeFault | undefined {
    const verdict = super.runCheck(check, values);
    const { range, required } = (this.#plan.metrics[check.index] as MetricPlan).spec;
    const bounds = range && `${range.min ?? '-∞'} to ${range.max ?? '∞'}, else ${range.else}`;
    const wanted = [bounds ?? [], required ? `required: ${required}` : []].flat();
    const dropped = required === 'drop' ? 'the message is filtered' : verdict?.message;
    const found = verdict ? dropped : FINDINGS[this.qualities[check.index] as number];
    this.#note(
      `metrics.${check.name}.${range === undefined ? 'required' : 'range'}`,
      `${valueText(values, check.slot)} is ${found ?? 'sound'} (${wanted.join('; ')})`,
    );
    return verdict;
  }

  protected override passes(filter: MessageFilter, state: DeviceState, values: FieldValues): boolean {
    const passes = super.passes(filter, state, values);
    const elapsed = this.timestampMs - state.passedAtMs;
    const since = Number.isNaN(elapsed)
      ? 'the first of its device'
      : `${elapsed} ms after the last that passed`;
    const verdict = passes ? 'passes' : 'says nothing new';
    this.#note('filter', `${since}: ${verdict} (${filterText(filter.spec, filter.deadbands.length > 0)})`);
    return passes;
  }

  #note(rule: string, says: string): void {
    this.#trace.note({ rule, says });
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

/** A slot's value as a person reads it. */
function valueText(values: FieldValues, slot: number): string {
  switch (values.kind[slot]) {
    case ValueKind.Double:
      return String(values.double[slot]);
    case ValueKind.Int:
    case ValueKind.Uint:
      return String(values.integerAsBigInt(slot));
    case ValueKind.Bool:
      return values.low[slot] === 1 ? 'true' : 'false';
    case ValueKind.Utf8:
    case ValueKind.Text:
      return shortText(values.textAt(slot));
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

/** With its name, where it is a number that has one. */
function namedText(
  values: FieldValues,
  slot: number,
  names: ReadonlyMap<number, string> | undefined,
): string {
  const isInteger = values.kind[slot] === ValueKind.Int || values.kind[slot] === ValueKind.Uint;
  const name = isInteger ? names?.get(values.low[slot] as number) : undefined;
  return name === undefined ? valueText(values, slot) : `${valueText(values, slot)} (${name})`;
}

/** What of a metric's keys makes its value another one. */
function keysText({ bit, enum: names, scale, offset, from, unit, type }: MetricSpec): string {
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

function filterText({ minIntervalMs, maxSilenceMs }: FilterSpec, hasDeadbands: boolean): string {
  const parts = [
    ...(minIntervalMs > 0 ? [`at most one in ${minIntervalMs} ms`] : []),
    ...(hasDeadbands ? ['only with a change beyond a deadband'] : []),
    ...(maxSilenceMs === undefined ? [] : [`one after ${maxSilenceMs} ms in any case`]),
  ];
  return parts.join('; ');
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
