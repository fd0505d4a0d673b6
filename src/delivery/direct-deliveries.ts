import type { Clock } from '../core/clock.ts';
import type { SluiceError } from '../core/errors.ts';
import { Outcome } from '../core/publication.ts';
import type { Publication, PublicationOrigin, Topic } from '../core/publication.ts';
import type { SerializedRecord } from '../core/record.ts';
import { NOT_DELIVERED, RejectedRecords, type DeviceTypes, type LossLog } from './dead-letter.ts';
import { DeliverySlots, SlotKind } from './delivery-slots.ts';
import { endDelivery } from './fan-out.ts';
import { State, type Account } from './ledger/ledger.ts';
import type { Bottleneck, RecordResult, RecordSink, RecordTarget } from './ports.ts';

export interface DirectDeliveriesOptions {
  readonly records: RecordSink;
  readonly types: DeviceTypes;
  readonly losses: LossLog;
  readonly clock: Clock;
}

/** What is with the producer and on no disk: who is told what became of it, and in which state of the ledger it is. */
export class DirectDeliveries implements RecordTarget {
  readonly #records: RecordSink;
  readonly #slots = new DeliverySlots();
  readonly #rejected: RejectedRecords;
  readonly #losses: LossLog;

  constructor({ records, types, losses, clock }: DirectDeliveriesOptions) {
    this.#records = records;
    this.#rejected = new RejectedRecords(records, types, clock);
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
      if (error.isRecordFault && !isDeadLetter) this.#reject(slot, result, index, error);
      else this.#fail(slot, error);
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

  /** Kafka will never take the record: its dead letter takes its place. */
  #reject(slot: number, result: RecordResult, index: number, fault: SluiceError): void {
    const slots = this.#slots;
    slots.kinds[slot] = SlotKind.DeadLetter;
    this.#rejected.append({
      record: result.record(index),
      topic: result.topic,
      fault,
      profile: (slots.accounts[slot] as Account).profile,
      clientId: slots.clientIds[slot] as string,
      mqttTopic: (slots.topics[slot] as Topic).name,
      receivedAtMs: slots.receivedAtMs[slot] as number,
      target: this,
      token: slot,
      onRefused: (refusal) => {
        this.#fail(slot, refusal);
      },
    });
  }

  /** Neither Kafka nor the dead letters hold it: the device must not be acknowledged. */
  #fail(slot: number, error: SluiceError): void {
    const slots = this.#slots;
    const account = slots.accounts[slot] as Account;
    const origin = slots.origins[slot];
    const token = slots.tokens[slot] as number;
    slots.release(slot);
    account.move(State.open, origin === undefined ? State.lostByContract : State.refused);
    this.#losses.say(account, error, NOT_DELIVERED);
    if (origin !== undefined) endDelivery(origin, token, account, Outcome.Refused);
  }
}
