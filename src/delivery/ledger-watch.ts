import type { Cancel, Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { Metric } from '../core/metric.ts';
import type { Ledger } from './ledger.ts';
import { imbalance, type LedgerEpoch } from './ledger-note.ts';

export interface LedgerWatchOptions {
  readonly ledger: Ledger;
  readonly epoch: LedgerEpoch;
  /** Records on the disk that are not done, by the journal's own book. */
  readonly openRecords: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const LOOK_MS = 5_000;

/** Looks now and then whether every delivery is in exactly one state: one that isn't is a defect, and an alarm. */
export class LedgerWatch {
  readonly #options: LedgerWatchOptions;
  #timer: Cancel = () => {};
  /** What was wrong at the last look. */
  #last: string | undefined;
  #imbalanced = false;

  constructor(options: LedgerWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = this.#options.clock.schedule(() => {
      this.look();
      this.start();
    }, LOOK_MS);
  }

  stop(): void {
    this.#timer();
  }

  /** An alarm only at the second look that finds the same: a segment that is being dropped is counted later. */
  look(): void {
    const { ledger, openRecords, logger } = this.#options;
    const found = imbalance(ledger, openRecords());
    this.#imbalanced = found !== undefined && found === this.#last;
    this.#last = found;
    if (this.#imbalanced) logger.error({ found }, 'the ledger does not balance: this is a defect of Sluice');
  }

  metrics(): readonly Metric[] {
    const { epoch } = this.#options;
    return [
      {
        name: 'sluice_ledger_imbalanced',
        help: '1 while some delivery is in no state or in two. Must be 0.',
        kind: 'gauge',
        read: () => (this.#imbalanced ? 1 : 0),
      },
      {
        name: 'sluice_ledger_epoch',
        help: "One more after each crash: since then the ledger's figures are complete.",
        kind: 'gauge',
        read: () => epoch.number,
      },
      {
        name: 'sluice_ledger_epoch_since_timestamp_seconds',
        help: "When the ledger's epoch began.",
        kind: 'gauge',
        read: () => epoch.sinceMs / 1_000,
      },
    ];
  }
}
