import { WaitingLine } from '../../core/waiting-line.ts';

/** What a record lacks: metadata of its topic, room in its partition's share of memory, or memory. */
export type BottleneckKind = 'metadata' | 'partition' | 'memory';

/**
 * What a refused record waits for. Callers queue here, and are called back first in, first out, only while
 * there is room: a caller that is refused again ends the round.
 */
export class Bottleneck {
  readonly kind: BottleneckKind;
  readonly #waiters = new WaitingLine();
  /** Total of records appended so far; tells whether a woken caller got on. */
  readonly #progress: () => number;
  #waking = false;
  #refusedInRound: (() => void) | undefined;

  constructor(kind: BottleneckKind, progress: () => number) {
    this.kind = kind;
    this.#progress = progress;
  }

  /** Callers that wait, the one being called back not counted. */
  get waiting(): number {
    return this.#waiters.length;
  }

  /** True during {@link wake}: the caller has waited, and goes before those that come new. */
  get waking(): boolean {
    return this.#waking;
  }

  /**
   * Calls back once, when another try is worthwhile. The callback should try at once: room is not reserved.
   * `isGone`: it would not try any more, and may be forgotten.
   */
  wait(callback: () => void, isGone?: () => boolean): void {
    if (this.#waking) this.#refusedInRound = callback;
    this.#waiters.push(callback, isGone);
  }

  /** Calls those that wait, in order, until one of them is refused again or nobody waits. */
  wake(): void {
    if (this.#waking) return;
    this.#waking = true;
    try {
      while (this.#waiters.length > 0) {
        const before = this.#progress();
        this.#refusedInRound = undefined;
        (this.#waiters.shift() as () => void)();
        // Set by wait(), which the callback may have called.
        const refused = this.#refusedInRound as (() => void) | undefined;
        if (refused === undefined) continue;
        // Who got nothing keeps the first place; who got something goes to the end: everyone has a turn, and
        // a large record is not overtaken for ever by small ones.
        if (this.#progress() === before) this.#waiters.moveToFront(refused);
        return;
      }
    } finally {
      this.#waking = false;
    }
  }
}
