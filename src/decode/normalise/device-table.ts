import { DeviceSequence, noCounts, type SequenceCounts } from './sequence-tracker.ts';

/** What is remembered of a device between its messages. */
export class DeviceState {
  readonly id: string;
  readonly sequence = new DeviceSequence();
  readonly clock = new DeviceClock();
  /** The values that the filter let pass last, one a deadband; NaN: none. */
  passed: Float64Array | undefined;
  /** When that was; NaN: never. */
  passedAtMs = Number.NaN;

  constructor(id: string) {
    this.id = id;
  }
}

/** Devices of a type that are remembered at once; some 30 MB. */
const CAPACITY = 100_000;

/** A device as it is shown to operators. */
export interface DeviceReport extends SequenceCounts {
  readonly device: string;
  /** How far its clock is ahead of ours; null: not known. */
  readonly clockSkewMs: number | null;
}

/**
 * The devices of one type. Bounded: beyond 100,000 the one that was met first is forgotten, and begins anew when
 * it comes back.
 */
export class DeviceTable {
  readonly type: string;
  readonly totals: SequenceCounts = noCounts();
  /** Records of unknown devices that went to quarantine. */
  quarantined = 0;
  forgotten = 0;
  readonly #capacity: number;
  readonly #devices = new Map<string, DeviceState>();

  constructor(type: string, capacity = CAPACITY) {
    this.type = type;
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#devices.size;
  }

  /** The state of a device, begun on first use. */
  state(id: string): DeviceState {
    let state = this.#devices.get(id);
    if (state === undefined) {
      state = new DeviceState(id);
      this.#devices.set(id, state);
      if (this.#devices.size > this.#capacity) this.#forgetOldest();
    }
    return state;
  }

  /** The devices with the most missing, repeated and late messages, the worst first; none without any. */
  worstSequences(limit: number): DeviceReport[] {
    return this.#top(limit, ({ sequence }) => sequence.missing + sequence.repeated + sequence.late);
  }

  /** The devices whose clocks are off the most. */
  worstClocks(limit: number): DeviceReport[] {
    return this.#top(limit, ({ clock }) => (Number.isFinite(clock.offsetMs) ? Math.abs(clock.offsetMs) : 0));
  }

  /** The largest difference between a device's clock and ours, in milliseconds. */
  largestSkewMs(): number {
    let largest = 0;
    for (const { clock } of this.#devices.values()) {
      const skew = Math.abs(clock.offsetMs);
      if (skew > largest && skew < Number.POSITIVE_INFINITY) largest = skew;
    }
    return largest;
  }

  #top(limit: number, badness: (state: DeviceState) => number): DeviceReport[] {
    const worst: { state: DeviceState; value: number }[] = [];
    for (const state of this.#devices.values()) {
      const value = badness(state);
      if (value === 0 || (worst.length >= limit && value <= (worst.at(-1)?.value ?? 0))) continue;
      worst.push({ state, value });
      worst.sort((a, b) => b.value - a.value);
      if (worst.length > limit) worst.pop();
    }
    return worst.map(({ state }) => report(state));
  }

  #forgetOldest(): void {
    const [oldest] = this.#devices.keys();
    if (oldest === undefined) return;
    this.#devices.delete(oldest);
    this.forgotten++;
  }
}

function report({ id, sequence, clock }: DeviceState): DeviceReport {
  const { missing, repeated, late, restarts } = sequence;
  const clockSkewMs = Number.isFinite(clock.offsetMs) ? 0 - clock.offsetMs : null;
  return { device: id, missing, repeated, late, restarts, clockSkewMs };
}

/** Messages, and time, after which a part of the measurements is forgotten. */
const SAMPLES = 64;
const SPAN_MS = 10 * 60_000;

/**
 * How far a device's clock is from the gateway's. What a message took on its way only ever adds to receipt minus
 * event time, so the smallest such difference of the last messages is the clock's offset; late and stored
 * messages don't disturb it. The last 64 to 128 messages count, or those of 10 to 20 minutes.
 */
export class DeviceClock {
  #current = Number.POSITIVE_INFINITY;
  #previous = Number.POSITIVE_INFINITY;
  #samples = 0;
  #since = 0;

  /** What must be added to the device's time to get ours, in milliseconds; +Infinity: not known yet. */
  get offsetMs(): number {
    return Math.min(this.#current, this.#previous);
  }

  /** `differenceMs` is receipt minus event time. */
  observe(differenceMs: number, receivedAtMs: number): void {
    if (this.#samples >= SAMPLES || receivedAtMs - this.#since > SPAN_MS) {
      this.#previous = this.#samples === 0 ? Number.POSITIVE_INFINITY : this.#current;
      this.#current = differenceMs;
      this.#samples = 0;
      this.#since = receivedAtMs;
    } else if (differenceMs < this.#current) this.#current = differenceMs;
    this.#samples++;
  }

  /** The clock has been set: what was measured before says nothing about it. */
  reset(differenceMs: number, receivedAtMs: number): void {
    this.#current = differenceMs;
    this.#previous = Number.POSITIVE_INFINITY;
    this.#samples = 1;
    this.#since = receivedAtMs;
  }
}
