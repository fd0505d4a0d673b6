import type { SluiceError } from '../core/errors.ts';
import { Outcome } from '../core/publication.ts';
import type { Publication, PublicationOrigin } from '../core/publication.ts';
import type { SerializedRecord } from '../core/record.ts';
import {
  RejectedRecords,
  type LossLog,
  type RejectedRecordsOptions,
  type RejectionTarget,
} from './dead-letter.ts';
import { DeliverySlots, SlotKind } from './delivery-slots.ts';
import { endDelivery } from './fan-out.ts';
import { State, type Account } from './ledger/ledger.ts';
import type { Bottleneck, RecordResult, RecordSink } from './ports.ts';

/** What is with the producer and on no disk: who is told what became of it, and in which state of the ledger it is. */
export class DirectDeliveries implements RejectionTarget {
  readonly #records: RecordSink;
  readonly #slots = new DeliverySlots();
  readonly #rejected: RejectedRecords;
  readonly #losses: LossLog;

  constructor(options: RejectedRecordsOptions, losses: LossLog) {
    this.#records = options.records;
    this.#rejected = new RejectedRecords(options, this.#slots, this);
    this.#losses = losses;
  }

  /**
   * Opens a delivery. undefined: taken, and its origin hears of its end; without one nobody is told. A
   * {@link Bottleneck}: no room, nothing was kept. An error: it can never be sent.
   */
  append(
    record: SerializedRecord,
    publication: Publication,
    account: Account,
    kind: SlotKind,
    origin: PublicationOrigin | undefined,
    token: number,
  ): Bottleneck | SluiceError | undefined {
    const slots = this.#slots;
    const slot = slots.take(origin, token, account, kind, publication.clientId);
    slots.topics[slot] = publication.topic;
    slots.receivedAtMs[slot] = publication.receivedAtMs;
    const refusal = this.#records.tryAppend(record, this, slot);
    if (refusal !== undefined) {
      slots.release(slot);
      return refusal;
    }
    account.move(State.outside, State.open);
    return undefined;
  }

  /** The producer's word on one record (see {@link RecordTarget}). */
  recordCompleted(slot: number, result: RecordResult, index: number): void {
    const { error } = result;
    const slots = this.#slots;
    const isDeadLetter = slots.kinds[slot] === SlotKind.DeadLetter;
    if (error !== undefined) {
      // Kafka will never take the record: its dead letter takes its place.
      if (error.isRecordFault && !isDeadLetter) {
        this.#rejected.append(slot, result.record(index), result.topic, error);
      } else this.deadLetterRefused(slot, error);
      return;
    }
    const origin = slots.origins[slot];
    const token = slots.tokens[slot] as number;
    const account = slots.accounts[slot] as Account;
    slots.release(slot);
    account.move(State.open, isDeadLetter ? State.deadLettered : State.produced);
    if (origin === undefined) return;
    endDelivery(origin, token, account, isDeadLetter ? Outcome.DeadLettered : Outcome.Delivered);
  }

  /** Neither Kafka nor the dead letters hold it: the device must not be acknowledged. */
  deadLetterRefused(slot: number, error: SluiceError): void {
    const slots = this.#slots;
    const account = slots.accounts[slot] as Account;
    const origin = slots.origins[slot];
    const token = slots.tokens[slot] as number;
    slots.release(slot);
    account.move(State.open, origin === undefined ? State.lostByContract : State.refused);
    this.#losses.say(account, error);
    if (origin !== undefined) endDelivery(origin, token, account, Outcome.Refused);
  }
}
