import { Outcome } from '../core/publication.ts';
import type { Publication, PublicationOrigin } from '../core/publication.ts';
import type { DecodeFault } from '../core/route.ts';
import type { Account, DeliveryRoute } from './ledger/ledger.ts';

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
  readonly #routes: readonly DeliveryRoute[];
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

  constructor(publication: Publication, routes: readonly DeliveryRoute[], origin: PublicationOrigin) {
    this.#origin = origin;
    this.#routes = routes;
    this.#topicName = publication.topic.name;
    this.#packetId = publication.packetId;
    this.#receivedAtMs = publication.receivedAtMs;
    this.#payloadBytes = publication.payload.length;
  }

  /** Whether it is this publication that is on its way. */
  isOf({ topic, packetId, receivedAtMs, payload }: Publication): boolean {
    const isAlike = packetId === this.#packetId && receivedAtMs === this.#receivedAtMs;
    return isAlike && payload.length === this.#payloadBytes && topic.name === this.#topicName;
  }

  /** The route that is next; undefined after the last. */
  get route(): DeliveryRoute | undefined {
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

  /** A record that was `taken` is begun, and {@link ended} follows exactly once; possibly it came already. */
  begun(taken: boolean): boolean {
    if (taken) this.#begun++;
    return taken;
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
    if (this.#outcome !== Outcome.Refused) for (const account of this.#safe) account.acknowledge();
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

/** Of several outcomes, the later one here says more about the publication; one refused record refuses it. */
const BY_GRAVITY: readonly Outcome[] = [
  Outcome.Local,
  Outcome.Filtered,
  Outcome.Delivered,
  Outcome.DeadLettered,
  Outcome.Dropped,
  Outcome.Refused,
];

function graver(a: Outcome, b: Outcome): Outcome {
  return BY_GRAVITY.indexOf(a) >= BY_GRAVITY.indexOf(b) ? a : b;
}

/**
 * The publication's number that goes to the disk with its next record. With several records it goes with the last:
 * a publication of which the disk has a part must be taken again when it is repeated after a crash.
 */
export function numberOnDisk(
  { publicationNumber = 0 }: Publication,
  origin: PublicationOrigin | undefined,
): number {
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
  if (outcome !== Outcome.Refused) account.acknowledge();
  origin.complete(token, outcome);
}

/** Ranges of readings that one dead letter names at most: some 12 KB of text. */
const MOST_RANGES = 1_000;
/** Different reasons that one dead letter gives at most. */
const MOST_REASONS = 8;

/**
 * Readings of one payload that were not understood and can't stand alone: they share one dead letter, which holds the
 * payload once. With a dead letter each, a message of many bad readings would take its size squared.
 */
export class BadReadings {
  /** Alternately the first and the last reading of a range. */
  readonly #bounds: number[] = [];
  readonly #reasons: { readonly fault: DecodeFault; readonly first: number; readings: number }[] = [];
  #readings = 0;
  #otherReasons = 0;

  /** Their dead letter is due before any other reading is added. */
  get isFull(): boolean {
    return this.#bounds.length >= 2 * MOST_RANGES;
  }

  get isEmpty(): boolean {
    return this.#readings === 0;
  }

  /** In ascending order. */
  add(reading: number, fault: DecodeFault): void {
    this.#readings++;
    if (this.#bounds.at(-1) === reading - 1) this.#bounds[this.#bounds.length - 1] = reading;
    else this.#bounds.push(reading, reading);
    const known = this.#reasons.find(
      ({ fault: { code, message } }) => code === fault.code && message === fault.message,
    );
    if (known !== undefined) known.readings++;
    else if (this.#reasons.length < MOST_REASONS) this.#reasons.push({ fault, first: reading, readings: 1 });
    else this.#otherReasons++;
  }

  clear(): void {
    this.#bounds.length = 0;
    this.#reasons.length = 0;
    this.#readings = 0;
    this.#otherReasons = 0;
  }

  /** Such as `0-2,7`. */
  toString(): string {
    const ranges: string[] = [];
    for (let at = 0; at < this.#bounds.length; at += 2) {
      const [first, last] = [this.#bounds[at], this.#bounds[at + 1]];
      ranges.push(first === last ? String(first) : `${first}-${last}`);
    }
    return ranges.join(',');
  }

  /** The first one's code, and all reasons in words: which reading was the first with each, and how many there are. */
  get fault(): DecodeFault {
    const [first] = this.#reasons;
    if (first === undefined) throw new Error('no reading is bad');
    if (this.#readings === 1) return first.fault;
    const reasons = this.#reasons.map(({ fault, first: reading, readings }) => {
      const code = fault.code === first.fault.code ? '' : `${fault.code}: `;
      return `${code}${fault.message} (reading ${reading}${readings > 1 ? ` and ${readings - 1} more` : ''})`;
    });
    if (this.#otherReasons > 0) reasons.push(`and ${this.#otherReasons} other reasons`);
    return { code: first.fault.code, message: reasons.join('; ') };
  }
}
