import { describe, expect, it } from 'vitest';
import { countIn } from '../../bench/stages/instructions.ts';
import { scatter, verdict } from '../../bench/stages/noise.ts';

const sample = [100, 103, 99, 101, 104, 98, 102, 105, 100];
const times = (factor: number): number[] => sample.map((value) => value * factor);

describe('verdict', () => {
  it('does not take noise for a change', () => {
    expect(verdict(sample, sample.toReversed())).toEqual({ change: 0, significance: 1, moved: false });
    expect(verdict(sample, times(1.02)).moved).toBe(false);
  });

  it('says how far and in which direction a stage moved', () => {
    const slower = verdict(sample, times(1.2));
    expect(slower.change).toBeCloseTo(0.2);
    expect(slower.moved).toBe(true);
    expect(verdict(times(1.2), sample).change).toBeCloseTo(-1 / 6);
  });

  it('computes the exact significance of Mann-Whitney', () => {
    // Two of the 20 orders of 3 and 3 values are as lopsided as "all smaller".
    expect(verdict([1, 2, 3], [4, 5, 6]).significance).toBeCloseTo(0.1);
    // U = 1 of 4 and 4 values: 2 * (1 + 1) / 70.
    expect(verdict([1, 2, 3, 5], [4, 6, 7, 8]).significance).toBeCloseTo(4 / 70);
    // Complete separation of 9 and 9 values: 2 / 48620.
    expect(verdict(sample, times(2)).significance).toBeCloseTo(2 / 48_620);
  });

  it('needs more than a few runs to be sure', () => {
    expect(verdict([1, 1, 1], [2, 2, 2]).moved).toBe(false);
  });
});

describe('scatter', () => {
  it('is how far apart the middle half of the values lies, as a share of the median', () => {
    expect(scatter(sample)).toBeCloseTo(3 / 101);
    expect(scatter([7])).toBe(0);
  });
});

describe('countIn', () => {
  it('reads what perf counted, and sees where perf could not count', () => {
    expect(countIn('123456789,,instructions:u,474116,100.00,,\n', 'instructions:u')).toBe(123456789);
    expect(countIn('<not supported>,,instructions:u,0,100.00,,\n', 'instructions:u')).toBeUndefined();
    expect(countIn('0.47,msec,task-clock:u,474116,100.00,,\n', 'task-clock:u')).toBe(0.47);
  });
});
