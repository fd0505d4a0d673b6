/** Below so many nobody looks who has gone. */
const FEW = 64;

interface Waiter {
  readonly callback: () => void;
  readonly isGone: (() => boolean) | undefined;
}

/**
 * Callbacks that wait for room, first in, first out. In an outage of days devices come and go, and each of their
 * connections may have waited: those that are gone are let go of when the line has doubled, so that it holds twice as
 * many as there are waiting at most.
 */
export class WaitingLine {
  #waiters: Waiter[] = [];
  #lookAt = FEW;

  get length(): number {
    return this.#waiters.length;
  }

  /** `isGone`: to call back would do nothing any more. */
  push(callback: () => void, isGone?: () => boolean): void {
    this.#waiters.push({ callback, isGone });
    if (this.#waiters.length < this.#lookAt) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.isGone?.() !== true);
    this.#lookAt = Math.max(FEW, 2 * this.#waiters.length);
  }

  shift(): (() => void) | undefined {
    return this.#waiters.shift()?.callback;
  }

  /** Gives whoever came with this callback the first place. */
  moveToFront(callback: () => void): void {
    const at = this.#waiters.findLastIndex((waiter) => waiter.callback === callback);
    if (at > 0) this.#waiters.unshift(...this.#waiters.splice(at, 1));
  }
}
