import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  DeviceSequence,
  noCounts,
  type SequenceCounts,
} from '../../../src/decode/normalise/sequence-tracker.ts';

function counts(numbers: readonly number[], modulo = 0, dups: readonly number[] = []): SequenceCounts {
  const totals = noCounts();
  const sequence = new DeviceSequence();
  for (const [index, number] of numbers.entries())
    sequence.observe(number, dups.includes(index), modulo, totals);
  const { missing, repeated, late, restarts } = sequence;
  // What a device counts is what its type counts.
  expect({ missing, repeated, late, restarts }).toEqual(totals);
  return totals;
}

describe("a device's count", () => {
  test.each<[string, number[], Partial<SequenceCounts>]>([
    ['without a gap', [5, 6, 7, 8], {}],
    ['with three missing', [5, 6, 10], { missing: 3 }],
    ['with a repeat', [5, 6, 6, 7, 5], { repeated: 2 }],
    ['with one that comes late', [5, 7, 6, 8], { late: 1 }],
    ['with one late of two missing', [5, 8, 6, 9], { late: 1, missing: 1 }],
    ['with a late one that then comes again', [5, 7, 6, 6], { late: 1, repeated: 1 }],
    ['that begins anew at 0', [1000, 1001, 0, 1], { restarts: 1 }],
    ['that begins anew early', [0, 1, 2, 3, 0, 1, 2], { restarts: 1 }],
    ['that jumps beyond any gap', [1, 2, 5_000_000, 5_000_001], { restarts: 1 }],
    ['that stands still', [0, 0, 0], { repeated: 2 }],
    ['that begins with a late one', [6, 5, 7], { late: 1 }],
    ['with a late one at the far end of the window', [1, 2, 3, 67, 4], { late: 1, missing: 62 }],
  ])('%s', (_name, numbers, expected) => {
    expect(counts(numbers)).toEqual({ ...noCounts(), ...expected });
  });

  test('that wraps goes on at 0', () => {
    expect(counts([254, 255, 0, 1], 256)).toEqual(noCounts());
    expect(counts([254, 1, 255], 256)).toEqual({ ...noCounts(), missing: 1, late: 1 });
  });

  test('is not begun anew by a message that says it may be a repeat', () => {
    expect(counts([0, 1, 2, 0], 0, [3])).toEqual({ ...noCounts(), repeated: 1 });
    expect(counts([1000, 2], 0, [1])).toEqual({ ...noCounts(), repeated: 1 });
  });

  test('finds exactly what is lost and repeated, in whatever order of up to 32 messages it comes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ lost: fc.boolean(), repeat: fc.boolean(), delay: fc.nat(31) }), {
          minLength: 1,
          maxLength: 200,
        }),
        (messages) => {
          const sent = messages.flatMap(({ lost, repeat, delay }, index) => {
            const number = index + 100;
            if (lost && index > 0 && index < messages.length - 1) return [];
            const at = index === 0 ? -1 : index + delay;
            return repeat
              ? [
                  { number, at },
                  { number, at: at + 0.5 },
                ]
              : [{ number, at }];
          });
          sent.sort((a, b) => a.at - b.at);
          const numbers = sent.map(({ number }) => number);
          const found = counts(numbers);
          const distinct = new Set(numbers);
          expect(found.repeated).toBe(numbers.length - distinct.size);
          expect(found.missing).toBe(Math.max(...numbers) - 100 + 1 - distinct.size);
          expect(found.restarts).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });
});
