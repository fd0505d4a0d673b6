/** Cancels a scheduled call; calling it twice, or after the call was made, does nothing. */
export type Cancel = () => void;

/**
 * Lies before the first release, when no gateway ran. A wall clock with an earlier time has not been set yet.
 * Example: a machine whose clock has no battery starts in 1970, or at the time when its image was built.
 */
export const EARLIEST_PLAUSIBLE_MS = Date.UTC(2026, 0, 1);

/** Where every stage gets its time from, so that a test can own it. */
export interface Clock {
  /** Wall clock, milliseconds since 1970-01-01 UTC. May jump; for timestamps only. */
  wallMs(): number;
  /** Monotonic milliseconds with fractions, from an arbitrary origin. For every duration and deadline. */
  monotonicMs(): number;
  /** Calls `callback` once, no sooner than `delayMs` from now. */
  schedule(callback: () => void, delayMs: number): Cancel;
}

/** The machine's own clock. Scheduled calls keep the process alive. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(callback, delayMs) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Resolves after the delay, or at once when `signal` is aborted. The caller has to look at the signal then. */
export async function pause(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.schedule(done, delayMs);
    signal?.addEventListener('abort', done);
  });
}

/**
 * Waits for `work`, but not longer than `limitMs`. After that the work goes on alone. A failure counts as the end
 * of the work.
 */
export async function within(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<void> {
  const { promise: timeUp, resolve } = Promise.withResolvers<undefined>();
  const cancel = clock.schedule(() => resolve(undefined), limitMs);
  await Promise.race([work.catch(() => undefined), timeUp]);
  cancel();
}

/**
 * Pauses that double from `initialMs` up to `maxMs`. Each is off by up to a fifth at random, so that clients that
 * failed together do not come back together (KIP-580).
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

/** Milliseconds since 1970 as ISO 8601 in UTC. A device may say a time that no calendar has: that stays a number. */
export function instantText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${ms} ms since 1970` : date.toISOString();
}
