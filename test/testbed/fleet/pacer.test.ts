import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Pacer } from '../../../src/testbed/fleet/pacer.ts';

describe('the pacer of a fleet', () => {
  it('gives exactly rate x time turns, however irregularly it is asked', () => {
    const steps = fc.array(fc.double({ min: 0, max: 900, noNaN: true }), { maxLength: 200 });
    fc.assert(
      fc.property(fc.double({ min: 0.5, max: 50_000, noNaN: true }), steps, (rate, waits) => {
        const pacer = new Pacer(rate, 1000);
        let nowMs = 1000;
        let turns = 0;
        for (const waitMs of waits) {
          nowMs += waitMs;
          const { due, over } = pacer.take(nowMs);
          turns += due + over;
        }
        expect(turns).toBe(Math.floor(((nowMs - 1000) * rate) / 1000));
      }),
    );
  });

  it('says when the next turn is due', () => {
    const pacer = new Pacer(10, 0);
    expect(pacer.untilNextMs(0)).toBe(100);
    expect(pacer.take(100)).toEqual({ due: 1, over: 0 });
    expect(pacer.untilNextMs(130)).toBe(70);
    expect(pacer.untilNextMs(500)).toBe(0);
  });

  it('does not make up for a long stall with a flood', () => {
    const pacer = new Pacer(100, 0);
    expect(pacer.take(60_000)).toEqual({ due: 100, over: 5900 });
    expect(pacer.take(60_010)).toEqual({ due: 1, over: 0 });
  });
});
