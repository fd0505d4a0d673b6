import type { Clock } from '../../core/clock.ts';
import type { SegmentBook } from '../recovery/segment-book.ts';

export interface AgeLimitOptions {
  /** How long a closed segment may wait for Kafka; Infinity: for ever. */
  readonly maxAgeMs: number;
  readonly clock: Clock;
  readonly book: SegmentBook;
  /** Has the disk close the segment that is written to, if it is old enough: otherwise only the next record would. */
  readonly closeOldSegment: () => void;
  /** Gives up what these segments hold. */
  readonly expire: (segments: readonly number[]) => Promise<void>;
}

/** What a crash takes from the ages: so much of the limit, at most. */
const NOTED_SHARE = 1 / 100;

/**
 * Gives up records that are older than the journal may keep them. Age is time that passed while a gateway ran, by its
 * monotonic clock, and is kept in the checkpoint: a wall clock that jumps by years, as on a machine that starts in 1970
 * until it is told the time, drops nothing.
 */
export class AgeLimit {
  readonly #options: AgeLimitOptions;
  #lastMs: number;
  #notedMs: number;
  #expiring = false;

  constructor(options: AgeLimitOptions) {
    this.#options = options;
    this.#lastMs = options.clock.monotonicMs();
    this.#notedMs = this.#lastMs;
  }

  /** To be called now and then, before the checkpoint. */
  tick(): void {
    const { maxAgeMs, clock, book, closeOldSegment, expire } = this.#options;
    if (maxAgeMs === Number.POSITIVE_INFINITY) return;
    const nowMs = clock.monotonicMs();
    book.passTime(nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    if (nowMs - this.#notedMs >= maxAgeMs * NOTED_SHARE && book.openRecords > 0) {
      this.#notedMs = nowMs;
      book.markDirty();
    }
    closeOldSegment();
    if (this.#expiring) return;
    const expired = book.openSegments(maxAgeMs);
    if (expired.length === 0) return;
    this.#expiring = true;
    void expire(expired).finally(() => {
      this.#expiring = false;
    });
  }
}
