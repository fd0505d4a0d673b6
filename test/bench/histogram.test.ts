import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Histogram } from '../../bench/load/histogram.ts';

describe('Histogram', () => {
  it('is empty at first', () => {
    expect(new Histogram().percentiles()).toEqual({ count: 0, p50Ms: 0, p99Ms: 0, p999Ms: 0, maxMs: 0 });
  });

  it('is within 0.8 % of the exact percentile, and never below it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 100_000_000 }), { minLength: 1, maxLength: 500 }),
        (micros) => {
          const histogram = new Histogram();
          for (const value of micros) histogram.record(value / 1000);
          const sorted = micros.toSorted((a, b) => a - b);
          const exact = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1]! / 1000;
          const { p50Ms, p99Ms, p999Ms, maxMs, count } = histogram.percentiles();
          expect(count).toBe(micros.length);
          expect(maxMs).toBe(sorted.at(-1)! / 1000);
          for (const [measured, share] of [
            [p50Ms, 0.5],
            [p99Ms, 0.99],
            [p999Ms, 0.999],
          ] as const) {
            expect(measured).toBeGreaterThanOrEqual(exact(share) - 1e-9);
            expect(measured).toBeLessThanOrEqual(exact(share) * 1.008 + 1e-9);
          }
        },
      ),
    );
  });

  it('takes durations beyond its range as its largest one', () => {
    const histogram = new Histogram();
    histogram.record(1e12);
    histogram.record(-1);
    expect(histogram.percentiles().maxMs).toBeCloseTo(4_294_967, 0);
  });
});
