import type { Contract } from '../../core/contract.ts';
import { SluiceError } from '../../core/errors.ts';
import type { Metric } from '../../core/metric.ts';
import type { Publication, PublicationOrigin } from '../../core/publication.ts';
import type { SerializedRecord } from '../../core/record.ts';
import type { SlotKind } from '../delivery-slots.ts';
import { State, type Account, type Ledger } from '../ledger/ledger.ts';
import { RecoveredRecords } from '../ledger/ledger-note.ts';
import type { Bottleneck } from '../ports.ts';
import { Lanes, type Lane } from './lane.ts';
import { Replay, type ReplaySettings } from './replay.ts';
import { SpillOver, type SpillSettings } from './spill-over.ts';
import { StoredDeliveries, type StoredDeliveriesOptions } from './stored-deliveries.ts';

export interface StoreOptions extends StoredDeliveriesOptions {
  readonly replay: ReplaySettings;
  readonly spill: SpillSettings;
}

/**
 * The contracts that use the disk. With `journal` a record goes there, and at once to the producer too as long as its
 * {@link Lane} is direct; with `kafka-or-journal` it goes to the producer alone as long as that takes it and Kafka
 * acknowledges in time ({@link SpillOver}). What the producer has no room for is read back later ({@link Replay}).
 *
 * Calls go one way, and nobody knows who calls it:
 *
 *     StoreAndForward -> SpillOver, Replay -> StoredDeliveries -> journal and producer
 *                        all of them       -> Lanes
 *
 * What the journal and the producer have to say of a record, they say to StoredDeliveries, which has one listener: the
 * end of the constructor here, from where SpillOver and Replay hear of it.
 */
export class StoreAndForward {
  readonly #ledger: Ledger;
  readonly #deliveries: StoredDeliveries;
  readonly #lanes: Lanes;
  /** What a former process left, until all of it has been read. */
  readonly #recovered: RecoveredRecords;
  readonly #replay: Replay;
  readonly #spill: SpillOver;
  /** Nothing more may be in the producer alone, but for what a lane has that is to be copied with the rest of it. */
  #wantsDisk = false;

  constructor(options: StoreOptions) {
    const { journal, records, ledger } = options;
    this.#ledger = ledger;
    const isRecovering = journal.backlog.openRecords > 0;
    const lanes = new Lanes(records, isRecovering);
    const recovered = new RecoveredRecords(ledger);
    if (!isRecovering) recovered.settle();
    const deliveries = new StoredDeliveries(options);
    const parts = { ...options, lanes, deliveries };
    this.#replay = new Replay({ ...parts, recovered });
    this.#spill = new SpillOver(parts);
    this.#lanes = lanes;
    this.#recovered = recovered;
    this.#deliveries = deliveries;
    deliveries.listener = {
      journaled: (position, toBeRead) => this.#replay.journaled(position, toBeRead),
      settled: (lane) => {
        this.#spill.settled(lane);
        this.#replay.changed();
      },
    };
  }

  /** Begins to send what a former process left. */
  start(): void {
    this.#replay.start();
    this.#spill.start();
  }

  /** Reads nothing back any more. */
  stop(): void {
    this.#replay.stop();
    this.#spill.stop();
  }

  /**
   * Gives the disk copies of what is in the producer alone, however long Kafka has had it. Resolves when the disk has
   * taken them, or Kafka was sooner; waits as long as that takes.
   */
  copyWhatWaits(): Promise<void> {
    this.#wantsDisk = true;
    return this.#spill.beginAll();
  }

  lanes(): readonly Lane[] {
    return [...this.#lanes.all()];
  }

  metrics(): readonly Metric[] {
    return this.#lanes.metrics();
  }

  /** The journal's policy dropped what was on the disk, by account. */
  dropped(profile: string, records: number): void {
    this.#ledger.account(profile).move(State.openInJournal, State.dropped, records);
    // They will not be read any more.
    this.#recovered.seen(profile, records);
  }

  /**
   * Takes the record on. undefined: taken; the origin hears when it is on the disk, or in Kafka if that is sooner.
   * A {@link Bottleneck}: no room, nothing was kept. An error: it can never be sent.
   */
  append(
    record: SerializedRecord,
    publication: Publication,
    account: Account,
    kind: SlotKind,
    { kafkaFirst }: Contract,
    origin: PublicationOrigin | undefined,
    token: number,
  ): Bottleneck | SluiceError | undefined {
    this.#replay.pacer.live++;
    const lane = this.#lanes.of(record);
    if (lane.holdsBack) return lane;
    const slot = this.#deliveries.begin(publication, account, kind, lane, origin, token);
    const isDiskWanted = this.#wantsDisk && lane.uncopied === 0;
    const refusal =
      kafkaFirst && lane.state === 'direct' && !isDiskWanted
        ? this.#toKafka(slot, record, lane)
        : this.#toDisk(slot, record, lane, kafkaFirst);
    if (refusal !== undefined) this.#deliveries.cancel(slot);
    return refusal;
  }

  #toKafka(slot: number, record: SerializedRecord, lane: Lane): Bottleneck | SluiceError | undefined {
    const full = this.#deliveries.toProducer(slot, record);
    if (full === undefined || full instanceof SluiceError) return full;
    // Without a disk that takes records either, the device waits for both.
    this.#replay.awaitRoom(lane, full);
    if (!this.#spill.begin(lane, false) || lane.holdsBack) return lane;
    return this.#toDisk(slot, record, lane, true);
  }

  #toDisk(
    slot: number,
    record: SerializedRecord,
    lane: Lane,
    kafkaFirst: boolean,
  ): Bottleneck | SluiceError | undefined {
    const refusal = this.#deliveries.toDisk(slot, record);
    if (refusal !== undefined) {
      if (!kafkaFirst || refusal instanceof SluiceError) return refusal;
      lane.awaitDisk(refusal);
      return lane;
    }
    if (this.#deliveries.wasDropped(slot)) return undefined;
    if (lane.state === 'direct') {
      const full = this.#deliveries.toProducer(slot, record);
      if (full === undefined || full instanceof SluiceError) return full;
      this.#spill.begin(lane, true);
    }
    lane.recordJournaling();
    return undefined;
  }
}
