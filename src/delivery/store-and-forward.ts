import type { Clock } from '../core/clock.ts';
import { SluiceError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { Outcome } from '../core/outcome.ts';
import type { Publication, PublicationOrigin } from '../core/publication.ts';
import type { SerializedRecord } from '../core/record.ts';
import { SlotKind } from './delivery-slots.ts';
import { endDelivery } from './fan-out.ts';
import {
  DROPPED,
  type Journal,
  type JournaledRecord,
  type JournalTarget,
  type Position,
  type RecordMeta,
} from './journal-port.ts';
import { Lanes, type Lane } from './lane.ts';
import type { Account, Ledger } from './ledger.ts';
import { Pacer } from './pacer.ts';
import type {
  Bottleneck,
  PartitionedSink,
  RecordError,
  RecordResult,
  RecordTarget,
  RejectedRecord,
} from './record-sink.ts';
import { RejectedRecords } from './rejected-records.ts';
import { Replay } from './replay.ts';
import { Awaits, NOWHERE, StoredSlots } from './stored-slots.ts';

/** Where records of a former process are counted until they are read. */
export const RECOVERED_ACCOUNT = '(recovered)';

export interface StoreOptions {
  readonly journal: Journal;
  readonly records: PartitionedSink;
  readonly ledger: Ledger;
  /** Where an account's records go that can't be delivered to `topic`. */
  readonly deadLetterTopic: (account: string, topic: string) => string;
  readonly replay: ReplaySettings;
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
 * little enough for live records of other contracts not to stand long behind them.
 */
const REPLAY_WINDOW_BYTES = 640 << 10;
/** What a record takes beside key, value and headers, about. */
const RECORD_OVERHEAD_BYTES = 20;

/**
 * The contracts that promise the disk. A record goes to the journal, and at once to the producer too as long as its
 * {@link Lane} is direct; its device is acknowledged when it is on the disk, and the journal forgets it when Kafka
 * has it. What the producer has no room for is read back later ({@link Replay}).
 */
export class StoreAndForward implements RecordTarget, JournalTarget {
  readonly #options: StoreOptions;
  readonly #journal: Journal;
  readonly #records: PartitionedSink;
  readonly #slots = new StoredSlots();
  readonly #lanes: Lanes;
  /** What a former process left, until it is read and its own account known. */
  readonly #recovered: Account | undefined;
  readonly #pacer: Pacer;
  readonly #replay: Replay;
  readonly #rejected: RejectedRecords;
  /** Filled anew for every record; the journal copies it. */
  readonly #meta: RecordMeta = { account: '', clientId: '', packetId: 0, qos: 0 };
  /** Set where the journal dropped a record within its append. */
  #droppedSlot = -1;
  #lastFailureLoggedMs = Number.NEGATIVE_INFINITY;

  constructor(options: StoreOptions) {
    const { journal, records, ledger, replay, clock, logger } = options;
    this.#options = options;
    this.#journal = journal;
    this.#records = records;
    const { openRecords } = journal.backlog;
    this.#lanes = new Lanes(records, openRecords > 0);
    if (openRecords > 0) {
      this.#recovered = ledger.account(RECOVERED_ACCOUNT);
      this.#recovered.opened += openRecords;
      this.#recovered.openInJournal += openRecords;
    }
    this.#rejected = new RejectedRecords(records, clock);
    this.#pacer = new Pacer({ ...replay, clock });
    this.#replay = new Replay({
      journal,
      lanes: this.#lanes,
      send: (record, lane) => this.#sendBack(record, lane),
      connected: () => records.connectionState().connectedBrokers > 0,
      pacer: this.#pacer,
      clock,
      logger,
    });
  }

  /** Begins to send what a former process left. */
  start(): void {
    this.#replay.start();
  }

  /** Reads nothing back any more. */
  stop(): void {
    this.#replay.stop();
  }

  lanes(): readonly Lane[] {
    return [...this.#lanes.all()];
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
    origin: PublicationOrigin,
    token: number,
  ): Bottleneck | SluiceError | undefined {
    this.#pacer.live++;
    const lane = this.#lanes.of(record);
    if (lane.closing) return lane;
    const slot = this.#slots.take(origin, token, account, kind, lane);
    this.#droppedSlot = -1;
    const refusal = this.#toDisk(slot, record, publication);
    if (refusal !== undefined) {
      this.#slots.release(slot);
      return refusal;
    }
    if (this.#droppedSlot === slot) return undefined;
    if (lane.direct) {
      const full = this.#records.tryAppend(record, this, slot);
      if (full === undefined) {
        lane.inFlight++;
        this.#slots.awaits[slot] = Awaits.Disk | Awaits.Kafka;
        return undefined;
      }
      if (full instanceof SluiceError) {
        this.#void(slot);
        return full;
      }
      this.#spill(lane);
    }
    lane.pending++;
    return undefined;
  }

  #toDisk(
    slot: number,
    record: SerializedRecord,
    publication: Publication,
  ): Bottleneck | SluiceError | undefined {
    const account = this.#slots.accounts[slot] as Account;
    const meta = this.#meta;
    meta.account = account.profile;
    meta.clientId = publication.clientId;
    meta.packetId = publication.packetId;
    meta.qos = publication.qos;
    // Before the call, within which it may be dropped.
    account.opened++;
    account.open++;
    this.#slots.awaits[slot] = Awaits.Disk;
    const refusal = this.#journal.append(record, meta, this, slot);
    if (refusal !== undefined) {
      account.opened--;
      account.open--;
    }
    return refusal;
  }

  /** It is on its way to the disk, and must not come back from there: a dead letter takes its place. */
  #void(slot: number): void {
    const account = this.#slots.accounts[slot] as Account;
    account.opened--;
    account.open--;
    this.#slots.origins[slot] = undefined;
    this.#slots.awaits[slot] = Awaits.Disk | Awaits.Void;
  }

  /** The journal's policy dropped what was on the disk, by account. */
  dropped(profile: string, records: number): void {
    const account = this.#options.ledger.account(profile);
    account.openInJournal -= records;
    account.dropped += records;
  }

  #spill(lane: Lane): void {
    lane.direct = false;
    lane.moved = false;
    this.#lanes.indirect.add(lane);
  }

  /** The journal's word on one record (see {@link JournalTarget}). */
  recordJournaled(slot: number, position: Position): void {
    const slots = this.#slots;
    const awaits = slots.awaits[slot] as number;
    const account = slots.accounts[slot] as Account;
    if (position === DROPPED) {
      account.open--;
      account.dropped++;
      this.#droppedSlot = slot;
      this.#tell(slot, Outcome.Dropped);
      slots.release(slot);
      return;
    }
    this.#replay.journaled(position);
    if (awaits === Awaits.Disk) {
      const lane = slots.lanes[slot] as Lane;
      lane.pending--;
      lane.last = position;
      this.#onDisk(slot, account);
      slots.release(slot);
      this.#replay.follow(position);
    } else if ((awaits & Awaits.Kafka) !== 0) {
      // It is in the producer: no reader is to send it again.
      this.#journal.claim(position);
      slots.positions[slot] = position;
      slots.awaits[slot] = Awaits.Kafka;
      this.#onDisk(slot, account);
    } else {
      // Kafka was sooner, or it became a dead letter.
      this.#journal.acknowledge(position);
      slots.release(slot);
    }
  }

  #onDisk(slot: number, account: Account): void {
    account.open--;
    account.openInJournal++;
    this.#tell(
      slot,
      this.#slots.kinds[slot] === SlotKind.DeadLetter ? Outcome.DeadLettered : Outcome.Delivered,
    );
  }

  /** The origin hears once. */
  #tell(slot: number, outcome: Outcome): void {
    const slots = this.#slots;
    const origin = slots.origins[slot];
    if (origin === undefined) return;
    slots.origins[slot] = undefined;
    endDelivery(origin, slots.tokens[slot] as number, slots.accounts[slot] as Account, outcome);
  }

  /** The producer's word on one record (see {@link RecordTarget}). */
  recordCompleted(slot: number, result: RecordResult, index: number): void {
    if (result.error !== undefined) {
      this.#failed(slot, result.record(index), result.topic, result.error);
      return;
    }
    const slots = this.#slots;
    const account = slots.accounts[slot] as Account;
    const deadLetter = slots.kinds[slot] === SlotKind.DeadLetter;
    const position = slots.positions[slot] as Position;
    if (deadLetter) account.deadLettered++;
    else account.produced++;
    this.#leaveLane(slot);
    if (position === NOWHERE) {
      // The disk still has to say where it is, to be told that it is done.
      account.open--;
      slots.awaits[slot] = Awaits.Disk | Awaits.Void;
      this.#tell(slot, deadLetter ? Outcome.DeadLettered : Outcome.Delivered);
      return;
    }
    this.#forget(position, account);
    slots.release(slot);
  }

  /** The record needs its place on the disk no more. */
  #forget(position: Position, account: Account): void {
    if (this.#journal.acknowledge(position)) account.openInJournal--;
    // Its segment was dropped while it was on its way, and it was counted as dropped.
    else account.dropped--;
  }

  #leaveLane(slot: number): void {
    const lane = this.#slots.lanes[slot] as Lane;
    lane.inFlight--;
    if (lane.direct) return;
    lane.replayedBytes -= this.#slots.replayedBytes[slot] as number;
    this.#slots.replayedBytes[slot] = 0;
    lane.windowFull = false;
    lane.moved = true;
    this.#replay.changed();
  }

  /** Hands a record that was read back to the producer; false: its lane has no room. */
  #sendBack(record: JournaledRecord, lane: Lane): boolean {
    if (lane.replayedBytes >= REPLAY_WINDOW_BYTES) {
      lane.windowFull = true;
      return false;
    }
    const { account: profile, topic, position } = record;
    const account = this.#options.ledger.account(profile);
    const isDeadLetter = this.#options.deadLetterTopic(profile, topic) === topic;
    const kind = isDeadLetter ? SlotKind.DeadLetter : SlotKind.Record;
    const slot = this.#slots.take(undefined, 0, account, kind, lane);
    this.#slots.awaits[slot] = Awaits.Kafka;
    this.#slots.positions[slot] = position;
    const refusal = this.#records.tryAppend(record, this, slot);
    if (refusal !== undefined && !(refusal instanceof SluiceError)) {
      this.#slots.release(slot);
      this.#awaitRoom(lane, refusal);
      return false;
    }
    this.#journal.claim(position);
    if (this.#replay.isRecovered(position)) this.#adopt(account);
    lane.inFlight++;
    if (refusal !== undefined) {
      this.#failed(slot, record, topic, refusal);
      return true;
    }
    const bytes = RECORD_OVERHEAD_BYTES + (record.key?.length ?? 0) + (record.value?.length ?? 0);
    this.#slots.replayedBytes[slot] = bytes + record.headers.length;
    lane.replayedBytes += bytes + record.headers.length;
    return true;
  }

  /** A record of a former process goes on the account that it was on. */
  #adopt(account: Account): void {
    if (this.#recovered === undefined) return;
    this.#recovered.opened--;
    this.#recovered.openInJournal--;
    account.opened++;
    account.openInJournal++;
  }

  #awaitRoom(lane: Lane, bottleneck: Bottleneck): void {
    if (lane.awaitsRoom) return;
    lane.awaitsRoom = true;
    bottleneck.wait(() => {
      this.#replay.roomFor(lane);
    });
  }

  /**
   * Kafka did not take the record. Its device may have been acknowledged, so it goes to the dead letters whatever the
   * reason; what even they don't take stays in the journal, and is tried again after a restart.
   */
  #failed(slot: number, record: RejectedRecord, topic: string, error: RecordError): void {
    const slots = this.#slots;
    const { profile } = slots.accounts[slot] as Account;
    if (error.code === CLOSED || slots.kinds[slot] === SlotKind.DeadLetter) {
      this.#giveUp(slot, error);
      return;
    }
    slots.kinds[slot] = SlotKind.DeadLetter;
    this.#rejected.append({
      record,
      topic,
      deadLetterTopic: this.#options.deadLetterTopic(profile, topic),
      fault: error,
      target: this,
      token: slot,
      onRefused: (refusal) => {
        this.#giveUp(slot, refusal);
      },
    });
  }

  /** Neither Kafka nor the dead letters took it, or the producer was closed: it is still on the disk, or will be. */
  #giveUp(slot: number, error: SluiceError): void {
    const slots = this.#slots;
    this.#leaveLane(slot);
    if (error.code !== CLOSED) this.#logFailure(slots.accounts[slot] as Account, error);
    if (slots.positions[slot] === NOWHERE) slots.awaits[slot] = Awaits.Kafka | Awaits.Disk;
    else slots.release(slot);
  }

  #logFailure({ profile }: Account, error: SluiceError): void {
    const now = this.#options.clock.monotonicMs();
    if (now - this.#lastFailureLoggedMs < 1_000) return;
    this.#lastFailureLoggedMs = now;
    this.#options.logger.error(
      { type: profile, code: error.code, reason: error.message },
      'a record could neither be delivered nor dead-lettered: it stays in the journal, and is tried again after a restart',
    );
  }
}

/** What the producer's records fail with that it had when it was closed. */
const CLOSED = 'PRODUCER_CLOSED';
