import type { Clock } from '../core/clock.ts';
import type { SluiceError } from '../core/errors.ts';
import { Outcome } from '../core/publication.ts';
import type { Publication, PublicationOrigin } from '../core/publication.ts';
import type { SerializedRecord } from '../core/record.ts';
import { DeliverySlots, SlotKind } from './delivery-slots.ts';
import { endDelivery } from './fan-out.ts';
import type { Account } from './ledger/ledger.ts';
import type { Bottleneck, RecordResult, RecordSink, RecordTarget } from './record-sink.ts';
import { RejectedRecords } from './rejected-records.ts';

export interface DirectDeliveriesOptions {
  readonly records: RecordSink;
  /** Where an account's records go that Kafka refuses. */
  readonly deadLetterTopic: (account: string, topic: string) => string;
  /** The topic pattern of an account's route; undefined: not known any more. */
  readonly routePattern: (account: string) => string | undefined;
  /** Neither Kafka nor the dead letters took a record. */
  readonly onFailed: (account: Account, error: SluiceError) => void;
  readonly clock: Clock;
}

/** What is with the producer and on no disk: who is told what became of it, and in which state of the ledger it is. */
export class DirectDeliveries implements RecordTarget {
  readonly #options: DirectDeliveriesOptions;
  readonly #slots = new DeliverySlots();
  readonly #rejected: RejectedRecords;

  constructor(options: DirectDeliveriesOptions) {
    this.#options = options;
    this.#rejected = new RejectedRecords(options.records, options.clock);
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
    const slot = this.#slots.take(origin, token, account, kind, publication);
    const refusal = this.#options.records.tryAppend(record, this, slot);
    if (refusal !== undefined) {
      this.#slots.release(slot);
      return refusal;
    }
    account.opened++;
    account.open++;
    return undefined;
  }

  /** The producer's word on one record (see {@link RecordTarget}). */
  recordCompleted(slot: number, result: RecordResult, index: number): void {
    const { error } = result;
    if (error !== undefined) {
      if (error.isRecordFault && this.#slots.kind(slot) === SlotKind.Record)
        this.#reject(slot, result, index, error);
      else this.#fail(slot, error);
      return;
    }
    const account = this.#slots.account(slot);
    const origin = this.#slots.origin(slot);
    const token = this.#slots.token(slot);
    const deadLetter = this.#slots.kind(slot) === SlotKind.DeadLetter;
    this.#slots.release(slot);
    account.open--;
    if (deadLetter) account.deadLettered++;
    else account.produced++;
    if (origin === undefined) return;
    endDelivery(origin, token, account, deadLetter ? Outcome.DeadLettered : Outcome.Delivered);
  }

  /** Kafka will never take the record: its dead letter takes its place. */
  #reject(slot: number, result: RecordResult, index: number, fault: SluiceError): void {
    const { deadLetterTopic, routePattern } = this.#options;
    const { topic } = result;
    const { profile } = this.#slots.account(slot);
    this.#slots.becomeDeadLetter(slot);
    this.#rejected.append({
      record: result.record(index),
      topic,
      deadLetterTopic: deadLetterTopic(profile, topic),
      fault,
      source: { ...this.#slots.source(slot), profile, pattern: routePattern(profile) },
      target: this,
      token: slot,
      onRefused: (refusal) => {
        this.#fail(slot, refusal);
      },
    });
  }

  /** Neither Kafka nor the dead letters hold it: the device must not be acknowledged. */
  #fail(slot: number, error: SluiceError): void {
    const account = this.#slots.account(slot);
    const origin = this.#slots.origin(slot);
    const token = this.#slots.token(slot);
    this.#slots.release(slot);
    account.open--;
    if (origin === undefined) account.lostByContract++;
    else account.refused++;
    this.#options.onFailed(account, error);
    if (origin !== undefined) endDelivery(origin, token, account, Outcome.Refused);
  }
}
