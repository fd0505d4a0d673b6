import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecordSet } from '../../../src/journal/recovery/record-set.ts';

describe('a set of numbers', () => {
  it('equals a plain set, and survives being written down, whatever the order of the additions', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 400 }), (numbers) => {
        const plain = new Set<number>();
        let set = new RecordSet();
        for (const [index, recordNumber] of numbers.entries()) {
          expect(set.add(recordNumber)).toBe(!plain.has(recordNumber));
          plain.add(recordNumber);
          if (index % 50 === 49) set = RecordSet.restore(set.low, set.bitsAboveLow());
        }
        expect(set.size).toBe(plain.size);
        for (let recordNumber = 0; recordNumber <= 310; recordNumber++)
          expect(set.has(recordNumber)).toBe(plain.has(recordNumber));
      }),
    );
  });
});
