import type { Clock } from '../../core/clock.ts';

export interface PacerOptions {
  /** Records a second at most; Infinity: as fast as Kafka takes them. */
  readonly rate: number;
  /** The share of its time that the gateway gives to replay while devices send; above 0, at most 1. */
  readonly share: number;
  readonly clock: Clock;
}

/** How long after the last live message traffic counts as quiet. */
const QUIET_MS = 200;

/**
 * Leaves room for live traffic: after each piece of work the replay rests in proportion, as long as devices send.
 * When they don't, it only gives way to whatever else is to be done.
 */
export class Pacer {
  readonly #options: PacerOptions;
  /** Counts live messages; whoever takes them on writes it. */
  live = 0;
  #liveAtLastLook = 0;
  #lastLiveMs = Number.NEGATIVE_INFINITY;
  #restedUntilMs = Number.NEGATIVE_INFINITY;
  /** When the next record may go by the rate. */
  #dueMs = Number.NEGATIVE_INFINITY;

  constructor(options: PacerOptions) {
    this.#options = options;
  }

  /** Calls back when the next piece may be worked on, after one of so many records. */
  rest(records: number, callback: () => void): void {
    const { clock, rate } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#dueMs = Math.max(this.#dueMs, nowMs - 1_000) + (1_000 * records) / rate;
    const restMs = Math.max(this.#restMs(nowMs), this.#dueMs - nowMs, 0);
    this.#restedUntilMs = nowMs + restMs;
    clock.schedule(callback, restMs);
  }

  #restMs(nowMs: number): number {
    const { share } = this.#options;
    if (this.live !== this.#liveAtLastLook) this.#lastLiveMs = nowMs;
    this.#liveAtLastLook = this.live;
    if (nowMs - this.#lastLiveMs > QUIET_MS) return 0;
    // What the last piece took, as far as it can be seen from here; reading from the disk is not our time.
    const workedMs = Math.min(nowMs - this.#restedUntilMs, 10);
    return (workedMs * (1 - share)) / share;
  }
}
