import type { Clock } from '../core/clock.ts';
import { CONTRACTS, type Contract } from '../core/contract.ts';
import { SluiceError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Metric } from '../core/metric.ts';
import { Outcome } from '../core/publication.ts';
import type { Publication, PublicationOrigin, PublicationSink, Topic } from '../core/publication.ts';
import { emptyRecord } from '../core/record.ts';
import { FILTERED, NOT_READY, REFUSED, type DecodeFault } from '../core/route.ts';
import { LossLog, toDeadLetter, type DeadLetterPart, type DeviceTypes } from './dead-letter.ts';
import { SlotKind } from './delivery-slots.ts';
import { DirectDeliveries } from './direct-deliveries.ts';
import type { StoreAndForward } from './disk/store-and-forward.ts';
import { FanOut, endDelivery } from './fan-out.ts';
import { State, type Account, type DeliveryRoute, type Ledger } from './ledger/ledger.ts';
import type { Bottleneck, RecordSink } from './ports.ts';
import { UnroutedTopics, type UnroutedPolicy } from './unrouted-topics.ts';

/** The account of publications that no profile matches, where the policy dead-letters them. */
export const UNROUTED_ACCOUNT = '(unrouted)';

const UNROUTED_FAULT: DecodeFault = {
  code: 'UNROUTED',
  message: "no device profile's topic pattern matches this topic",
};

export interface DeliveryOptions {
  /** The routes of a topic, in order; none when no profile matches. Called a message: it must be a cache. */
  readonly resolve: (topic: Topic) => readonly DeliveryRoute[];
  /** Whose accounts the routes have. */
  readonly ledger: Ledger;
  readonly records: RecordSink;
  readonly types: DeviceTypes;
  readonly unrouted: { readonly policy: UnroutedPolicy; readonly deadLetterTopic: string };
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Fulfils each route's contract: turns publications into records, or into dead letters, hands them to the
 * producer, and lets a device be acknowledged when what its route promises is true.
 */
export class Delivery implements PublicationSink {
  readonly ledger: Ledger;
  readonly #unroutedTopics: UnroutedTopics;
  readonly #options: DeliveryOptions;
  /** Of contracts without a disk. */
  readonly #direct: DirectDeliveries;
  /** Of those that have one. */
  #store: StoreAndForward | undefined;
  /** Filled anew for every publication; the producer copies what it takes. */
  readonly #record = emptyRecord();
  /** Publications that found no room for all their records. An origin has one at most, and may just go away. */
  #halted = new WeakMap<PublicationOrigin, FanOut>();
  readonly #losses: LossLog;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.ledger = options.ledger;
    this.#losses = new LossLog(options);
    this.#direct = new DirectDeliveries(options, this.#losses);
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
    return this.#deliver(publication, route, origin, token);
  }

  /** One delivery a route, however many records the first occurrence became. */
  suppressed(topic: Topic): void {
    const routes = this.#options.resolve(topic);
    for (const { account } of routes) account.move(State.outside, State.suppressed);
    if (routes.length > 0 || this.#options.unrouted.policy !== 'dead-letter') return;
    this.ledger.account(UNROUTED_ACCOUNT).move(State.outside, State.suppressed);
  }

  /** Several records, of which each is delivered like an only one; see {@link FanOut}. */
  #acceptFanOut(
    publication: Publication,
    routes: readonly DeliveryRoute[],
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
  #acceptReadings(publication: Publication, route: DeliveryRoute, fanOut: FanOut): boolean {
    const { batch } = route;
    if (batch === undefined) return fanOut.begun(this.#deliver(publication, route, fanOut, 0));
    const opened = batch.open(publication);
    if (typeof opened !== 'number') {
      return fanOut.begun(this.#acceptWithoutRecord(publication, route, opened, fanOut, 0));
    }
    fanOut.readings = opened;
    try {
      for (; fanOut.nextReading < opened; fanOut.nextReading++) {
        if (fanOut.bad.isFull && !this.#deadLetterReadings(publication, route, fanOut)) return false;
        batch.select(fanOut.nextReading);
        if (!fanOut.begun(this.#deliver(publication, route, fanOut, 0))) return false;
      }
    } finally {
      batch.close();
    }
    return fanOut.bad.isEmpty || this.#deadLetterReadings(publication, route, fanOut);
  }

  /** One dead letter for the readings that share it. */
  #deadLetterReadings(publication: Publication, route: DeliveryRoute, fanOut: FanOut): boolean {
    const { bad } = fanOut;
    const part = { readings: bad };
    if (!fanOut.begun(this.#appendDeadLetter(publication, route, bad.fault, part, fanOut, 0))) return false;
    bad.clear();
    return true;
  }

  #deliver(
    publication: Publication,
    route: DeliveryRoute,
    origin: PublicationOrigin,
    token: number,
  ): boolean {
    const fault = route.toRecord(publication, this.#record);
    if (fault !== undefined) return this.#acceptWithoutRecord(publication, route, fault, origin, token);
    const { contract, account } = route;
    const told = contract.onReceipt ? undefined : origin;
    const refusal = this.#append(publication, contract, account, SlotKind.Record, told, token);
    if (refusal === undefined) {
      route.taken();
      if (contract.onReceipt) endDelivery(origin, token, account, Outcome.Delivered);
      return true;
    }
    if (refusal instanceof SluiceError) return this.#deadLetter(publication, route, refusal, origin, token);
    return awaitRoom(refusal, origin);
  }

  /** Hands on the record that stands in the shared one: by way of the disk where its contract has one. */
  #append(
    publication: Publication,
    contract: Contract,
    account: Account,
    kind: SlotKind,
    origin: PublicationOrigin | undefined,
    token: number,
  ): Bottleneck | SluiceError | undefined {
    if (!contract.needsJournal) {
      return this.#direct.append(this.#record, publication, account, kind, origin, token);
    }
    if (this.#store === undefined)
      throw new Error(`${account.profile} promises ${contract.name}, and there is no journal`);
    return this.#store.append(this.#record, publication, account, kind, contract, origin, token);
  }

  /** What a route says of a publication that is no record: nothing is wrong with it, or it is a dead letter. */
  #acceptWithoutRecord(
    publication: Publication,
    route: DeliveryRoute,
    verdict: DecodeFault,
    origin: PublicationOrigin,
    token: number,
  ): boolean {
    if (verdict === NOT_READY) {
      route.whenReady(() => origin.resume());
      return false;
    }
    if (verdict !== FILTERED && verdict !== REFUSED) {
      return this.#deadLetter(publication, route, verdict, origin, token);
    }
    const { account } = route;
    const isRefused = verdict === REFUSED;
    account.move(State.outside, isRefused ? State.refused : State.filtered);
    route.taken();
    endDelivery(origin, token, account, isRefused ? Outcome.Refused : Outcome.Filtered);
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
    route: DeliveryRoute,
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
    const taken = this.#appendDeadLetter(publication, route, fault, { alone }, origin, token);
    if (taken) route.taken();
    return taken;
  }

  /** As safe as the contract asks of a record: by way of the disk where it promises that, since Kafka may be away. */
  #appendDeadLetter(
    publication: Publication,
    route: DeliveryRoute | undefined,
    fault: DecodeFault,
    part: DeadLetterPart | undefined,
    origin: PublicationOrigin,
    token: number,
  ): boolean {
    const topic = route?.deadLetterTopic ?? this.#options.unrouted.deadLetterTopic;
    toDeadLetter(publication, topic, route, fault, part, this.#record);
    const account = route?.account ?? this.ledger.account(UNROUTED_ACCOUNT);
    const contract = route?.contract ?? CONTRACTS.kafka;
    const refusal = this.#append(publication, contract, account, SlotKind.DeadLetter, origin, token);
    if (refusal === undefined) return true;
    if (refusal instanceof SluiceError) {
      account.move(State.outside, State.refused);
      this.#losses.say(account, refusal);
      endDelivery(origin, token, account, Outcome.Refused);
      return true;
    }
    return awaitRoom(refusal, origin);
  }

  metrics(): Metric[] {
    return [...this.ledger.metrics(), ...this.#unroutedTopics.metrics()];
  }
}

/** Returns that the publication was not taken. */
function awaitRoom(bottleneck: Bottleneck, origin: PublicationOrigin): false {
  bottleneck.wait(
    () => origin.resume(),
    () => origin.isGone?.() === true,
  );
  return false;
}
