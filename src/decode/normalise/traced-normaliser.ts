import { instantText } from '../../core/clock.ts';
import type { DecodeFault, Trace } from '../../core/route.ts';
import { EVENT_TIME_WINDOW } from './event-time.ts';
import type { FieldValues } from '../formats/field-values.ts';
import type { DeviceState } from './device-table.ts';
import { Normaliser, TimeSource, type NormaliserPlan } from './normaliser.ts';
import { valueText } from './traced-metrics.ts';
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
