import type { Condition } from '../admin/readiness.ts';
import type { SluiceConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { Metric } from '../core/metric.ts';
import type { DeviceProfile } from '../core/profile.ts';
import { needsDisk } from '../core/route.ts';
import { laneMetrics } from '../delivery/lane-metrics.ts';
import type { Ledger } from '../delivery/ledger.ts';
import type { PartitionedSink } from '../delivery/record-sink.ts';
import { StoreAndForward } from '../delivery/store-and-forward.ts';
import { Journal } from '../journal/journal.ts';

export interface JournalStoreOptions {
  readonly config: SluiceConfig;
  readonly records: PartitionedSink;
  readonly ledger: Ledger;
  readonly deadLetterTopic: (account: string, topic: string) => string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The account of what a journal can't name: dropped or damaged before it was read. */
const UNREAD_ACCOUNT = '(unread)';

/** Whether a profile's contract needs the journal. */
export function promisesDisk({ ack }: DeviceProfile): boolean {
  return needsDisk(ack);
}

/** The journal and the contracts that it keeps, opened and closed together. */
export class JournalStore {
  readonly store: StoreAndForward;
  readonly #journal: Journal;

  private constructor(journal: Journal, store: StoreAndForward) {
    this.#journal = journal;
    this.store = store;
  }

  /**
   * @throws JournalError: in use by another gateway, a directory that isn't there, a wrong key, a newer format
   */
  static async open(options: JournalStoreOptions): Promise<JournalStore> {
    const { config, ledger, clock, logger } = options;
    const { replay, spill, key, ...settings } = config.journal;
    const journal = await Journal.open({
      settings: { ...settings, ...(key === undefined ? {} : { key }) },
      clock,
      logger: logger.child({ stage: 'journal' }),
      onDropped: (account, records) => {
        store.dropped(account ?? UNREAD_ACCOUNT, records);
      },
      onLost: () => {
        const account = ledger.account(UNREAD_ACCOUNT);
        account.openInJournal--;
        account.damaged++;
      },
    });
    const store = new StoreAndForward({
      ...options,
      journal,
      replay,
      spill,
      logger: logger.child({ stage: 'delivery' }),
    });
    return new JournalStore(journal, store);
  }

  metrics(): readonly Metric[] {
    return [...this.#journal.metrics(), ...laneMetrics(this.store)];
  }

  condition(): Condition {
    const { state, reason } = this.#journal.health;
    const { openRecords } = this.#journal.backlog;
    const ready = state === 'ok' || state === 'degraded';
    const backlog = `${openRecords} records wait for Kafka`;
    return { name: 'journal', ready, reason: reason === undefined ? backlog : `${reason}; ${backlog}` };
  }

  /** Reads nothing back any more, and has the disk confirm what was taken. */
  async settle(): Promise<void> {
    this.store.stop();
    await this.#journal.flush();
  }

  close(): Promise<void> {
    return this.#journal.close();
  }
}
