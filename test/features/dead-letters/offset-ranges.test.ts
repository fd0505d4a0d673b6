import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OffsetRanges } from '../../../src/features/dead-letters/offset-ranges.ts';

const additions = fc.array(
  fc.tuple(fc.nat(60), fc.nat(8)).map(([first, more]) => [first, first + more] as const),
);

describe('a set of offsets', () => {
  it('holds exactly what was added, as few ranges, and reads as what it wrote', () => {
    fc.assert(
      fc.property(additions, (ranges) => {
        const set = new OffsetRanges();
        const model = new Set<number>();
        for (const [first, last] of ranges) {
          set.add(first, last);
          for (let offset = first; offset <= last; offset++) model.add(offset);
        }
        const sorted = [...model].sort((a, b) => a - b);
        expect([...set]).toEqual(sorted);
        expect(set.count).toBe(model.size);
        expect([set.first, set.last]).toEqual([sorted[0], sorted.at(-1)]);
        expect([...OffsetRanges.parse(String(set))]).toEqual(sorted);
        for (let offset = 0; offset < 75; offset++) {
          expect(set.has(offset)).toBe(model.has(offset));
          let missing = offset;
          while (model.has(missing)) missing++;
          expect(set.firstMissing(offset)).toBe(missing);
        }
        const gaps = sorted.filter((offset, i) => i > 0 && offset !== sorted[i - 1]! + 1).length;
        expect(String(set).split(',').filter(Boolean)).toHaveLength(model.size === 0 ? 0 : gaps + 1);
      }),
    );
  });

  it.each(['x', '1-', '5-3', '1,,2', '-1'])('refuses %s', (text) => {
    expect(() => OffsetRanges.parse(text)).toThrow(RangeError);
  });
});
