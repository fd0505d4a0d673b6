/**
 * At most enough for five batches in flight; at least half a batch, since what is read back must get on under any load.
 */
const MOST_BYTES = 640 << 10;
const LEAST_BYTES = 64 << 10;
const STEP_BYTES = 64 << 10;

/** What a record may take longer than the fastest one before the window is too large: twice as long, or so much. */
const SLACK_MS = 20;
/** At its least the window is not what makes records slow: what is normal has changed, and is learnt anew. */
const RELEARN_FACTOR = 1.05;

/** No record is being timed. */
const NONE = -1;

/**
 * How much of what is read back one lane may have in the producer, bytes. Live records of other contracts stand behind
 * it, so it grows only while records are acknowledged about as fast as they ever were, and is halved when they are not:
 * a queue of a fixed size would be a second where Kafka, or this machine, is slow.
 */
export class ReplayWindow {
  bytes = 2 * STEP_BYTES;
  /** The delivery that is being timed: one at a time, so that the clock is not looked at for every record. */
  #timed = NONE;
  #sentAtMs = 0;
  #fastestMs = Number.POSITIVE_INFINITY;

  get isTiming(): boolean {
    return this.#timed !== NONE;
  }

  times(slot: number): boolean {
    return this.#timed === slot;
  }

  /** A record was given to the producer, and will be timed. */
  begin(slot: number, nowMs: number): void {
    this.#timed = slot;
    this.#sentAtMs = nowMs;
  }

  /** It has its result. */
  end(nowMs: number): void {
    this.#timed = NONE;
    const tookMs = nowMs - this.#sentAtMs;
    this.#fastestMs = Math.min(this.#fastestMs, tookMs);
    if (tookMs <= Math.max(2 * this.#fastestMs, this.#fastestMs + SLACK_MS)) {
      this.bytes = Math.min(MOST_BYTES, this.bytes + STEP_BYTES);
    } else {
      if (this.bytes === LEAST_BYTES) this.#fastestMs *= RELEARN_FACTOR;
      this.bytes = Math.max(LEAST_BYTES, this.bytes / 2);
    }
  }
}
