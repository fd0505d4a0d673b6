import type { Cancel, Clock } from '../../core/clock.ts';

/**
 * Runs a step whenever something happened or a time has come: one timer for everything that waits, and one
 * deferred call for everything that happens in the same turn of the event loop.
 */
export class SenderLoop {
  readonly #runOnce: (nowMs: number) => number;
  readonly #clock: Clock;
  readonly #defer: (callback: () => void) => void;
  #deferred = false;
  #stopped = false;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #cancelTimer: Cancel = () => {};

  /**
   * @param runOnce the step; returns milliseconds until the next one, Infinity for "when something happens"
   * @param defer calls back after the events that are being handled now, e.g. setImmediate: records that
   *   arrive on several sockets in one turn share a request
   */
  constructor(runOnce: (nowMs: number) => number, clock: Clock, defer: (callback: () => void) => void) {
    this.#runOnce = runOnce;
    this.#clock = clock;
    this.#defer = defer;
  }

  /** Something happened: run soon. */
  wakeup(): void {
    if (this.#deferred || this.#stopped) return;
    this.#deferred = true;
    this.#defer(() => {
      this.#deferred = false;
      this.#run();
    });
  }

  /** Run within `delayMs`. */
  wakeupWithin(delayMs: number): void {
    if (this.#deferred || this.#stopped) return;
    if (delayMs <= 0) this.wakeup();
    else this.#schedule(this.#clock.monotonicMs() + delayMs);
  }

  #run(): void {
    if (this.#stopped) return;
    const nowMs = this.#clock.monotonicMs();
    const restMs = this.#runOnce(nowMs);
    if (restMs === Number.POSITIVE_INFINITY) this.#clearTimer();
    else if (restMs <= 0) this.wakeup();
    else this.#schedule(nowMs + restMs, true);
  }

  #schedule(atMs: number, replace = false): void {
    if (!replace && this.#timerAtMs <= atMs) return;
    this.#clearTimer();
    this.#timerAtMs = atMs;
    // Timers have whole milliseconds, and one that is early would find nothing to do.
    const delayMs = Math.max(1, Math.ceil(atMs - this.#clock.monotonicMs()));
    this.#cancelTimer = this.#clock.schedule(() => {
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#run();
    }, delayMs);
  }

  #clearTimer(): void {
    this.#cancelTimer();
    this.#timerAtMs = Number.POSITIVE_INFINITY;
  }

  /** Never runs again. */
  stop(): void {
    this.#stopped = true;
    this.#clearTimer();
  }
}
