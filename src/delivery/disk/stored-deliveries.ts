import type { Clock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { Outcome } from '../../core/publication.ts';
import type { PublicationOrigin, QoS } from '../../core/publication.ts';
import type { SerializedRecord } from '../../core/record.ts';
import { SlotKind } from '../delivery-slots.ts';
import { endDelivery } from '../fan-out.ts';
import { DROPPED, type Journal, type JournalTarget, type Position, type RecordMeta } from './journal-port.ts';
import type { Lane } from './lane.ts';
import type { Account } from '../ledger/ledger.ts';
import type {
  Bottleneck,
  PartitionedSink,
  RecordError,
  RecordResult,
  RecordTarget,
  RejectedRecord,
} from '../record-sink.ts';
import { RejectedRecords } from '../rejected-records.ts';
import { Awaits, NOWHERE, StoredSlots } from './stored-slots.ts';

export interface StoredDeliveriesOptions {
  readonly journal: Journal;
  readonly records: PartitionedSink;
  /** Where an account's records go that can't be delivered to `topic`. */
  readonly deadLetterTopic: (account: string, topic: string) => string;
  /** The topic pattern of an account's route; undefined: not known any more. */
  readonly routePattern: (account: string) => string | undefined;
  /** A record of this process is on the disk; `toBeRead`: and is to be read back from there. */
  readonly onJournaled: (position: Position, toBeRead: boolean) => void;
  /** A record of a lane that is not direct has its result. */
  readonly onSettled: (lane: Lane) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * What is on its way to the disk, to Kafka, or to both: who is told of it, when the journal may forget it, and in
 * which state of the ledger it is. Its origin hears once, of whichever confirms first.
 */
export class StoredDeliveries implements RecordTarget, JournalTarget {
  readonly #options: StoredDeliveriesOptions;
  readonly #journal: Journal;
  readonly #records: PartitionedSink;
  readonly #slots = new StoredSlots();
  readonly #rejected: RejectedRecords;
  /** Filled anew for every record; the journal copies it. */
  readonly #meta: RecordMeta = { account: '', clientId: '', packetId: 0, qos: 0, ordinal: 0 };
  /** Set where the journal dropped a record within its append. */
  #droppedSlot = -1;
  #lastFailureLoggedMs = Number.NEGATIVE_INFINITY;

  constructor(options: StoredDeliveriesOptions) {
    this.#options = options;
    this.#journal = options.journal;
    this.#records = options.records;
    this.#rejected = new RejectedRecords(options.records, options.clock);
  }

  /** Opens a delivery. Without an origin nobody is told. */
  begin(
    origin: PublicationOrigin | undefined,
    token: number,
    account: Account,
    kind: SlotKind,
    lane: Lane,
  ): number {
    account.opened++;
    account.open++;
    return this.#slots.take(origin, token, account, kind, lane);
  }

  /** As if it had never been begun: it found no room. */
  cancel(slot: number): void {
    const account = this.#slots.accounts[slot] as Account;
    account.opened--;
    account.open--;
    this.#slots.release(slot);
  }

  /** Whose publication it is, for a copy that may be wanted later. */
  remember(slot: number, clientId: string, packetId: number, qos: QoS, ordinal: number): void {
    this.#slots.clientIds[slot] = clientId;
    this.#slots.packetIds[slot] = packetId;
    this.#slots.qos[slot] = qos;
    this.#slots.ordinals[slot] = ordinal;
  }

  /** undefined: it is on its way to the disk, or the policy dropped it: see {@link wasDropped}. */
  toDisk(
    slot: number,
    record: SerializedRecord,
    clientId: string,
    packetId: number,
    qos: QoS,
    ordinal: number,
  ): Bottleneck | SluiceError | undefined {
    const slots = this.#slots;
    const meta = this.#meta;
    meta.account = (slots.accounts[slot] as Account).profile;
    meta.clientId = clientId;
    slots.clientIds[slot] = clientId;
    meta.packetId = packetId;
    meta.qos = qos;
    meta.ordinal = ordinal;
    this.#droppedSlot = -1;
    const awaits = slots.awaits[slot] as number;
    // Before the call, within which it may be dropped; but not if the producer has it.
    slots.awaits[slot] = awaits | Awaits.Disk;
    const refusal = this.#journal.append(record, meta, this, slot, awaits === 0);
    if (refusal !== undefined) slots.awaits[slot] = awaits;
    return refusal;
  }

  /** A copy of what the producer has and no disk: see {@link remember}. */
  copyToDisk(slot: number, record: SerializedRecord): Bottleneck | SluiceError | undefined {
    const { clientIds, packetIds, qos, ordinals, lanes } = this.#slots;
    const refusal = this.toDisk(
      slot,
      record,
      clientIds[slot] as string,
      packetIds[slot] as number,
      qos[slot] as QoS,
      ordinals[slot] as number,
    );
    if (refusal === undefined) (lanes[slot] as Lane).uncopied--;
    return refusal;
  }

  needsCopy(slot: number, lane: Lane): boolean {
    return this.#slots.lanes[slot] === lane && this.#isUncopied(slot);
  }

  #isUncopied(slot: number): boolean {
    return this.#slots.awaits[slot] === Awaits.Kafka && this.#slots.positions[slot] === NOWHERE;
  }

  wasDropped(slot: number): boolean {
    return this.#droppedSlot === slot;
  }

  toProducer(slot: number, record: SerializedRecord): Bottleneck | SluiceError | undefined {
    const refusal = this.#records.tryAppend(record, this, slot);
    if (refusal !== undefined) return refusal;
    const slots = this.#slots;
    slots.awaits[slot] = (slots.awaits[slot] as number) | Awaits.Kafka;
    (slots.lanes[slot] as Lane).sent++;
    return undefined;
  }

  /** It is on its way to the disk, and must not come back from there: a dead letter takes its place. */
  void(slot: number): void {
    const account = this.#slots.accounts[slot] as Account;
    account.opened--;
    account.open--;
    this.#slots.origins[slot] = undefined;
    this.#slots.awaits[slot] = Awaits.Disk | Awaits.Void;
  }

  /**
   * Gives a record that was read back to the producer, and claims it. A {@link Bottleneck}: its lane has no room. What
   * can never be sent becomes a dead letter.
   */
  sendBack(
    record: SerializedRecord,
    clientId: string,
    position: Position,
    account: Account,
    lane: Lane,
  ): Bottleneck | undefined {
    const { deadLetterTopic } = this.#options;
    const { topic } = record;
    const kind = deadLetterTopic(account.profile, topic) === topic ? SlotKind.DeadLetter : SlotKind.Record;
    const slots = this.#slots;
    const slot = slots.take(undefined, 0, account, kind, lane);
    slots.positions[slot] = position;
    slots.clientIds[slot] = clientId;
    const refusal = this.toProducer(slot, record);
    if (refusal !== undefined && !(refusal instanceof SluiceError)) {
      slots.release(slot);
      return refusal;
    }
    this.#journal.claim(position);
    if (refusal === undefined) {
      slots.replayedBytes[slot] = replayedBytes(record);
      lane.replayedBytes += replayedBytes(record);
    } else {
      slots.awaits[slot] = Awaits.Kafka;
      lane.sent++;
      this.#failed(slot, record, topic, refusal);
    }
    return undefined;
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
    } else if (awaits === Awaits.Disk) {
      const lane = slots.lanes[slot] as Lane;
      lane.pending--;
      lane.last = position;
      this.#onDisk(slot, account);
      slots.release(slot);
      this.#options.onJournaled(position, true);
    } else if ((awaits & Awaits.Kafka) !== 0) {
      // It is in the producer: no reader is to send it again.
      this.#journal.claim(position);
      slots.positions[slot] = position;
      slots.awaits[slot] = Awaits.Kafka;
      this.#onDisk(slot, account);
      this.#options.onJournaled(position, false);
    } else {
      // Kafka was sooner, or it became a dead letter.
      this.#journal.acknowledge(position);
      slots.release(slot);
      this.#options.onJournaled(position, false);
    }
  }

  #onDisk(slot: number, account: Account): void {
    account.open--;
    account.openInJournal++;
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
    if (slots.kinds[slot] === SlotKind.DeadLetter) account.deadLettered++;
    else account.produced++;
    this.#leaveLane(slot);
    if (position === NOWHERE) {
      account.open--;
      this.#tell(slot, this.#fulfilled(slot));
      // The disk still has to say where it is, to be told that it is done.
      if (awaitsDisk) slots.awaits[slot] = Awaits.Disk | Awaits.Void;
      else slots.release(slot);
      return;
    }
    if (this.#journal.acknowledge(position)) account.openInJournal--;
    // Its segment was dropped while it was on its way, and it was counted as dropped.
    else account.dropped--;
    slots.release(slot);
  }

  #leaveLane(slot: number): void {
    const slots = this.#slots;
    const lane = slots.lanes[slot] as Lane;
    lane.settled++;
    if (this.#isUncopied(slot)) lane.uncopied--;
    if (lane.direct) return;
    lane.replayedBytes -= slots.replayedBytes[slot] as number;
    slots.replayedBytes[slot] = 0;
    lane.windowFull = false;
    lane.moved = true;
    this.#options.onSettled(lane);
  }

  /**
   * Kafka did not take the record. Where its device may have been acknowledged it goes to the dead letters, whatever
   * the reason; what even they don't take stays in the journal, and is tried again after a restart.
   */
  #failed(slot: number, record: RejectedRecord, topic: string, error: RecordError): void {
    const slots = this.#slots;
    const { profile } = slots.accounts[slot] as Account;
    const mustKeep = !this.#isUncopied(slot) || error.isRecordFault === true;
    if (error.code === CLOSED || slots.kinds[slot] === SlotKind.DeadLetter || !mustKeep) {
      this.#giveUp(slot, error);
      return;
    }
    slots.kinds[slot] = SlotKind.DeadLetter;
    this.#rejected.append({
      record,
      topic,
      deadLetterTopic: this.#options.deadLetterTopic(profile, topic),
      fault: error,
      source: {
        profile,
        pattern: this.#options.routePattern(profile),
        clientId: slots.clientIds[slot] ?? '',
      },
      target: this,
      token: slot,
      onRefused: (refusal) => {
        this.#giveUp(slot, refusal);
      },
    });
  }

  /** Neither Kafka nor the dead letters took it, or the producer was closed. */
  #giveUp(slot: number, error: SluiceError): void {
    const slots = this.#slots;
    const account = slots.accounts[slot] as Account;
    const isNowhere = this.#isUncopied(slot);
    this.#leaveLane(slot);
    if (error.code !== CLOSED) this.#logFailure(account, error, isNowhere);
    if (isNowhere) {
      account.open--;
      account.refused++;
      this.#tell(slot, Outcome.Refused);
      slots.release(slot);
    } else if (slots.positions[slot] !== NOWHERE) {
      slots.release(slot);
    }
  }

  #logFailure({ profile }: Account, error: SluiceError, isNowhere: boolean): void {
    const now = this.#options.clock.monotonicMs();
    if (now - this.#lastFailureLoggedMs < 1_000) return;
    this.#lastFailureLoggedMs = now;
    this.#options.logger.error(
      { type: profile, code: error.code, reason: error.message },
      isNowhere
        ? 'a record could not be delivered; its device is not acknowledged'
        : 'a record could neither be delivered nor dead-lettered: it stays in the journal, and is tried again after a restart',
    );
  }
}

/** What the producer's records fail with that it had when it was closed. */
const CLOSED = 'PRODUCER_CLOSED';
/** What a record takes beside key, value and headers, about. */
const RECORD_OVERHEAD_BYTES = 20;

function replayedBytes({ key, value, headers }: SerializedRecord): number {
  return RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0) + headers.length;
}
