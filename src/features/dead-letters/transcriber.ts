import { DEAD_LETTER_HEADERS, DEAD_LETTER_ORIGIN } from '../../core/dead-letter.ts';
import type { Publication } from '../../core/publication.ts';
import { decodeHeaders, emptyRecord, type ProducerRecord } from '../../core/record.ts';
import { FILTERED, NOT_READY, type DecodeFault, type Route } from '../../core/route.ts';
import { NO_DEAD_LETTER, placeText, type DeadLetter, type Place } from './dead-letter.ts';

export interface TranscriberOptions {
  /** Today's routes of an MQTT topic, in order. */
  readonly routesOf: (mqttTopic: string) => readonly Route[];
  /** The profile to apply instead of the one that the dead letter names. */
  readonly as?: string | undefined;
  /** The timestamp of all records; left out, what the profile says, which is the event's time as a rule. */
  readonly timestampMs?: number | undefined;
}

/** A record that comes of a dead letter, and says so in its last header. */
export interface LetterPart {
  /** Which of the letter's records it is: the same for the same profiles. */
  readonly part: number;
  readonly record: ProducerRecord<Uint8Array, Uint8Array>;
}

/**
 * What becomes of a dead letter with today's profiles. No parts: their filters hold it back. With `unread`, some of its
 * readings are still not understood: it stays a dead letter, also when its parts are written.
 */
export type Transcript =
  | { readonly parts: readonly LetterPart[]; readonly unread?: DecodeFault | undefined }
  | { readonly fault: DecodeFault }
  | { readonly whenReady: Promise<void> };

/** Topics whose routes are kept; a route holds what is known of one topic. */
const ROUTES_KEPT = 1_000;

/** Turns dead letters into records by way of the same routes that the gateway takes. */
export class Transcriber {
  readonly #options: TranscriberOptions;
  readonly #routes = new Map<string, readonly Route[]>();
  /** Its bytes belong to the route that filled it. */
  readonly #record = emptyRecord();

  constructor(options: TranscriberOptions) {
    this.#options = options;
  }

  transcribe(letter: DeadLetter): Transcript {
    const { code, reason, record, value, readings } = letter;
    if (code === NO_DEAD_LETTER) return fault(code, reason);
    if (record !== undefined) return this.#finishedRecord(letter, record);
    if (value === null) return fault('NO_PAYLOAD', 'it has no value');
    const routes = this.#routesOf(letter);
    if ('fault' in routes) return routes;
    const publication = publicationOf(letter, value);
    const parts: LetterPart[] = [];
    let unread: DecodeFault | undefined;
    let part = 0;
    for (const route of routes) {
      for (const verdict of this.#verdicts(route, publication, readings)) {
        if (verdict === undefined) parts.push({ part, record: this.#copy(letter, part) });
        else if (verdict === NOT_READY) return { whenReady: untilReady(route) };
        else if (verdict !== FILTERED) {
          // Readings that share a dead letter don't wait for each other.
          if (readings === undefined) return { fault: verdict };
          unread ??= verdict;
        }
        part++;
      }
    }
    return { parts, unread };
  }

  /** The route of the profile that the letter names; without one, all that match today. */
  #routesOf({ mqttTopic, type }: DeadLetter): readonly Route[] | { readonly fault: DecodeFault } {
    let routes = this.#routes.get(mqttTopic);
    if (routes === undefined) {
      if (this.#routes.size === ROUTES_KEPT) this.#routes.clear();
      routes = this.#options.routesOf(mqttTopic);
      this.#routes.set(mqttTopic, routes);
    }
    const wanted = this.#options.as ?? type;
    const taken = wanted === undefined ? routes : routes.filter(({ profile }) => profile === wanted);
    if (taken.length > 0) return taken;
    const what =
      wanted === undefined ? "no device profile's topic pattern matches" : `profile ${wanted} does not match`;
    const others = routes.map(({ profile }) => profile).join(', ');
    const hint = others === '' ? '' : `; ${others} would (--as)`;
    return fault('UNROUTED', `${what} ${mqttTopic}${hint}`);
  }

  /** Today's verdict on each reading that is meant; the record of an accepted one is in the shared record. */
  *#verdicts(
    route: Route,
    publication: Publication,
    readings: DeadLetter['readings'],
  ): Generator<DecodeFault | undefined> {
    const { batch } = route;
    if (batch === undefined) {
      yield this.#verdict(route, publication);
      return;
    }
    const opened = batch.open(publication);
    try {
      if (typeof opened !== 'number') {
        route.taken();
        yield opened;
        return;
      }
      for (const { first, last } of readings ?? [{ first: 0, last: opened - 1 }]) {
        for (let index = first; index <= Math.min(last, opened - 1); index++) {
          batch.select(index);
          yield this.#verdict(route, publication);
        }
        if (last >= opened) {
          const message = `it holds ${opened} readings, number ${last} is not there`;
          yield { code: 'DECODE_FAILED', message };
        }
      }
    } finally {
      batch.close();
    }
  }

  #verdict(route: Route, publication: Publication): DecodeFault | undefined {
    const verdict = route.toRecord(publication, this.#record);
    if (verdict !== NOT_READY) route.taken();
    return verdict;
  }

  #copy(letter: Place, part: number): LetterPart['record'] {
    const { topic, key, value, timestampMs, headers } = this.#record;
    return {
      topic,
      key: key && new Uint8Array(key),
      value: value && new Uint8Array(value),
      timestamp: this.#options.timestampMs ?? timestampMs,
      headers: [...decodeHeaders(new Uint8Array(headers)), originHeader(letter, part)],
    };
  }

  #finishedRecord(letter: DeadLetter, { topic, timestampMs }: NonNullable<DeadLetter['record']>): Transcript {
    if (topic === undefined) return fault('NO_TOPIC', 'it does not say which Kafka topic it was for');
    const { key, value, headers } = letter;
    // It may have headers of its own by the same names: what the gateway added stands behind them, the code first.
    const end = headers.findLastIndex((header) => header.key === DEAD_LETTER_HEADERS.code);
    const own = headers.slice(0, end);
    const timestamp = this.#options.timestampMs ?? timestampMs;
    const record = { topic, key, value, timestamp, headers: [...own, originHeader(letter, 0)] };
    return { parts: [{ part: 0, record }] };
  }
}

function originHeader(place: Place, part: number) {
  return { key: DEAD_LETTER_ORIGIN, value: Buffer.from(`${placeText(place)}/${part}`, 'utf8') };
}

function untilReady(route: Route): Promise<void> {
  return new Promise((done) => route.whenReady(done));
}

/**
 * The publication as it was. It counts as a repetition (DUP): what a deadband remembers is news from long after
 * it, and must not hold it back.
 */
function publicationOf(letter: DeadLetter, payload: Buffer): Publication {
  const { mqttTopic, qos, retain, clientId, receivedAtMs } = letter;
  const topic = { name: mqttTopic, id: 0 };
  return { topic, payload, qos, retain, dup: true, packetId: qos === 0 ? 0 : 1, clientId, receivedAtMs };
}

function fault(code: string, message: string): { readonly fault: DecodeFault } {
  return { fault: { code, message } };
}
