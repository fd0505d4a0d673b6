import { Outcome } from '../core/publication.ts';
import type { Publication, PublicationOrigin } from '../core/publication.ts';
import type { DecodeFault, Route } from '../core/route.ts';
import { BadReadings } from './bad-readings.ts';
import type { Account } from './ledger/ledger.ts';

/**
 * One publication on its way to several records, because several routes match or its payload holds several
 * readings: how far it has come, and what became of the records so far. To the records it is their origin;
 * the publication's own origin hears of one outcome, when all of them have ended.
 *
 * When there is no room for one of them, those before it are with the producer already. They stay there; the
 * publication is refused for now, as every publication without room is, and parked at its connection. Its
 * origin offers it again before any other, and it goes on where it stopped. So nothing is lost, nothing is
 * sent twice, and the device's order holds; and no more is held in memory than any parked publication takes.
 */
export class FanOut implements PublicationOrigin {
  readonly #origin: PublicationOrigin;
  readonly #routes: readonly Route[];
  #nextRoute = 0;
  /** Of the present route's batch: the reading that is next. */
  nextReading = 0;
  /** Of the present route's batch, or 1. */
  readings = 1;
  /** Of the present route's batch: readings that share a dead letter, which is still to be appended. */
  readonly bad = new BadReadings();
  /** What it is told by: the instance is the ingress's, so what identifies the publication is copied. */
  readonly #topicName: string;
  readonly #packetId: number;
  readonly #receivedAtMs: number;
  readonly #payloadBytes: number;
  #begun = 0;
  #ended = 0;
  /** Set when the last record was begun: what to tell the origin, and from then on it may be told. */
  #token: number | undefined;
  #outcome: Outcome = Outcome.Filtered;
  /** An account for each record whose device may be told that it is safe. */
  readonly #safe: Account[] = [];

  constructor(publication: Publication, routes: readonly Route[], origin: PublicationOrigin) {
    this.#origin = origin;
    this.#routes = routes;
    this.#topicName = publication.topic.name;
    this.#packetId = publication.packetId;
    this.#receivedAtMs = publication.receivedAtMs;
    this.#payloadBytes = publication.payload.length;
  }

  /** Whether it is this publication that is on its way. */
  isOf({ topic, packetId, receivedAtMs, payload }: Publication): boolean {
    return (
      packetId === this.#packetId &&
      receivedAtMs === this.#receivedAtMs &&
      payload.length === this.#payloadBytes &&
      topic.name === this.#topicName
    );
  }

  /** The route that is next; undefined after the last. */
  get route(): Route | undefined {
    return this.#routes[this.#nextRoute];
  }

  routeDone(): void {
    this.#nextRoute++;
    this.nextReading = 0;
    this.readings = 1;
  }

  /** The journal has the whole publication when it has the record that is next: it confirms in the order of appends. */
  get journaledByNext(): boolean {
    // Readings that share a dead letter have it behind the last record.
    const last = this.bad.isEmpty ? this.readings - 1 : this.readings;
    return (
      this.#nextRoute === this.#routes.length - 1 &&
      this.nextReading === last &&
      this.#routes.every(({ contract }) => contract.needsJournal && !contract.kafkaFirst)
    );
  }

  /** A record was begun, and {@link ended} follows exactly once; possibly it came already. */
  begun(): void {
    this.#begun++;
  }

  /** A reading that was begun ends with the dead letter that it shares with others: see {@link bad}. */
  shareDeadLetter(reading: number, fault: DecodeFault): void {
    this.bad.add(reading, fault);
    this.#ended++;
  }

  /** All records are begun: the origin hears the outcome by `token`, at once if all have ended. */
  allBegun(token: number): void {
    this.#token = token;
    this.#settleIfOver(token);
  }

  /** What became of one of the records, and whose account it is on. */
  ended(account: Account, outcome: Outcome): void {
    this.#ended++;
    this.#outcome = graver(this.#outcome, outcome);
    if (outcome !== Outcome.Refused) this.#safe.push(account);
    if (this.#token !== undefined) this.#settleIfOver(this.#token);
  }

  #settleIfOver(token: number): void {
    if (this.#ended < this.#begun) return;
    if (this.#outcome !== Outcome.Refused) for (const account of this.#safe) account.acknowledged++;
    this.#origin.complete(token, this.#outcome);
  }

  complete(): never {
    throw new Error('the records of a fan-out end with an account');
  }

  resume(): void {
    this.#origin.resume();
  }

  isGone(): boolean {
    return this.#origin.isGone?.() === true;
  }
}

/** Of several outcomes, the one that says most about the publication; one refused record refuses it. */
const GRAVITY: Readonly<Record<Outcome, number>> = {
  [Outcome.Local]: 0,
  [Outcome.Filtered]: 1,
  [Outcome.Delivered]: 2,
  [Outcome.DeadLettered]: 3,
  [Outcome.Dropped]: 4,
  [Outcome.Refused]: 5,
};

function graver(a: Outcome, b: Outcome): Outcome {
  return GRAVITY[a] >= GRAVITY[b] ? a : b;
}

/**
 * The publication's number that goes to the disk with its next record. With several records it goes with the last:
 * a publication of which the disk has a part must be taken again when it is repeated after a crash.
 */
export function ordinalOf({ publicationNumber = 0 }: Publication, origin: PublicationOrigin): number {
  return publicationNumber === 0 || !(origin instanceof FanOut) || origin.journaledByNext
    ? publicationNumber
    : 0;
}

/** The final state of a delivery: its device is told, at the latest when the whole publication has ended. */
export function endDelivery(
  origin: PublicationOrigin,
  token: number,
  account: Account,
  outcome: Outcome,
): void {
  if (origin instanceof FanOut) {
    origin.ended(account, outcome);
    return;
  }
  if (outcome !== Outcome.Refused) account.acknowledged++;
  origin.complete(token, outcome);
}
