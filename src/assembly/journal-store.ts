import type { Condition } from '../core/readiness.ts';
import type { SluiceConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { DeviceProfile, FullPolicy } from '../core/profile/profile.ts';
import type { Logger } from '../core/logger.ts';
import type { Metric } from '../core/metric.ts';
import type { PublicationMemory, RecalledPublications } from '../core/publication.ts';
import type { DeviceTypes } from '../delivery/dead-letter.ts';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import { ledgerNote, loseUnread, restoreLedger, type LedgerEpoch } from '../delivery/ledger/ledger-note.ts';
import type { PartitionedSink } from '../delivery/ports.ts';
import { StoreAndForward } from '../delivery/disk/store-and-forward.ts';
import { Journal } from '../journal/journal.ts';
import { holdsSegments } from '../journal/disk/segment-file.ts';

export interface JournalStoreOptions {
  readonly config: SluiceConfig;
  readonly records: PartitionedSink;
  /** Whether the producer lacks processor time: commits then wait a moment. */
  readonly isProducerBehind: () => boolean;
  readonly ledger: Ledger;
  /** The sessions, once they are there. */
  readonly publications: () => PublicationMemory | undefined;
  readonly types: DeviceTypes & {
    /** What happens to a type's records when the journal is full; undefined: the configuration's default. */
    fullPolicy(type: string): FullPolicy | undefined;
  };
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Whether a profile's contract needs the journal. */
export function promisesDisk({ ack }: DeviceProfile): boolean {
  return ack.needsJournal;
}

/**
 * Whether a journal is needed: for contracts that promise the disk, or for records that former contracts left on
 * it.
 */
export function needsJournal({ journal }: SluiceConfig, profiles: readonly DeviceProfile[]): boolean {
  return profiles.some(promisesDisk) || journal.directories.some(holdsSegments);
}

/** The journal and the contracts that it keeps, opened and closed together. */
export class JournalStore {
  readonly store: StoreAndForward;
  readonly #journal: Journal;
  readonly #epoch: LedgerEpoch;
  readonly #onClose: () => void;

  private constructor(journal: Journal, store: StoreAndForward, epoch: LedgerEpoch, onClose: () => void) {
    this.#journal = journal;
    this.store = store;
    this.#epoch = epoch;
    this.#onClose = onClose;
  }

  /**
   * @throws JournalError: in use by another gateway, a directory that isn't there, a wrong key, a newer format
   */
  static async open(options: JournalStoreOptions): Promise<JournalStore> {
    const { config, ledger, publications, clock, logger } = options;
    const { replay, spill, key, ...settings } = config.journal;
    let isClosing = false;
    let epoch: LedgerEpoch = { number: 1, sinceMs: clock.wallMs() };
    const journal = await Journal.open({
      note: () => ledgerNote(ledger, epoch, isClosing),
      publications,
      shouldYield: options.isProducerBehind,
      settings: { ...settings, ...(key && { key }) },
      clock,
      logger: logger.child({ stage: 'journal' }),
      policyOf: (account) => options.types.fullPolicy(account),
      onDropped: (account, records) => store.dropped(account, records),
      onLost: () => loseUnread(ledger, 1),
    });
    epoch = restoreLedger(ledger, journal.recoveredNote, journal.found, clock.wallMs());
    const stage = { logger: logger.child({ stage: 'delivery' }) };
    const store = new StoreAndForward({ ...options, ...stage, journal, replay, spill });
    return new JournalStore(journal, store, epoch, () => {
      isClosing = true;
    });
  }

  /** Device types have other policies than before. */
  policiesChanged(): void {
    this.#journal.policiesChanged();
  }

  /** For the sessions: which publications are on the disk. */
  get recalled(): RecalledPublications {
    const { publications, mark } = this.#journal.recalled;
    return { publications, nextPublicationNumber: mark.nextOrdinal };
  }

  /** The journal's own figures, with which the ledger is compared, and how long they go back. */
  get book(): { readonly epoch: LedgerEpoch; readonly openRecords: number } {
    return { epoch: this.#epoch, openRecords: this.#journal.backlog.openRecords };
  }

  metrics(): readonly Metric[] {
    return [...this.#journal.metrics(), ...this.store.metrics()];
  }

  condition(): Condition {
    const { state, reason } = this.#journal.health;
    const { openRecords } = this.#journal.backlog;
    const ready = state === 'ok' || state === 'degraded';
    const { lostRecords } = this.#journal.stats;
    const says = reason === undefined ? [] : [reason];
    says.push(`${openRecords} records wait for Kafka`);
    if (lostRecords > 0) says.push(`${lostRecords} acknowledged records were lost to damage on the disk`);
    return { name: 'journal', ready, reason: says.join('; ') };
  }

  /** Stops reading back, and has the disk confirm the records that it took. */
  async settle(): Promise<void> {
    this.store.stop();
    await this.#journal.flush();
  }

  /**
   * Kafka does not answer: has the disk confirm records that are in memory alone, where their contract allows the
   * disk.
   */
  async copyWhatWaits(): Promise<void> {
    await this.store.copyWhatWaits();
    await this.#journal.flush();
  }

  close(): Promise<void> {
    // The last checkpoint says that nothing is missing from the ledger.
    this.#onClose();
    return this.#journal.close();
  }
}
