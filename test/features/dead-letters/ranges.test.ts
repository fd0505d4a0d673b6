import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  holds,
  numbersOf,
  parseRanges,
  rangesOf,
  rangesText,
} from '../../../src/features/dead-letters/ranges.ts';

describe('ranges of numbers', () => {
  it('hold exactly the numbers that they were made of, are as few as can be, and read as what they wrote', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(60)), (numbers) => {
        const sorted = numbers.toSorted((a, b) => a - b);
        const ranges = rangesOf(sorted);
        expect([...numbersOf(ranges)]).toEqual(sorted);
        expect(parseRanges(rangesText(ranges))).toEqual(ranges);
        for (let number = 0; number < 65; number++)
          expect(holds(ranges, number)).toBe(sorted.includes(number));
        const gaps = sorted.filter((number, i) => i > 0 && number !== sorted[i - 1]! + 1).length;
        expect(ranges).toHaveLength(sorted.length === 0 ? 0 : gaps + 1);
      }),
    );
  });

  it.each(['x', '1-', '5-3', '1,,2', '-1', '1234567890123456'])('are not read from %s', (text) => {
    expect(() => parseRanges(text)).toThrow(RangeError);
  });
});
