import { describe, expect, it } from 'vitest';
import { ReplayWindow } from '../../src/delivery/replay-window.ts';

/** Times one record after another. */
function timed(window: ReplayWindow, tookMs: number, records: number): number {
  for (let slot = 0; slot < records; slot++) {
    window.begin(slot, 1_000);
    expect([window.isTiming, window.times(slot), window.times(slot + 1)]).toEqual([true, true, false]);
    window.end(1_000 + tookMs);
    expect(window.isTiming).toBe(false);
  }
  return window.bytes;
}

describe('the window of what is read back', () => {
  it('grows to five batches while records are acknowledged as fast as ever, over a long way too', () => {
    expect(timed(new ReplayWindow(), 5, 50)).toBe(640 << 10);
    expect(timed(new ReplayWindow(), 150, 50)).toBe(640 << 10);
  });

  it('shrinks to half a batch while they take longer, and grows again when they do not', () => {
    const window = new ReplayWindow();
    timed(window, 10, 50);
    expect(timed(window, 200, 1)).toBe(320 << 10);
    expect(timed(window, 200, 5)).toBe(64 << 10);
    expect(timed(window, 10, 50)).toBe(640 << 10);
  });

  it('learns what is normal when the way has become longer for good', () => {
    const window = new ReplayWindow();
    timed(window, 1, 10);
    expect(timed(window, 100, 200)).toBe(640 << 10);
  });
});
