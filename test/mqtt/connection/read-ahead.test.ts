import { describe, expect, it } from 'vitest';
import { PiecePool } from '../../../src/mqtt/connection/read-ahead.ts';

describe('PiecePool', () => {
  it('gives pieces that are large enough, and of whose room a fifth at most is not used once one grows', () => {
    const pool = new PiecePool(0);
    let piece = pool.take(1);
    while (piece.length < 256 * 1024) {
      const next = pool.take(piece.length + 1);
      expect(next.length).toBeGreaterThan(piece.length);
      expect(piece.length / next.length).toBeGreaterThanOrEqual(0.79);
      piece = next;
    }
    expect(pool.take(10_000_000).length).toBe(10_000_000);
  });

  it('gives a piece again that was given back, to nobody twice', () => {
    const pool = new PiecePool(100_000);
    const first = pool.take(20_000);
    pool.give(first);
    expect(pool.take(19_000) === first).toBe(true);
    expect(pool.take(19_000) === first).toBe(false);
  });

  it('keeps no more than it may, and nothing of a size of its own', () => {
    const pool = new PiecePool(20_000);
    const pieces = [pool.take(8_000), pool.take(8_000), pool.take(8_000)];
    for (const piece of pieces) pool.give(piece);
    const again = [pool.take(8_000), pool.take(8_000), pool.take(8_000)];
    expect(again.filter((piece) => pieces.includes(piece))).toHaveLength(2);

    const large = pool.take(5_000_000);
    pool.give(large);
    expect(pool.take(5_000_000) === large).toBe(false);
  });
});
