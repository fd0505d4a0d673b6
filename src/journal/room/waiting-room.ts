/** What a refused record waits for: the callers queue, and are called back first in, first out, while there is room. */
export class WaitingRoom {
  readonly #waiters: (() => void)[] = [];
  readonly #hasRoom: () => boolean;
  #waking = false;

  constructor(hasRoom: () => boolean) {
    this.#hasRoom = hasRoom;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** True during {@link wake}: the caller has waited, and goes before those that come new. */
  get waking(): boolean {
    return this.#waking;
  }

  /** Calls back once, when another try is worthwhile. The callback should try at once: room is not reserved. */
  wait(callback: () => void): void {
    this.#waiters.push(callback);
  }

  /** Calls those that wait, in order, while there is room; whoever is refused again goes to the end. */
  wake(): void {
    if (this.#waking) return;
    this.#waking = true;
    try {
      // Those who queue again during the round have their turn in the next one.
      for (let turns = this.#waiters.length; turns > 0 && this.#hasRoom(); turns--) {
        (this.#waiters.shift() as () => void)();
      }
    } finally {
      this.#waking = false;
    }
  }

  /** Calls all of them: there will be no room any more, and their next try is told so. */
  dismiss(): void {
    for (const callback of this.#waiters.splice(0)) callback();
  }
}
