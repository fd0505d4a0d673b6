/**
 * Pauses that double from `initialMs` up to `maxMs`, each off by up to a fifth at random, so that producers that
 * failed together don't come back together (KIP-580).
 */
export function exponentialBackoff(
  initialMs: number,
  maxMs: number,
  random: () => number,
): (attempts: number) => number {
  return (attempts) => {
    const plain = initialMs * 2 ** Math.min(Math.max(attempts - 1, 0), 30);
    return Math.min(plain, maxMs) * (0.8 + 0.4 * random());
  };
}
