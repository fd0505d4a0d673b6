import type { Clock } from '../core/clock.ts';
import { SluiceError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Metric } from '../core/metric.ts';
import { Outcome } from '../core/publication.ts';
import type { Publication, PublicationOrigin, PublicationSink, Topic } from '../core/publication.ts';
import { NO_HEADERS, type SerializedRecord } from '../core/record.ts';
import {
  FILTERED,
  NOT_READY,
  REFUSED,
  deadLetterTopicOf,
  type DecodeFault,
  type Route,
} from '../core/route.ts';
import { toDeadLetter, type DeadLetterPart } from './dead-letter.ts';
import { SlotKind } from './delivery-slots.ts';
import { DirectDeliveries } from './direct-deliveries.ts';
import { FanOut, endDelivery } from './fan-out.ts';
import { Ledger, type Account } from './ledger/ledger.ts';
import type { Bottleneck, RecordSink } from './record-sink.ts';
import type { StoreAndForward } from './disk/store-and-forward.ts';
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
  /** For these: the topic pattern of a profile's route. */
  readonly routePatternOfProfile?: (profile: string) => string | undefined;
  readonly unrouted: { readonly policy: UnroutedPolicy; readonly deadLetterTopic: string };
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Fulfils each route's contract: turns publications into records, or into dead letters, hands them to the
 * producer, and lets a device be acknowledged when what its route promises is true.
 */
export class Delivery implements PublicationSink {
  readonly ledger = new Ledger();
  readonly #unroutedTopics: UnroutedTopics;
  readonly #options: DeliveryOptions;
  /** Of contracts without a disk. */
  readonly #direct: DirectDeliveries;
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
  #store: StoreAndForward | undefined;
  #lastFailureLoggedMs = Number.NEGATIVE_INFINITY;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#direct = new DirectDeliveries({
      ...options,
      // Quarantine and topic templates share the one of their profile.
      deadLetterTopic: (profile, topic) =>
        options.deadLetterTopicOfProfile?.(profile) ?? deadLetterTopicOf(topic),
      routePattern: (profile) => options.routePatternOfProfile?.(profile),
      onFailed: (account, error) => {
        this.#logFailure(account, error);
      },
    });
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

  /** One delivery a route, however many records the first occurrence became. */
  suppressed(topic: Topic): void {
    const routes = this.#options.resolve(topic);
    if (routes.length === 0 && this.#options.unrouted.policy !== 'dead-letter') return;
    for (const { profile } of routes.length === 0 ? [{ profile: UNROUTED_ACCOUNT }] : routes) {
      const account = this.ledger.account(profile);
      account.opened++;
      account.suppressed++;
    }
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
        if (fanOut.bad.isFull && !this.#deadLetterReadings(publication, route, fanOut)) return false;
        batch.select(fanOut.nextReading);
        if (!this.#acceptRecord(publication, route, fanOut, 0)) return false;
        fanOut.begun();
      }
    } finally {
      batch.close();
    }
    return fanOut.bad.isEmpty || this.#deadLetterReadings(publication, route, fanOut);
  }

  /** One dead letter for the readings that share it. */
  #deadLetterReadings(publication: Publication, route: Route, fanOut: FanOut): boolean {
    const { bad } = fanOut;
    if (!this.#appendDeadLetter(publication, route, bad.fault, { readings: bad }, fanOut, 0)) return false;
    bad.clear();
    fanOut.begun();
    return true;
  }

  #acceptRecord(publication: Publication, route: Route, origin: PublicationOrigin, token: number): boolean {
    const fault = route.toRecord(publication, this.#record);
    if (fault !== undefined) return this.#acceptWithoutRecord(publication, route, fault, origin, token);

    if (route.contract.needsJournal) return this.#acceptStored(publication, route, origin, token);
    const account = this.ledger.account(route.profile);
    const onReceipt = route.contract.onReceipt;
    const refusal = this.#direct.append(
      this.#record,
      publication,
      account,
      SlotKind.Record,
      onReceipt ? undefined : origin,
      token,
    );
    if (refusal === undefined) {
      route.taken();
      if (onReceipt) endDelivery(origin, token, account, Outcome.Delivered);
      return true;
    }
    if (refusal instanceof SluiceError) {
      return this.#deadLetter(
        publication,
        route,
        { code: refusal.code, message: refusal.message },
        origin,
        token,
      );
    }
    return awaitRoom(refusal, origin);
  }

  /** The record that stands in the shared one, by way of the disk. */
  #acceptStored(publication: Publication, route: Route, origin: PublicationOrigin, token: number): boolean {
    const account = this.ledger.account(route.profile);
    const refusal = this.#toStore(publication, route, account, SlotKind.Record, origin, token);
    if (refusal === undefined) {
      route.taken();
      return true;
    }
    if (refusal instanceof SluiceError) return this.#deadLetter(publication, route, refusal, origin, token);
    return awaitRoom(refusal, origin);
  }

  #toStore(
    publication: Publication,
    { profile, contract }: Route,
    account: Account,
    kind: SlotKind,
    origin: PublicationOrigin,
    token: number,
  ): Bottleneck | SluiceError | undefined {
    if (this.#store === undefined)
      throw new Error(`${profile} promises ${contract.name}, and there is no journal`);
    return this.#store.append(this.#record, publication, account, kind, contract.kafkaFirst, origin, token);
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
    const { policy } = this.#options.unrouted;
    if (policy === 'dead-letter') {
      const taken = this.#appendDeadLetter(publication, undefined, UNROUTED_FAULT, undefined, origin, token);
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
    const reading = route.batch?.selected;
    const alone = route.batch?.alone();
    if (reading !== undefined && alone === undefined && origin instanceof FanOut) {
      origin.shareDeadLetter(reading, fault);
      route.taken();
      return true;
    }
    const part = alone === undefined ? undefined : { alone };
    const taken = this.#appendDeadLetter(publication, route, fault, part, origin, token);
    if (taken) route.taken();
    return taken;
  }

  /** As safe as the contract asks of a record: by way of the disk where it promises that, since Kafka may be away. */
  #appendDeadLetter(
    publication: Publication,
    route: Route | undefined,
    fault: DecodeFault,
    part: DeadLetterPart | undefined,
    origin: PublicationOrigin,
    token: number,
  ): boolean {
    const topic = route?.deadLetterTopic ?? this.#options.unrouted.deadLetterTopic;
    toDeadLetter(publication, topic, route, fault, part, this.#record);
    const account = this.ledger.account(route?.profile ?? UNROUTED_ACCOUNT);
    const refusal =
      route !== undefined && route.contract.needsJournal
        ? this.#toStore(publication, route, account, SlotKind.DeadLetter, origin, token)
        : this.#direct.append(this.#record, publication, account, SlotKind.DeadLetter, origin, token);
    if (refusal === undefined) return true;
    if (refusal instanceof SluiceError) {
      account.opened++;
      account.refused++;
      this.#logFailure(account, refusal);
      endDelivery(origin, token, account, Outcome.Refused);
      return true;
    }
    return awaitRoom(refusal, origin);
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

/** Returns that the publication was not taken. */
function awaitRoom(bottleneck: Bottleneck, origin: PublicationOrigin): false {
  bottleneck.wait(
    () => {
      origin.resume();
    },
    () => origin.isGone?.() === true,
  );
  return false;
}
