import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/testbed/fleet/random.ts';

const draw = (random: Random, count: number): number[] =>
  Array.from({ length: count }, () => random.uniform());

describe('a seeded generator of random numbers', () => {
  it('gives the same numbers for the same seed and stream', () => {
    expect(draw(new Random(7, 'a'), 100)).toEqual(draw(new Random(7, 'a'), 100));
  });

  it('gives unrelated numbers for another seed or stream', () => {
    const first = draw(new Random(7, 'device-1'), 2000);
    for (const other of [draw(new Random(8, 'device-1'), 2000), draw(new Random(7, 'device-2'), 2000)]) {
      const covariance = first.reduce((sum, value, i) => sum + (value - 0.5) * (other[i]! - 0.5), 0) / 2000;
      expect(Math.abs(covariance * 12)).toBeLessThan(0.1);
    }
  });

  it('is uniform in [0, 1)', () => {
    const buckets = new Array<number>(10).fill(0);
    for (const value of draw(new Random(1, 'uniform'), 20_000)) {
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(1);
      buckets[Math.floor(value * 10)]!++;
    }
    for (const bucket of buckets) expect(Math.abs(bucket - 2000)).toBeLessThan(200);
  });

  it('has a standard normal distribution', () => {
    const random = new Random(1, 'gaussian');
    const values = Array.from({ length: 20_000 }, () => random.gaussian());
    const mean = values.reduce((a, b) => a + b) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(variance - 1)).toBeLessThan(0.05);
  });

  it('picks every value', () => {
    const random = new Random(1, 'pick');
    const picked = new Set(Array.from({ length: 100 }, () => random.pick(['a', 'b', 'c'])));
    expect([...picked].sort()).toEqual(['a', 'b', 'c']);
  });
});
