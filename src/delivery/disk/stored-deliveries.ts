import { SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { Outcome } from '../../core/publication.ts';
import type { Publication, PublicationOrigin, QoS } from '../../core/publication.ts';
import type { SerializedRecord } from '../../core/record.ts';
import {
  LossLog,
  RejectedRecords,
  deadLetterTopic,
  type RejectedRecordsOptions,
  type RejectionTarget,
} from '../dead-letter.ts';
import { DeliverySlots, SlotKind } from '../delivery-slots.ts';
import { endDelivery, numberOnDisk } from '../fan-out.ts';
import { State, type Account, type Ledger } from '../ledger/ledger.ts';
import { DROPPED } from '../ports.ts';
import type {
  Bottleneck,
  Journal,
  JournaledRecord,
  JournalTarget,
  PartitionedSink,
  Position,
  RecordError,
  RecordMeta,
  RecordResult,
  RejectedRecord,
} from '../ports.ts';
import type { Lane } from './lane.ts';

export interface StoredDeliveriesOptions extends RejectedRecordsOptions {
  readonly journal: Journal;
  readonly records: PartitionedSink;
  readonly ledger: Ledger;
  readonly logger: Logger;
}

/** Who hears of what the journal and the producer said. */
export interface StoreListener {
  /** A record of this process is on the disk; `toBeRead`: and is to be read back from there. */
  journaled(position: Position, toBeRead: boolean): void;
  /** A record of a lane that is not direct has its result. */
  settled(lane: Lane): void;
}

/** What a delivery waits for; flags. */
const Awaits = {
  /** Its record is on its way to the disk. */
  Disk: 1,
  /** Its record is in the producer. */
  Kafka: 2,
  /** The delivery has ended: what is on its way to the disk is to be forgotten once it is there. */
  End: 4,
} as const;

/** Not on the disk, or not yet. */
const NOWHERE: Position = -1;

/**
 * What is on its way to the disk, to Kafka, or to both: who is told of it, when the journal may forget it, and in
 * which state of the ledger it is. Its origin hears once, of whichever confirms first.
 */
export class StoredDeliveries implements RejectionTarget, JournalTarget {
  readonly #options: StoredDeliveriesOptions;
  readonly #journal: Journal;
  readonly #records: PartitionedSink;
  readonly #slots = new DeliverySlots();
  readonly #rejected: RejectedRecords;
  readonly #losses: LossLog;
  /** Filled anew for every record; the journal copies it. */
  readonly #meta: RecordMeta = { account: '', clientId: '', packetId: 0, qos: 0, publicationNumber: 0 };
  /** Set once, before anything is delivered. */
  listener: StoreListener = { journaled: () => {}, settled: () => {} };

  constructor(options: StoredDeliveriesOptions) {
    this.#options = options;
    this.#journal = options.journal;
    this.#records = options.records;
    this.#rejected = new RejectedRecords(options, this.#slots, this);
    this.#losses = new LossLog(options);
  }

  /** Opens a delivery. Without an origin nobody is told. */
  begin(
    publication: Publication,
    account: Account,
    kind: SlotKind,
    lane: Lane,
    origin: PublicationOrigin | undefined,
    token: number,
  ): number {
    account.move(State.outside, State.open);
    const slots = this.#slots;
    const slot = slots.take(origin, token, account, kind, publication.clientId);
    slots.packetIds[slot] = publication.packetId;
    slots.qos[slot] = publication.qos;
    slots.publicationNumbers[slot] = numberOnDisk(publication, origin);
    this.#place(slot, lane, NOWHERE);
    return slot;
  }

  #place(slot: number, lane: Lane, position: Position): void {
    const slots = this.#slots;
    slots.lanes[slot] = lane;
    slots.positions[slot] = position;
    slots.awaits[slot] = 0;
    slots.replayedBytes[slot] = 0;
  }

  /** As if it had never been begun. What of it is on its way to the disk must not come back from there. */
  cancel(slot: number): void {
    const slots = this.#slots;
    (slots.accounts[slot] as Account).move(State.open, State.outside);
    if (slots.awaits[slot] === 0) {
      slots.release(slot);
    } else {
      slots.origins[slot] = undefined;
      slots.awaits[slot] = Awaits.Disk | Awaits.End;
    }
  }

  /** undefined: it is on its way to the disk, or the policy dropped it: see {@link wasDropped}. */
  toDisk(slot: number, record: SerializedRecord): Bottleneck | SluiceError | undefined {
    const slots = this.#slots;
    const meta = this.#meta;
    meta.account = (slots.accounts[slot] as Account).profile;
    meta.clientId = slots.clientIds[slot] as string;
    meta.packetId = slots.packetIds[slot] as number;
    meta.qos = slots.qos[slot] as QoS;
    meta.publicationNumber = slots.publicationNumbers[slot] as number;
    const awaits = slots.awaits[slot] as number;
    // Before the call, within which it may be dropped; but not if the producer has it.
    slots.awaits[slot] = awaits | Awaits.Disk;
    const refusal = this.#journal.append(record, meta, this, slot, awaits === 0);
    if (refusal !== undefined) slots.awaits[slot] = awaits;
    return refusal;
  }

  /** Right after {@link toDisk}: the journal's policy dropped the record within that call, and the delivery has ended. */
  wasDropped(slot: number): boolean {
    return this.#slots.awaits[slot] === 0;
  }

  /** A copy of what the producer has and no disk. */
  copyToDisk(slot: number, record: SerializedRecord): Bottleneck | SluiceError | undefined {
    const refusal = this.toDisk(slot, record);
    if (refusal === undefined) (this.#slots.lanes[slot] as Lane).recordCopied();
    return refusal;
  }

  /** Whether the record in the slot is of this lane, with the producer, and on no disk. */
  needsCopy(slot: number, lane: Lane): boolean {
    return this.#slots.lanes[slot] === lane && this.#isUncopied(slot);
  }

  #isUncopied(slot: number): boolean {
    return this.#slots.awaits[slot] === Awaits.Kafka && this.#slots.positions[slot] === NOWHERE;
  }

  toProducer(slot: number, record: SerializedRecord): Bottleneck | SluiceError | undefined {
    const refusal = this.#records.tryAppend(record, this, slot);
    if (refusal !== undefined) return refusal;
    const slots = this.#slots;
    const awaits = (slots.awaits[slot] as number) | Awaits.Kafka;
    slots.awaits[slot] = awaits;
    (slots.lanes[slot] as Lane).recordSent(awaits === Awaits.Kafka && slots.positions[slot] === NOWHERE);
    return undefined;
  }

  /**
   * Gives a record that was read back to the producer, and claims it. A {@link Bottleneck}: its lane has no room. What
   * can never be sent becomes a dead letter.
   */
  sendBack(record: JournaledRecord, lane: Lane): Bottleneck | undefined {
    const { ledger, types } = this.#options;
    const { topic, clientId, position } = record;
    const account = ledger.account(record.account);
    const isDeadLetter = deadLetterTopic(types, account.profile, topic) === topic;
    const kind = isDeadLetter ? SlotKind.DeadLetter : SlotKind.Record;
    const slots = this.#slots;
    const slot = slots.take(undefined, 0, account, kind, clientId);
    this.#place(slot, lane, position);
    const refusal = this.toProducer(slot, record);
    if (refusal !== undefined && !(refusal instanceof SluiceError)) {
      slots.release(slot);
      return refusal;
    }
    this.#journal.claim(position);
    if (refusal === undefined) {
      slots.replayedBytes[slot] = replayedBytes(record);
      lane.recordReplayed(replayedBytes(record));
    } else {
      slots.awaits[slot] = Awaits.Kafka;
      lane.recordSent(false);
      this.#failed(slot, record, topic, refusal);
    }
    return undefined;
  }

  /** The journal's word on one record (see {@link JournalTarget}). */
  recordJournaled(slot: number, position: Position): void {
    const slots = this.#slots;
    const awaits = slots.awaits[slot] as number;
    if (position === DROPPED) {
      (slots.accounts[slot] as Account).move(State.open, State.dropped);
      this.#tell(slot, Outcome.Dropped);
      slots.awaits[slot] = 0;
      slots.release(slot);
    } else if (awaits === Awaits.Disk) {
      (slots.lanes[slot] as Lane).recordJournaled(position);
      this.#onDisk(slot);
      slots.release(slot);
      this.listener.journaled(position, true);
    } else if ((awaits & Awaits.Kafka) !== 0) {
      // It is in the producer: no reader is to send it again.
      this.#journal.claim(position);
      slots.positions[slot] = position;
      slots.awaits[slot] = Awaits.Kafka;
      this.#onDisk(slot);
      this.listener.journaled(position, false);
    } else {
      // Kafka was sooner, or it became a dead letter.
      this.#journal.acknowledge(position);
      slots.release(slot);
      this.listener.journaled(position, false);
    }
  }

  #onDisk(slot: number): void {
    (this.#slots.accounts[slot] as Account).move(State.open, State.openInJournal);
    this.#tell(slot, this.#fulfilled(slot));
  }

  #fulfilled(slot: number): Outcome {
    return this.#slots.kinds[slot] === SlotKind.DeadLetter ? Outcome.DeadLettered : Outcome.Delivered;
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
    const position = slots.positions[slot] as Position;
    const awaitsDisk = slots.awaits[slot] !== Awaits.Kafka;
    const state = slots.kinds[slot] === SlotKind.DeadLetter ? State.deadLettered : State.produced;
    this.#leaveLane(slot);
    if (position === NOWHERE) {
      account.move(State.open, state);
      this.#tell(slot, this.#fulfilled(slot));
      // The disk still has to say where it is, to be told that it is done.
      if (awaitsDisk) slots.awaits[slot] = Awaits.Disk | Awaits.End;
      else slots.release(slot);
      return;
    }
    // False: its segment was dropped while it was on its way, and it was counted as dropped.
    account.move(this.#journal.acknowledge(position) ? State.openInJournal : State.dropped, state);
    slots.release(slot);
  }

  #leaveLane(slot: number): void {
    const slots = this.#slots;
    const lane = slots.lanes[slot] as Lane;
    lane.recordSettled(this.#isUncopied(slot));
    if (lane.state === 'direct') return;
    lane.recordReplayed(-(slots.replayedBytes[slot] as number));
    slots.replayedBytes[slot] = 0;
    this.listener.settled(lane);
  }

  /**
   * Kafka did not take the record. Where its device may have been acknowledged it goes to the dead letters, whatever
   * the reason; what even they don't take stays in the journal, and is tried again after a restart.
   */
  #failed(slot: number, record: RejectedRecord, topic: string, error: RecordError): void {
    const slots = this.#slots;
    const mustKeep = !this.#isUncopied(slot) || error.isRecordFault === true;
    const isLast = error.code === CLOSED || slots.kinds[slot] === SlotKind.DeadLetter || !mustKeep;
    if (isLast) this.deadLetterRefused(slot, error);
    else this.#rejected.append(slot, record, topic, error);
  }

  /** Neither Kafka nor the dead letters took it, or the producer was closed. */
  deadLetterRefused(slot: number, error: SluiceError): void {
    const slots = this.#slots;
    const account = slots.accounts[slot] as Account;
    const isNowhere = this.#isUncopied(slot);
    this.#leaveLane(slot);
    if (error.code !== CLOSED) this.#losses.say(account, error, isNowhere ? undefined : STAYS);
    if (isNowhere) {
      account.move(State.open, State.refused);
      this.#tell(slot, Outcome.Refused);
      slots.release(slot);
    } else if (slots.positions[slot] !== NOWHERE) {
      slots.release(slot);
    }
  }
}

const STAYS =
  'a record could neither be delivered nor dead-lettered: it stays in the journal, and is tried again after a restart';
/** What the producer's records fail with that it had when it was closed. */
const CLOSED = 'PRODUCER_CLOSED';
/** What a record takes beside key, value and headers, about. */
const RECORD_OVERHEAD_BYTES = 20;

function replayedBytes({ key, value, headers }: SerializedRecord): number {
  return RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0) + headers.length;
}
