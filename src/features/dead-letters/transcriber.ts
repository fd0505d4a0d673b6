import { DEAD_LETTER_HEADERS, DEAD_LETTER_ORIGIN } from '../../core/dead-letter.ts';
import type { Publication } from '../../core/publication.ts';
import {
  appendHeaders,
  encodeHeaders,
  NO_HEADERS,
  type Header,
  type SerializedRecord,
} from '../../core/record.ts';
import { FILTERED, NOT_READY, type DecodeFault, type Route } from '../../core/route.ts';
import { NO_DEAD_LETTER, placeText, type DeadLetter, type Place, type ReadingRange } from './dead-letter.ts';

export interface TranscriberOptions {
  /** Today's routes of an MQTT topic, in order. */
  readonly routesOf: (mqttTopic: string) => readonly Route[];
  /** The Kafka topic of a profile's records; undefined: no such profile, or it has many. */
  readonly kafkaTopicOf: (profile: string) => string | undefined;
  /** The profile to apply instead of the one that the dead letter names. */
  readonly as?: string;
  /** The timestamp of all records; left out, what the profile says, which is the event's time as a rule. */
  readonly timestampMs?: number;
}

/** A record that comes of a dead letter. */
export interface LetterPart {
  /** Which of the letter's records it is: the same for the same profiles. */
  readonly part: number;
  readonly record: SerializedRecord;
}

/**
 * What becomes of a dead letter with today's profiles. No parts: their filters hold it back. With `unread`, some of its
 * readings are still not understood: it stays a dead letter, also when its parts are written.
 */
export type Transcript =
  | { readonly parts: readonly LetterPart[]; readonly unread?: DecodeFault }
  | { readonly fault: DecodeFault }
  | { readonly whenReady: Promise<void> };

/** What the gateway adds, once each, behind a record's own headers when Kafka has refused it. */
const ADDED_TO_RECORD: readonly string[] = [
  DEAD_LETTER_HEADERS.code,
  DEAD_LETTER_HEADERS.message,
  DEAD_LETTER_HEADERS.topic,
  DEAD_LETTER_HEADERS.clientId,
  DEAD_LETTER_HEADERS.receivedAt,
  DEAD_LETTER_HEADERS.attempt,
  DEAD_LETTER_HEADERS.type,
  DEAD_LETTER_HEADERS.route,
  DEAD_LETTER_HEADERS.holds,
  DEAD_LETTER_HEADERS.recordTopic,
  DEAD_LETTER_HEADERS.recordTimestamp,
];

/** Topics whose routes are kept; a route holds what is known of one topic. */
const ROUTES_KEPT = 1_000;

/** Turns dead letters into records by way of the same routes that the gateway takes. */
export class Transcriber {
  readonly #options: TranscriberOptions;
  readonly #routes = new Map<string, readonly Route[]>();
  readonly #record: SerializedRecord = {
    topic: '',
    key: null,
    value: null,
    timestampMs: 0,
    headers: NO_HEADERS,
  };

  constructor(options: TranscriberOptions) {
    this.#options = options;
  }

  transcribe(letter: DeadLetter): Transcript {
    if (letter.code === NO_DEAD_LETTER) return fault(letter.code, letter.reason);
    if (letter.record !== undefined) return this.#finishedRecord(letter, letter.record);
    if (letter.value === null) return fault('NO_PAYLOAD', 'it has no value');
    const routes = this.#routesOf(letter);
    if ('fault' in routes) return routes;
    const publication = publicationOf(letter, letter.value);
    const parts: LetterPart[] = [];
    let unread: DecodeFault | undefined;
    let part = 0;
    for (const route of routes.routes) {
      for (const verdict of this.#readings(route, publication, letter.readings)) {
        if (verdict === NOT_READY)
          return {
            whenReady: new Promise((done) => {
              route.whenReady(done);
            }),
          };
        if (verdict !== undefined && verdict !== FILTERED) {
          // Readings that share a dead letter don't wait for each other.
          if (letter.readings === undefined) return { fault: verdict };
          unread ??= verdict;
        }
        if (verdict === undefined) parts.push({ part, record: this.#copy(letter, part) });
        part++;
      }
    }
    return unread === undefined ? { parts } : { parts, unread };
  }

  /** The route of the profile that the letter names; without one, all that match today. */
  #routesOf({ mqttTopic, type }: DeadLetter): { readonly routes: readonly Route[] } | { fault: DecodeFault } {
    let routes = this.#routes.get(mqttTopic);
    if (routes === undefined) {
      if (this.#routes.size === ROUTES_KEPT) this.#routes.clear();
      routes = this.#options.routesOf(mqttTopic);
      this.#routes.set(mqttTopic, routes);
    }
    const wanted = this.#options.as ?? type;
    const taken = wanted === undefined ? routes : routes.filter(({ profile }) => profile === wanted);
    if (taken.length > 0) return { routes: taken };
    const what =
      wanted === undefined ? "no device profile's topic pattern matches" : `profile ${wanted} does not match`;
    const others = routes.map(({ profile }) => profile).join(', ');
    const hint = others === '' ? '' : `; ${others} would (--as)`;
    return fault('UNROUTED', `${what} ${mqttTopic}${hint}`);
  }

  /** Today's verdict on each reading that is meant; the record of an accepted one is in the shared record. */
  *#readings(
    route: Route,
    publication: Publication,
    ranges: readonly ReadingRange[] | undefined,
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
      for (const { first, last } of ranges ?? [{ first: 0, last: opened - 1 }]) {
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

  /** The shared record's bytes belong to the route: they are copied, and say where they come from. */
  #copy(letter: Place, part: number): SerializedRecord {
    const { topic, key, value, timestampMs, headers } = this.#record;
    return {
      topic,
      key: key && new Uint8Array(key),
      value: value && new Uint8Array(value),
      timestampMs: this.#options.timestampMs ?? timestampMs,
      headers: appendHeaders(headers, [originHeader(letter, part)]),
    };
  }

  #finishedRecord(letter: DeadLetter, { topic, timestampMs }: NonNullable<DeadLetter['record']>): Transcript {
    const { type, headers } = letter;
    const kafkaTopic = topic ?? (type === undefined ? undefined : this.#options.kafkaTopicOf(type));
    if (kafkaTopic === undefined) return fault('NO_TOPIC', 'it does not say which Kafka topic it was for');
    const record: SerializedRecord = {
      topic: kafkaTopic,
      key: letter.key,
      value: letter.value,
      timestampMs: this.#options.timestampMs ?? timestampMs,
      headers: encodeHeaders([...ownHeaders(headers), originHeader(letter, 0)]),
    };
    return { parts: [{ part: 0, record }] };
  }
}

/** A record may have headers of its own by the same names: what was added stands behind them. */
function ownHeaders(headers: readonly Header[]): readonly Header[] {
  const added = new Set(ADDED_TO_RECORD);
  let end = headers.length;
  while (end > 0 && added.delete((headers[end - 1] as Header).key)) end--;
  return headers.slice(0, end);
}

function originHeader(place: Place, part: number) {
  return { key: DEAD_LETTER_ORIGIN, value: Buffer.from(`${placeText(place)}/${part}`, 'utf8') };
}

/**
 * The publication as it was. It counts as a repetition (DUP): what a deadband remembers is news from long after
 * it, and must not hold it back.
 */
function publicationOf(letter: DeadLetter, payload: Buffer): Publication {
  return {
    topic: { name: letter.mqttTopic, id: 0 },
    payload,
    qos: letter.qos,
    retain: letter.retain,
    dup: true,
    packetId: letter.qos === 0 ? 0 : 1,
    clientId: letter.clientId,
    receivedAtMs: letter.receivedAtMs,
  };
}

function fault(code: string, message: string): { readonly fault: DecodeFault } {
  return { fault: { code, message } };
}
