/** Values of up to 8 bits are exact; above, 128 steps to each power of two: no value is more than 0.8 % off. */
const STEP_BITS = 8;
const STEPS = 1 << STEP_BITS;

/** Percentiles of durations, in milliseconds. */
export interface Percentiles {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

/**
 * A histogram with logarithmic buckets of linear steps, as HdrHistogram has them, over whole microseconds.
 * `record` costs 3 ns in JavaScript; perf_hooks' histogram crosses into C++ for each value, about 100 ns,
 * which a generator of half a million messages a second would feel.
 */
export class Histogram {
  readonly #buckets = new Float64Array(STEPS * (33 - STEP_BITS));
  #count = 0;
  #max = 0;

  record(durationMs: number): void {
    const micros = Math.min(0xffff_ffff, Math.max(0, Math.round(durationMs * 1000))) >>> 0;
    const shift = Math.max(0, 32 - STEP_BITS - Math.clz32(micros));
    const index = shift * STEPS + (micros >>> shift);
    this.#buckets[index] = (this.#buckets[index] as number) + 1;
    this.#count++;
    if (micros > this.#max) this.#max = micros;
  }

  percentiles(): Percentiles {
    return {
      count: this.#count,
      p50Ms: this.#at(0.5),
      p99Ms: this.#at(0.99),
      p999Ms: this.#at(0.999),
      maxMs: this.#max / 1000,
    };
  }

  /** The upper end of the bucket that holds this share of all values. */
  #at(share: number): number {
    let left = Math.ceil(this.#count * share);
    if (left === 0) return 0;
    for (const [index, count] of this.#buckets.entries()) {
      left -= count;
      if (left > 0) continue;
      const shift = Math.floor(index / STEPS);
      const micros = (index % STEPS) * 2 ** shift + 2 ** shift - 1;
      return Math.min(micros, this.#max) / 1000;
    }
    return this.#max / 1000;
  }
}
