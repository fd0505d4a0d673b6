import type { SignalSpec } from '../../core/profile/profile.ts';
import type { Random } from './random.ts';

export type SignalValue = number | string | boolean;

const HOUR_MS = 3_600_000;
const DAY_HOURS = 24;
/** A drifting sensor comes back to its calibration with this time constant, or it would walk away for good. */
const DRIFT_RETURN_HOURS = 24;
/** A state (`choices`) lasts this many readings on average. */
const MEAN_DWELL_READINGS = 50;

/** One field of a simulated device's payload over time. */
export class Signal {
  readonly #spec: SignalSpec;
  readonly #random: Random;
  readonly #decimals: number;
  /** What makes this device differ from its neighbour: its mounting place, its calibration. */
  readonly #offset: number;
  readonly #peakHour: number;
  #lastMs: number | undefined;
  #drift = 0;
  #count: number;
  #choice: string | boolean | undefined;

  constructor(spec: SignalSpec, random: Random) {
    this.#spec = spec;
    this.#random = random;
    this.#decimals = decimalsOf(spec);
    this.#offset = random.gaussian() * (spec.amplitude * 0.15 + spec.noise);
    this.#peakHour = spec.peakHour + random.gaussian() * 0.5;
    // A meter has been in service for up to a year.
    this.#count = (spec.min ?? 0) + Math.max(0, spec.base) * DAY_HOURS * 365 * random.uniform();
  }

  /** The reading at wall clock time `atMs`, milliseconds since 1970. Time may stand still or jump back. */
  read(atMs: number): SignalValue {
    const hours = Math.max(0, atMs - (this.#lastMs ?? atMs)) / HOUR_MS;
    this.#lastMs = atMs;
    if (this.#spec.choices !== undefined) return this.#readChoice(this.#spec.choices);
    return this.#spec.counter ? this.#readCounter(atMs, hours) : this.#readGauge(atMs, hours);
  }

  #readChoice(choices: readonly (string | boolean)[]): string | boolean {
    if (this.#choice === undefined || this.#random.uniform() < 1 / MEAN_DWELL_READINGS) {
      this.#choice = this.#random.pick(choices);
    }
    return this.#choice;
  }

  /** Grows by `base` an hour on average, faster at the peak of the day, never backwards. */
  #readCounter(atMs: number, hours: number): number {
    const perHour = this.#spec.base + this.#cycle(atMs) + this.#random.gaussian() * this.#spec.noise;
    this.#count += Math.max(0, perHour) * hours;
    const limited = Math.min(this.#count, this.#spec.max ?? Infinity);
    // Rounded down: rounding to the nearest could not go back either, but would show energy not yet used.
    return this.#spec.integer ? Math.floor(limited) : floorTo(limited, this.#decimals);
  }

  #readGauge(atMs: number, hours: number): number {
    const { base, noise, drift, min, max, integer } = this.#spec;
    this.#drift *= Math.exp(-hours / DRIFT_RETURN_HOURS);
    this.#drift += this.#random.gaussian() * drift * Math.sqrt(hours);
    const exact = base + this.#offset + this.#cycle(atMs) + this.#drift + this.#random.gaussian() * noise;
    const limited = Math.min(Math.max(exact, min ?? -Infinity), max ?? Infinity);
    return integer ? Math.round(limited) : Number(limited.toFixed(this.#decimals));
  }

  #cycle(atMs: number): number {
    const hour = (atMs / HOUR_MS) % DAY_HOURS;
    return this.#spec.amplitude * Math.cos((2 * Math.PI * (hour - this.#peakHour)) / DAY_HOURS);
  }
}

/** As many decimals as a sensor with this noise would show: one digit below it. */
function decimalsOf(spec: SignalSpec): number {
  if (spec.counter || spec.noise <= 0) return 3;
  return Math.min(6, Math.max(0, 1 + Math.ceil(-Math.log10(spec.noise))));
}

function floorTo(value: number, decimals: number): number {
  const scale = 10 ** decimals;
  return Math.floor(value * scale) / scale;
}
