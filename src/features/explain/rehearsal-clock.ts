import type { Clock } from '../../core/clock.ts';

/** A clock that stands where the last message was received: what went by between two messages has gone by. */
export class RehearsalClock implements Clock {
  /** Milliseconds since 1970-01-01 UTC. */
  nowMs = 0;

  wallMs(): number {
    return this.nowMs;
  }

  monotonicMs(): number {
    return this.nowMs;
  }

  /** Nothing comes to pass between messages. */
  schedule(): () => void {
    return () => undefined;
  }
}
