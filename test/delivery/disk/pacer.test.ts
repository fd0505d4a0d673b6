import { describe, expect, it } from 'vitest';
import { Pacer } from '../../../src/delivery/disk/replay.ts';
import { ManualClock } from '../../testbed/fleet/manual-clock.ts';

/** Pieces of a hundred records that take 2 ms each, for five seconds. How many there were a second. */
function pieces(options: { readonly rate?: number; readonly share?: number }, live: boolean): number {
  const clock = new ManualClock();
  const pacer = new Pacer({ rate: Number.POSITIVE_INFINITY, share: 0.5, ...options }, clock);
  let done = 0;
  const work = (): void => {
    if (live) pacer.live++;
    done++;
    // The work itself: the clock moves on, and nothing else is due meanwhile.
    clock.advance(2);
    pacer.rest(100, work);
  };
  work();
  while (clock.monotonicMs() < 5_000) clock.advance(1);
  return done / 5;
}

describe('what is read back', () => {
  it('rests in proportion to its work while devices send, as replay.share says', () => {
    expect(pieces({ share: 0.5 }, true)).toBeCloseTo(250, -1);
    expect(pieces({ share: 0.2 }, true)).toBeCloseTo(100, -1);
    expect(pieces({ share: 1 }, true)).toBeGreaterThan(400);
  });

  it('does not rest while nobody sends', () => {
    expect(pieces({ share: 0.2 }, false)).toBeGreaterThan(400);
  });

  it('keeps to replay.rate, whether devices send or not', () => {
    // Beside fifty pieces a second it may catch up on a second once.
    for (const live of [true, false]) expect(pieces({ rate: 5_000 }, live)).toBeCloseTo(60, -1);
  });
});
