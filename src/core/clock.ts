/** Cancels a scheduled call; calling it twice, or after the call was made, does nothing. */
export type Cancel = () => void;

/**
 * Before the first release: no gateway ran then. A wall clock that says less has not been set yet, as after the start of
 * a machine whose clock has no battery, in 1970 or when its image was built.
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
    return () => {
      clearTimeout(timer);
    };
  },
};

/** Resolves after the delay, or at once when `signal` is aborted: whoever waits has to look at it then. */
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

/** Waits for `work`, but not longer than `limitMs`: then it goes on alone. Its failure counts as its end. */
export async function within(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<void> {
  const { promise: timeUp, resolve } = Promise.withResolvers<undefined>();
  const cancel = clock.schedule(() => {
    resolve(undefined);
  }, limitMs);
  await Promise.race([work.catch(() => undefined), timeUp]);
  cancel();
}

/**
 * Pauses that double from `initialMs` up to `maxMs`, each off by up to a fifth at random, so that those that
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

/** Milliseconds since 1970 as ISO 8601 in UTC; a device may say times that no calendar has, and those stay numbers. */
export function instantText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${ms} ms since 1970` : date.toISOString();
}
