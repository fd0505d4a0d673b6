import type { Cancel, Clock } from '../../../src/core/clock.ts';

interface Call {
  readonly atMs: number;
  readonly callback: () => void;
}

/** A clock that moves only when the test says so, and runs what becomes due on its way. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #calls = new Set<Call>();

  wallMs(): number {
    return Date.UTC(2026, 0, 1) + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  schedule(callback: () => void, delayMs: number): Cancel {
    const call = { atMs: this.#nowMs + Math.max(0, delayMs), callback };
    this.#calls.add(call);
    return () => this.#calls.delete(call);
  }

  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      const next = [...this.#calls].sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > endMs) break;
      this.#nowMs = next.atMs;
      this.#calls.delete(next);
      next.callback();
    }
    this.#nowMs = endMs;
  }
}
