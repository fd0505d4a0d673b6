import type { Cancel, Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import type { Metric } from '../../core/metric.ts';
import { missingIn, type Ledger } from './ledger.ts';
import type { LedgerEpoch } from './ledger-note.ts';

export interface LedgerWatchOptions {
  readonly ledger: Pick<Ledger, 'figures' | 'total'>;
  /** The journal's own book, where there is one: records on the disk that are not done. */
  readonly journal: () => { readonly epoch: LedgerEpoch; readonly openRecords: number } | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const LOOK_MS = 5_000;
/** So often in a row is no moment between two steps, whatever the numbers are: half a minute. */
const LOOKS_ALWAYS_OFF = 6;

/** Looks now and then whether every delivery is in exactly one state: one that isn't is a defect, and an alarm. */
export class LedgerWatch {
  readonly #options: LedgerWatchOptions;
  #timer: Cancel = () => {};
  /** Without a journal nothing goes further back than this process. */
  readonly #ownEpoch: LedgerEpoch;
  /** What was off at the last look, by subject. */
  #off: ReadonlyMap<string, { readonly difference: number; readonly looks: number }> = new Map();
  #imbalanced = false;

  constructor(options: LedgerWatchOptions) {
    this.#options = options;
    this.#ownEpoch = { number: 1, sinceMs: options.clock.wallMs() };
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

  /**
   * An alarm only at the second look that finds as many missing, or when every look finds some: a segment that is being
   * dropped is counted later. What is compared is the difference, since under load the figures themselves never stay.
   */
  look(): void {
    const { ledger, journal, logger } = this.#options;
    const off = new Map<string, { difference: number; looks: number }>();
    const lasting: string[] = [];
    for (const { subject, difference, text } of imbalances(ledger, journal()?.openRecords)) {
      const last = this.#off.get(subject);
      const looks = (last?.looks ?? 0) + 1;
      off.set(subject, { difference, looks });
      if (last?.difference === difference || looks >= LOOKS_ALWAYS_OFF) lasting.push(text);
    }
    this.#off = off;
    this.#imbalanced = lasting.length > 0;
    if (!this.#imbalanced) return;
    logger.error({ found: lasting.join('; ') }, 'the ledger does not balance: this is a defect of Sluice');
  }

  #epoch(): LedgerEpoch {
    return this.#options.journal()?.epoch ?? this.#ownEpoch;
  }

  metrics(): readonly Metric[] {
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
        read: () => this.#epoch().number,
      },
      {
        name: 'sluice_ledger_epoch_since_timestamp_seconds',
        help: "When the ledger's epoch began.",
        kind: 'gauge',
        read: () => this.#epoch().sinceMs / 1_000,
      },
    ];
  }
}

/** Deliveries that are in no state, or in two. */
export interface Imbalance {
  /** An account, or the journal. */
  readonly subject: string;
  /** How many too few (below 0: too many) are in a state. */
  readonly difference: number;
  /** The numbers, for a person. */
  readonly text: string;
}

/** What is wrong with the ledger; none: every delivery is in exactly one state. */
export function imbalances(
  ledger: Pick<Ledger, 'figures' | 'total'>,
  openRecords: number | undefined,
): Imbalance[] {
  const found: Imbalance[] = [];
  for (const account of ledger.figures()) {
    const difference = missingIn(account);
    if (difference === 0) continue;
    const { profile, ...figures } = account;
    found.push({ subject: profile, difference, text: `${profile}: ${JSON.stringify(figures)}` });
  }
  const { openInJournal } = ledger.total();
  if (openRecords !== undefined && openRecords !== openInJournal) {
    const text = `the journal holds ${openRecords} records, and the accounts say ${openInJournal}`;
    found.push({ subject: 'the journal', difference: openRecords - openInJournal, text });
  }
  return found;
}
