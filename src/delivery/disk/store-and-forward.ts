import type { Clock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { Publication, PublicationOrigin } from '../../core/publication.ts';
import type { SerializedRecord } from '../../core/record.ts';
import type { SlotKind } from '../delivery-slots.ts';
import { ordinalOf } from '../fan-out.ts';
import type { Journal, JournaledRecord } from './journal-port.ts';
import { Lanes, type Lane } from './lane.ts';
import type { Account, Ledger } from '../ledger/ledger.ts';
import { RecoveredRecords } from '../ledger/ledger-note.ts';
import { Pacer } from './pacer.ts';
import type { Bottleneck, PartitionedSink } from '../record-sink.ts';
import { Replay } from './replay.ts';
import { SpillOver, type SpillSettings } from './spill-over.ts';
import { StoredDeliveries } from './stored-deliveries.ts';

export interface StoreOptions {
  readonly journal: Journal;
  readonly records: PartitionedSink;
  readonly ledger: Ledger;
  /** Where an account's records go that can't be delivered to `topic`. */
  readonly deadLetterTopic: (account: string, topic: string) => string;
  /** The topic pattern of an account's route; undefined: not known any more. */
  readonly routePattern: (account: string) => string | undefined;
  readonly replay: ReplaySettings;
  readonly spill: SpillSettings;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ReplaySettings {
  /** Records a second at most; Infinity: as fast as Kafka takes them. */
  readonly rate: number;
  /** Of the gateway's time, while devices send; above 0, at most 1. */
  readonly share: number;
}

/**
 * What one lane has in the producer of records that were read back, bytes: enough for five batches in flight, and
 * little enough for live records of other contracts not to stand long behind it.
 */
const REPLAY_WINDOW_BYTES = 640 << 10;

/**
 * The contracts that use the disk. With `journal` a record goes there, and at once to the producer too as long as its
 * {@link Lane} is direct; with `kafka-or-journal` it goes to the producer alone as long as that takes it and Kafka
 * acknowledges in time ({@link SpillOver}). What the producer has no room for is read back later ({@link Replay}).
 */
export class StoreAndForward {
  readonly #options: StoreOptions;
  readonly #deliveries: StoredDeliveries;
  readonly #lanes: Lanes;
  /** What a former process left, until all of it has been read. */
  #recovered: RecoveredRecords | undefined;
  readonly #pacer: Pacer;
  readonly #replay: Replay;
  readonly #spill: SpillOver;
  /** Nothing more may be in the producer alone, but for what a lane has that is to be copied with the rest of it. */
  #wantsDisk = false;

  constructor(options: StoreOptions) {
    const { journal, records, ledger, replay, clock, logger } = options;
    this.#options = options;
    const { openRecords } = journal.backlog;
    this.#lanes = new Lanes(records, openRecords > 0);
    const recovered = new RecoveredRecords(ledger);
    if (openRecords > 0) this.#recovered = recovered;
    else recovered.settle();
    const deliveries = new StoredDeliveries({
      ...options,
      onJournaled: (position, toBeRead) => {
        this.#replay.journaled(position);
        if (toBeRead) this.#replay.follow(position);
      },
      onSettled: (lane) => {
        this.#spill.settled(lane);
        this.#replay.changed();
      },
    });
    this.#deliveries = deliveries;
    this.#pacer = new Pacer({ ...replay, clock });
    this.#replay = new Replay({
      journal,
      lanes: this.#lanes,
      send: (record, lane) => this.#sendBack(record, lane),
      onRecovered: ({ account }) => {
        this.#recovered?.seen(account);
      },
      onAllRecovered: () => {
        this.#recovered?.settle();
        this.#recovered = undefined;
      },
      connected: () => records.connectionState().connectedBrokers > 0,
      pacer: this.#pacer,
      clock,
      logger,
    });
    this.#spill = new SpillOver({
      settings: options.spill,
      lanes: this.#lanes,
      records,
      target: deliveries,
      needsCopy: (slot, lane) => deliveries.needsCopy(slot, lane),
      copy: (slot, record) => deliveries.copyToDisk(slot, record),
      clock,
      logger,
    });
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

  /** The journal's policy dropped what was on the disk, by account. */
  dropped(profile: string, records: number): void {
    const account = this.#options.ledger.account(profile);
    account.openInJournal -= records;
    account.dropped += records;
    // They will not be read any more.
    this.#recovered?.seen(profile, records);
  }

  /**
   * Takes the record on. undefined: taken; the origin hears when it is on the disk, or in Kafka if that is sooner.
   * A {@link Bottleneck}: no room, nothing was kept. An error: it can never be sent.
   *
   * @param kafkaFirst contract `kafka-or-journal`
   */
  append(
    record: SerializedRecord,
    publication: Publication,
    account: Account,
    kind: SlotKind,
    kafkaFirst: boolean,
    origin: PublicationOrigin,
    token: number,
  ): Bottleneck | SluiceError | undefined {
    this.#pacer.live++;
    const lane = this.#lanes.of(record);
    if (lane.closing || lane.copying) return lane;
    const slot = this.#deliveries.begin(origin, token, account, kind, lane);
    const ordinal = ordinalOf(publication, origin);
    const refusal =
      kafkaFirst && lane.direct && (!this.#wantsDisk || lane.uncopied > 0)
        ? this.#toKafka(slot, record, publication, ordinal, lane)
        : this.#toDisk(slot, record, publication, ordinal, lane, kafkaFirst);
    if (refusal !== undefined && !this.#voided) this.#deliveries.cancel(slot);
    this.#voided = false;
    return refusal;
  }

  /** Set where a refused record must not be forgotten, because it is on its way to the disk. */
  #voided = false;

  #toKafka(
    slot: number,
    record: SerializedRecord,
    publication: Publication,
    ordinal: number,
    lane: Lane,
  ): Bottleneck | SluiceError | undefined {
    const full = this.#deliveries.toProducer(slot, record);
    if (full === undefined) {
      this.#deliveries.remember(slot, publication.clientId, publication.packetId, publication.qos, ordinal);
      lane.uncopied++;
      return undefined;
    }
    if (full instanceof SluiceError) return full;
    // Without a disk that takes records either, the device waits for both.
    this.#awaitRoom(lane, full);
    if (!this.#spill.begin(lane, false) || lane.copying) return lane;
    return this.#toDisk(slot, record, publication, ordinal, lane, true);
  }

  #toDisk(
    slot: number,
    record: SerializedRecord,
    { clientId, packetId, qos }: Publication,
    ordinal: number,
    lane: Lane,
    kafkaFirst: boolean,
  ): Bottleneck | SluiceError | undefined {
    const refusal = this.#deliveries.toDisk(slot, record, clientId, packetId, qos, ordinal);
    if (refusal !== undefined) {
      if (!kafkaFirst || refusal instanceof SluiceError) return refusal;
      this.#awaitDisk(lane, refusal);
      return lane;
    }
    if (this.#deliveries.wasDropped(slot)) return undefined;
    if (lane.direct) {
      const full = this.#deliveries.toProducer(slot, record);
      if (full === undefined) return undefined;
      if (full instanceof SluiceError) {
        this.#deliveries.void(slot);
        this.#voided = true;
        return full;
      }
      this.#spill.begin(lane, true);
    }
    lane.pending++;
    return undefined;
  }

  /** Hands a record that was read back to the producer; false: its lane has no room. */
  #sendBack(record: JournaledRecord, lane: Lane): boolean {
    if (lane.replayedBytes >= REPLAY_WINDOW_BYTES) {
      lane.windowFull = true;
      return false;
    }
    const account = this.#options.ledger.account(record.account);
    const { clientId, position } = record;
    const refusal = this.#deliveries.sendBack(record, clientId, position, account, lane);
    if (refusal !== undefined) {
      this.#awaitRoom(lane, refusal);
      return false;
    }
    return true;
  }

  /** The lane is told when the producer has room for it: what is read back first, then devices. */
  #awaitRoom(lane: Lane, bottleneck: Bottleneck): void {
    if (lane.awaitsRoom) return;
    lane.awaitsRoom = true;
    bottleneck.wait(() => {
      lane.awaitsRoom = false;
      this.#replay.roomFor();
      lane.wake();
    });
  }

  #awaitDisk(lane: Lane, bottleneck: Bottleneck): void {
    if (lane.awaitsDisk) return;
    lane.awaitsDisk = true;
    bottleneck.wait(() => {
      lane.awaitsDisk = false;
      lane.wake();
    });
  }
}
