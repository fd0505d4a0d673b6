/** A stall longer than this is not made up for: those turns are over. */
const MOST_CATCH_UP_MS = 1_000;

/**
 * Says how many turns are due at a steady rate, counted from one origin so that no rounding adds up.
 * Times are monotonic milliseconds.
 */
export class Pacer {
  readonly #ratePerSecond: number;
  #originMs: number;
  #taken = 0;

  constructor(ratePerSecond: number, nowMs: number) {
    this.#ratePerSecond = ratePerSecond;
    this.#originMs = nowMs;
  }

  /** How many turns have become due since the last call. `over` of them came too late to be taken. */
  take(nowMs: number): { readonly due: number; readonly over: number } {
    const all = Math.floor(((nowMs - this.#originMs) * this.#ratePerSecond) / 1000) - this.#taken;
    const most = Math.max(1, Math.ceil((MOST_CATCH_UP_MS * this.#ratePerSecond) / 1000));
    const due = Math.min(Math.max(0, all), most);
    this.#taken += Math.max(0, all);
    return { due, over: Math.max(0, all) - due };
  }

  /** Milliseconds until the next turn is due. */
  untilNextMs(nowMs: number): number {
    const nextAtMs = this.#originMs + ((this.#taken + 1) * 1000) / this.#ratePerSecond;
    return Math.max(0, nextAtMs - nowMs);
  }
}
