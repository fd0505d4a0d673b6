import { describe, expect, it } from 'vitest';
import { duration, list, rate, wholeNumber } from '../../../src/cli/terminal/option-values.ts';

describe('the value of an option', () => {
  it('reads durations with their units', () => {
    expect(['30s', '500ms', '2m', '1.5h', '10'].map(duration)).toEqual([
      30_000, 500, 120_000, 5_400_000, 10_000,
    ]);
    for (const text of ['', '0s', '-1s', 's', '5 s', '1d', 'max'])
      expect(() => duration(text)).toThrow(/expected/);
  });

  it('reads rates, and max', () => {
    expect(['1000', '0.5', 'max', '0'].map(rate)).toEqual([1000, 0.5, 0, 0]);
    for (const text of ['', '-1', 'fast', '1e3']) expect(() => rate(text)).toThrow(/expected/);
  });

  it('reads whole numbers, and lists from commas or repetition', () => {
    expect(wholeNumber(1)('42')).toBe(42);
    for (const text of ['0', '1.5', '-1', 'x', '']) expect(() => wholeNumber(1)(text)).toThrow(/at least 1/);
    expect(list('c', list('a,b', undefined))).toEqual(['a', 'b', 'c']);
  });
});
