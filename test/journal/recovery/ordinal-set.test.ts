import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OrdinalSet } from '../../../src/journal/recovery/ordinal-set.ts';

describe('a set of ordinals', () => {
  it('equals a plain set, and survives being written down, whatever the order of the additions', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 400 }), (ordinals) => {
        const plain = new Set<number>();
        let set = new OrdinalSet();
        for (const [index, ordinal] of ordinals.entries()) {
          expect(set.add(ordinal)).toBe(!plain.has(ordinal));
          plain.add(ordinal);
          if (index % 50 === 49) set = OrdinalSet.restore(set.low, set.bitsAboveLow());
        }
        expect(set.size).toBe(plain.size);
        for (let ordinal = 0; ordinal <= 310; ordinal++) expect(set.has(ordinal)).toBe(plain.has(ordinal));
      }),
    );
  });
});
