import type { Clock } from '../core/clock.ts';
import { SluiceError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Metric } from '../core/metric.ts';
import { Outcome } from '../core/outcome.ts';
import type { Publication, PublicationOrigin, PublicationSink } from '../core/publication.ts';
import { NO_HEADERS, type SerializedRecord } from '../core/record.ts';
import {
  deadLetterTopicOf,
  FILTERED,
  needsDisk,
  NOT_READY,
  REFUSED,
  type DecodeFault,
  type Route,
} from '../core/route.ts';
import type { Topic } from '../core/topic.ts';
import { toDeadLetter } from './dead-letter.ts';
import { DeliverySlots, SlotKind } from './delivery-slots.ts';
import { endDelivery, FanOut } from './fan-out.ts';
import { Ledger, type Account } from './ledger.ts';
import type { RecordResult, RecordSink, RecordTarget } from './record-sink.ts';
import { RejectedRecords } from './rejected-records.ts';
import type { StoreAndForward } from './store-and-forward.ts';
import { UnroutedTopics, type UnroutedPolicy } from './unrouted-topics.ts';

/** The account of publications that no profile matches, where the policy dead-letters them. */
export const UNROUTED_ACCOUNT = '(unrouted)';

const UNROUTED_FAULT: DecodeFault = {
  code: 'UNROUTED',
  message: "no device profile's topic pattern matches this topic",
};

export interface DeliveryOptions {
  /** The routes of a topic, in order; none when no profile matches. Called a message: it must be a cache. */
  readonly resolve: (topic: Topic) => readonly Route[];
  readonly records: RecordSink;
  /** Where a profile's records go that Kafka itself refuses; left out, or undefined, to the record's topic + `.dlq`. */
  readonly deadLetterTopicOfProfile?: (profile: string) => string | undefined;
  readonly unrouted: { readonly policy: UnroutedPolicy; readonly deadLetterTopic: string };
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Fulfils each route's contract: turns publications into records, or into dead letters, hands them to the
 * producer, and lets a device be acknowledged when what its route promises is true.
 */
export class Delivery implements PublicationSink, RecordTarget {
  readonly ledger = new Ledger();
  readonly #unroutedTopics: UnroutedTopics;
  readonly #options: DeliveryOptions;
  readonly #slots = new DeliverySlots();
  /** Filled anew for every publication; the producer copies what it takes. */
  readonly #record: SerializedRecord = {
    topic: '',
    key: null,
    value: null,
    timestampMs: 0,
    headers: NO_HEADERS,
  };
  /** Publications that found no room for all their records. An origin has one at most, and may just go away. */
  #halted = new WeakMap<PublicationOrigin, FanOut>();
  readonly #rejected: RejectedRecords;
  #store: StoreAndForward | undefined;
  #lastFailureLoggedMs = Number.NEGATIVE_INFINITY;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#rejected = new RejectedRecords(options.records, options.clock);
    this.#unroutedTopics = new UnroutedTopics(options.unrouted.policy, options.clock, options.logger);
  }

  /**
   * `resolve` answers otherwise from now on. Publications that found no room for all their records begin anew with
   * their new routes: records that are on their way already may then come twice, and none is left waiting for a
   * topic that no profile names any more.
   */
  routesChanged(): void {
    this.#halted = new WeakMap();
  }

  /** What keeps the contracts that promise the disk; before any publication of theirs comes. */
  connectStore(store: StoreAndForward): void {
    this.#store = store;
  }

  accept(publication: Publication, origin: PublicationOrigin, token: number): boolean {
    const routes = this.#options.resolve(publication.topic);
    const route = routes[0];
    if (route === undefined) return this.#acceptUnrouted(publication, origin, token);
    if (routes.length > 1 || route.batch !== undefined) {
      return this.#acceptFanOut(publication, routes, origin, token);
    }
    return this.#acceptRecord(publication, route, origin, token);
  }

  /** Several records, of which each is delivered like an only one; see {@link FanOut}. */
  #acceptFanOut(
    publication: Publication,
    routes: readonly Route[],
    origin: PublicationOrigin,
    token: number,
  ): boolean {
    let fanOut = this.#halted.get(origin);
    if (fanOut?.isOf(publication) !== true) fanOut = new FanOut(publication, routes, origin);
    for (let route = fanOut.route; route !== undefined; route = fanOut.route) {
      if (!this.#acceptReadings(publication, route, fanOut)) {
        this.#halted.set(origin, fanOut);
        return false;
      }
      fanOut.routeDone();
    }
    this.#halted.delete(origin);
    fanOut.allBegun(token);
    return true;
  }

  /** What is left of the publication's readings on one route. */
  #acceptReadings(publication: Publication, route: Route, fanOut: FanOut): boolean {
    const { batch } = route;
    if (batch === undefined) {
      const taken = this.#acceptRecord(publication, route, fanOut, 0);
      if (taken) fanOut.begun();
      return taken;
    }
    const opened = batch.open(publication);
    if (typeof opened !== 'number') {
      const taken = this.#acceptWithoutRecord(publication, route, opened, fanOut, 0);
      if (taken) fanOut.begun();
      return taken;
    }
    fanOut.readings = opened;
    try {
      for (; fanOut.nextReading < opened; fanOut.nextReading++) {
        batch.select(fanOut.nextReading);
        if (!this.#acceptRecord(publication, route, fanOut, 0)) return false;
        fanOut.begun();
      }
    } finally {
      batch.close();
    }
    return true;
  }

  #acceptRecord(publication: Publication, route: Route, origin: PublicationOrigin, token: number): boolean {
    const fault = route.toRecord(publication, this.#record);
    if (fault !== undefined) return this.#acceptWithoutRecord(publication, route, fault, origin, token);

    if (needsDisk(route.contract)) return this.#acceptStored(publication, route, origin, token);
    const account = this.ledger.account(route.profile);
    const onReceipt = route.contract === 'receive';
    const slot = this.#slots.take(onReceipt ? undefined : origin, token, account, SlotKind.Record);
    const refusal = this.#options.records.tryAppend(this.#record, this, slot);
    if (refusal === undefined) {
      route.taken();
      account.opened++;
      account.open++;
      if (onReceipt) endDelivery(origin, token, account, Outcome.Delivered);
      return true;
    }
    this.#slots.release(slot);
    if (refusal instanceof SluiceError) {
      return this.#deadLetter(
        publication,
        route,
        { code: refusal.code, message: refusal.message },
        origin,
        token,
      );
    }
    refusal.wait(() => {
      origin.resume();
    });
    return false;
  }

  /** The record that stands in the shared one, by way of the disk. */
  #acceptStored(publication: Publication, route: Route, origin: PublicationOrigin, token: number): boolean {
    const account = this.ledger.account(route.profile);
    const refusal = this.#storeOf(route).append(
      this.#record,
      publication,
      account,
      SlotKind.Record,
      route.contract === 'kafka-or-journal',
      origin,
      token,
    );
    if (refusal === undefined) {
      route.taken();
      return true;
    }
    if (refusal instanceof SluiceError) return this.#deadLetter(publication, route, refusal, origin, token);
    refusal.wait(() => {
      origin.resume();
    });
    return false;
  }

  #storeOf({ profile, contract }: Route): StoreAndForward {
    if (this.#store === undefined)
      throw new Error(`${profile} promises ${contract}, and there is no journal`);
    return this.#store;
  }

  /** What a route says of a publication that is no record: nothing is wrong with it, or it is a dead letter. */
  #acceptWithoutRecord(
    publication: Publication,
    route: Route,
    verdict: DecodeFault,
    origin: PublicationOrigin,
    token: number,
  ): boolean {
    if (verdict === NOT_READY) {
      route.whenReady(() => {
        origin.resume();
      });
      return false;
    }
    if (verdict !== FILTERED && verdict !== REFUSED) {
      return this.#deadLetter(publication, route, verdict, origin, token);
    }
    const account = this.ledger.account(route.profile);
    account.opened++;
    route.taken();
    if (verdict === REFUSED) {
      account.refused++;
      endDelivery(origin, token, account, Outcome.Refused);
    } else {
      account.filtered++;
      endDelivery(origin, token, account, Outcome.Filtered);
    }
    return true;
  }

  #acceptUnrouted(publication: Publication, origin: PublicationOrigin, token: number): boolean {
    const { policy, deadLetterTopic } = this.#options.unrouted;
    if (policy === 'dead-letter') {
      toDeadLetter(publication, deadLetterTopic, undefined, UNROUTED_FAULT, this.#record);
      const taken = this.#appendDeadLetter(UNROUTED_ACCOUNT, origin, token);
      if (taken) this.#unroutedTopics.count(publication.topic.name);
      return taken;
    }
    this.#unroutedTopics.count(publication.topic.name);
    origin.complete(token, policy === 'local' ? Outcome.Local : Outcome.Refused);
    return true;
  }

  #deadLetter(
    publication: Publication,
    route: Route,
    fault: DecodeFault,
    origin: PublicationOrigin,
    token: number,
  ): boolean {
    toDeadLetter(publication, route.deadLetterTopic, route, fault, this.#record);
    const taken = needsDisk(route.contract)
      ? this.#storeDeadLetter(publication, route, origin, token)
      : this.#appendDeadLetter(route.profile, origin, token);
    if (taken) route.taken();
    return taken;
  }

  /** The dead letter that stands in the shared record, by way of the disk: Kafka may be away. */
  #storeDeadLetter(
    publication: Publication,
    route: Route,
    origin: PublicationOrigin,
    token: number,
  ): boolean {
    const account = this.ledger.account(route.profile);
    const refusal = this.#storeOf(route).append(
      this.#record,
      publication,
      account,
      SlotKind.DeadLetter,
      route.contract === 'kafka-or-journal',
      origin,
      token,
    );
    if (refusal === undefined) return true;
    if (refusal instanceof SluiceError) {
      account.opened++;
      account.refused++;
      this.#logFailure(account, refusal);
      endDelivery(origin, token, account, Outcome.Refused);
      return true;
    }
    refusal.wait(() => {
      origin.resume();
    });
    return false;
  }

  /** Appends the dead letter that stands in the shared record. */
  #appendDeadLetter(profile: string, origin: PublicationOrigin, token: number): boolean {
    const account = this.ledger.account(profile);
    const slot = this.#slots.take(origin, token, account, SlotKind.DeadLetter);
    const refusal = this.#options.records.tryAppend(this.#record, this, slot);
    if (refusal === undefined) {
      account.opened++;
      account.open++;
      return true;
    }
    if (refusal instanceof SluiceError) {
      account.opened++;
      account.open++;
      this.#fail(slot, refusal);
      return true;
    }
    this.#slots.release(slot);
    refusal.wait(() => {
      origin.resume();
    });
    return false;
  }

  /** A profile may have its own; quarantine and topic templates share the one of their profile. */
  #deadLetterTopic(slot: number, topic: string): string {
    const { profile } = this.#slots.account(slot);
    return this.#options.deadLetterTopicOfProfile?.(profile) ?? deadLetterTopicOf(topic);
  }

  /** The producer's word on one record (see {@link RecordTarget}). */
  recordCompleted(slot: number, result: RecordResult, index: number): void {
    const { error } = result;
    if (error !== undefined) {
      if (error.isRecordFault && this.#slots.kind(slot) === SlotKind.Record) {
        this.#slots.becomeDeadLetter(slot);
        this.#rejected.append({
          record: result.record(index),
          topic: result.topic,
          deadLetterTopic: this.#deadLetterTopic(slot, result.topic),
          fault: error,
          target: this,
          token: slot,
          onRefused: (refusal) => {
            this.#fail(slot, refusal);
          },
        });
      } else {
        this.#fail(slot, error);
      }
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

  /** Neither Kafka nor the dead letters hold it: the device must not be acknowledged. */
  #fail(slot: number, error: SluiceError): void {
    const account = this.#slots.account(slot);
    const origin = this.#slots.origin(slot);
    const token = this.#slots.token(slot);
    this.#slots.release(slot);
    account.open--;
    this.#logFailure(account, error);
    if (origin === undefined) {
      account.lostByContract++;
      return;
    }
    account.refused++;
    endDelivery(origin, token, account, Outcome.Refused);
  }

  #logFailure(account: Account, error: SluiceError): void {
    const now = this.#options.clock.monotonicMs();
    if (now - this.#lastFailureLoggedMs < 1_000) return;
    this.#lastFailureLoggedMs = now;
    this.#options.logger.error(
      { type: account.profile, code: error.code, reason: error.message, refused: account.refused },
      'a record could not be delivered; its device is not acknowledged',
    );
  }

  metrics(): Metric[] {
    return [...this.ledger.metrics(), ...this.#unroutedTopics.metrics()];
  }
}
