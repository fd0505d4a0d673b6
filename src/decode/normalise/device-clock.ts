/** Messages, and time, after which a part of the measurements is forgotten. */
const SAMPLES = 64;
const SPAN_MS = 10 * 60_000;

/**
 * How far a device's clock is from the gateway's. What a message took on its way only ever adds to receipt minus
 * event time, so the smallest such difference of the last messages is the clock's offset; late and stored
 * messages don't disturb it. The last 64 to 128 messages count, or those of 10 to 20 minutes.
 */
export class DeviceClock {
  #current = Number.POSITIVE_INFINITY;
  #previous = Number.POSITIVE_INFINITY;
  #samples = 0;
  #since = 0;

  /** What must be added to the device's time to get ours, in milliseconds; +Infinity: not known yet. */
  get offsetMs(): number {
    return Math.min(this.#current, this.#previous);
  }

  /** `differenceMs` is receipt minus event time. */
  observe(differenceMs: number, receivedAtMs: number): void {
    if (this.#samples >= SAMPLES || receivedAtMs - this.#since > SPAN_MS) {
      this.#previous = this.#samples === 0 ? Number.POSITIVE_INFINITY : this.#current;
      this.#current = differenceMs;
      this.#samples = 0;
      this.#since = receivedAtMs;
    } else if (differenceMs < this.#current) this.#current = differenceMs;
    this.#samples++;
  }

  /** The clock has been set: what was measured before says nothing about it. */
  reset(differenceMs: number, receivedAtMs: number): void {
    this.#current = differenceMs;
    this.#previous = Number.POSITIVE_INFINITY;
    this.#samples = 1;
    this.#since = receivedAtMs;
  }
}
