import type { Condition } from '../core/readiness.ts';
import { EARLIEST_PLAUSIBLE_MS, type Cancel, type Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import { metric, type Metric } from '../core/metric.ts';

export interface ClockWatchOptions {
  readonly clock: Clock;
  readonly logger: Logger;
}

const LOOK_MS = 1_000;

/**
 * Looks whether the wall clock can be right, because it dates the records of devices without a time of their own.
 * A clock that has not been set is no reason to turn devices away. But the operator must hear of it before Kafka
 * deletes the records.
 */
export class ClockWatch {
  readonly #options: ClockWatchOptions;
  #timer: Cancel = () => {};
  #unset = false;

  constructor(options: ClockWatchOptions) {
    this.#options = options;
  }

  /** Looks at once, and then every second. */
  start(): void {
    this.#look();
    this.#timer = this.#options.clock.schedule(() => this.start(), LOOK_MS);
  }

  stop(): void {
    this.#timer();
  }

  #look(): void {
    const { clock, logger } = this.#options;
    const nowMs = clock.wallMs();
    const unset = nowMs < EARLIEST_PLAUSIBLE_MS;
    if (unset === this.#unset) return;
    this.#unset = unset;
    if (unset) logger.warn({}, consequence(nowMs));
    else logger.info({}, `the clock says ${new Date(nowMs).toISOString()}: it has been set`);
  }

  /** There only while the clock has not been set. */
  conditions(): Condition[] {
    if (!this.#unset) return [];
    const reason = consequence(this.#options.clock.wallMs());
    return [{ name: 'clock', ready: false, required: false, reason }];
  }

  /** For the person who starts the gateway. */
  warnings(): string[] {
    return this.conditions().map(({ reason }) => reason);
  }

  metrics(): readonly Metric[] {
    const help =
      "1 while the gateway's clock says a time before Sluice was released: it dates records of devices without a time.";
    return [metric('gauge', 'sluice_clock_unset', help, () => (this.#unset ? 1 : 0))];
  }
}

function consequence(nowMs: number): string {
  const now = new Date(nowMs).toISOString();
  return `the clock says ${now}: records of devices without a time of their own are dated so, and Kafka may delete them by retention at once`;
}
