import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

/** A distribution of durations, in milliseconds with a resolution of a microsecond; undefined without any. */
export type LatencyPercentiles = Readonly<Record<'p50Ms' | 'p99Ms' | 'p999Ms' | 'maxMs', number | undefined>>;

/** `recent()` looks back on between one and two of these. */
const RECENT_MS = 5_000;

/** Durations since the start, and those of the last seconds for a live display (HdrHistogram, 3 digits). */
export class Latency {
  readonly #total = createHistogram();
  #current = createHistogram();
  #previous = createHistogram();
  #rotatedAtMs = -Infinity;

  record(durationMs: number, nowMs: number): void {
    const micros = Math.max(1, Math.round(durationMs * 1000));
    this.#rotate(nowMs);
    this.#total.record(micros);
    this.#current.record(micros);
  }

  overall(): LatencyPercentiles {
    return percentiles(this.#total);
  }

  recent(nowMs: number): LatencyPercentiles {
    this.#rotate(nowMs);
    const merged = createHistogram();
    merged.add(this.#previous);
    merged.add(this.#current);
    return percentiles(merged);
  }

  #rotate(nowMs: number): void {
    const ageMs = nowMs - this.#rotatedAtMs;
    if (ageMs < RECENT_MS) return;
    const spare = this.#previous;
    this.#previous = this.#current;
    this.#current = spare;
    spare.reset();
    if (ageMs >= 2 * RECENT_MS) this.#previous.reset();
    this.#rotatedAtMs = nowMs;
  }
}

function percentiles(histogram: RecordableHistogram): LatencyPercentiles {
  if (histogram.count === 0)
    return { p50Ms: undefined, p99Ms: undefined, p999Ms: undefined, maxMs: undefined };
  const at = (percentile: number): number => histogram.percentile(percentile) / 1000;
  return { p50Ms: at(50), p99Ms: at(99), p999Ms: at(99.9), maxMs: histogram.max / 1000 };
}
