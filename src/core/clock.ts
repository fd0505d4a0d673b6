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
