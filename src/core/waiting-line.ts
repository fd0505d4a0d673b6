/** A line shorter than this is not searched for callbacks that are gone. */
const FEW = 64;

interface Waiter {
  readonly callback: () => void;
  readonly isGone: (() => boolean) | undefined;
}

/**
 * Callbacks that wait for room, first in, first out. In an outage of days devices come and go, and each of their
 * connections may have waited. Whenever the line has doubled, callbacks that are gone are removed from it. So it
 * never holds more than twice as many as are waiting.
 */
export class WaitingLine {
  #waiters: Waiter[] = [];
  #lookAt = FEW;

  get length(): number {
    return this.#waiters.length;
  }

  /** `isGone`: whether a call back would have no effect any more. */
  push(callback: () => void, isGone?: () => boolean): void {
    this.#waiters.push({ callback, isGone });
    if (this.#waiters.length < this.#lookAt) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.isGone?.() !== true);
    this.#lookAt = Math.max(FEW, 2 * this.#waiters.length);
  }

  shift(): (() => void) | undefined {
    return this.#waiters.shift()?.callback;
  }

  /** Moves this callback to the first place. */
  moveToFront(callback: () => void): void {
    const at = this.#waiters.findLastIndex((waiter) => waiter.callback === callback);
    if (at > 0) this.#waiters.unshift(...this.#waiters.splice(at, 1));
  }
}
