import { DEAD_LETTER_HEADERS } from '../../core/dead-letter.ts';
import type { CapturedMessage } from '../capture/captured-message.ts';
import { SluiceError } from '../../core/errors.ts';
import { silentLogger } from '../../core/logger.ts';
import { Outcome, type PublicationOrigin, type Topic } from '../../core/publication.ts';
import { decodeHeaders, type SerializedRecord } from '../../core/record.ts';
import type { DecodeFault } from '../../core/route.ts';
import type { BoundDevice } from '../../decode/profile/device-bindings.ts';
import type { TranscoderRoute } from '../../decode/profile/transcoder-route.ts';
import { Delivery } from '../../delivery/delivery.ts';
import { Ledger, withAccount, type DeliveryRoute } from '../../delivery/ledger/ledger.ts';
import type { RecordResult, RecordSink, RecordTarget } from '../../delivery/ports.ts';
import { neverSendable, upperBoundBytes, type RecordLimits } from '../../producer/batches/record-batch.ts';
import { RouteCache } from '../../route/route-cache.ts';
import type { Blueprint } from '../../assembly/blueprint.ts';
import { RehearsedRoute, type RouteListener, type Verdict } from './rehearsed-route.ts';
import type { RehearsalClock } from './rehearsal-clock.ts';

/** A record that would have been produced. */
export interface RehearsedRecord {
  readonly topic: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestampMs: number;
  /** In their order; values as text. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/**
 * What becomes of a message, or of one of its readings, on one route. `local`: no profile matches, and it was for
 * local subscribers. `none`: understood, and of a kind that is no telemetry.
 */
export interface Fate {
  readonly kind: 'record' | 'dead-letter' | 'filtered' | 'refused' | 'local' | 'none';
  /** The device type; undefined: no profile matches. */
  readonly type: string | undefined;
  /** From 0, where a message may hold several. */
  readonly reading: number | undefined;
  /** Who it is from, where its route came so far; of the message before if it could not be read. */
  readonly device: BoundDevice | undefined;
  /** Of a record and a dead letter. */
  readonly record: RehearsedRecord | undefined;
  /** Of a dead letter; and of what is refused because not even its dead letter can be sent. */
  readonly reason: DecodeFault | undefined;
}

const NOTHING = { reading: undefined, device: undefined, record: undefined, reason: undefined };

/** Topics that are remembered with their routes, as the gateway does it. */
const MAX_TOPICS = 10_000;

/**
 * A gateway without MQTT and Kafka: the same routes, decoders, normalisers and delivery, built from the same
 * blueprint. Messages go in as they were captured, by their own time, and what would have gone to Kafka comes out.
 * It remembers of devices what the gateway would.
 */
export class Rehearsal {
  readonly #blueprint: Blueprint;
  readonly #clock: RehearsalClock;
  readonly #stage: Stage;
  readonly #delivery: Delivery;
  readonly #routes: RouteCache<readonly (RehearsedRoute & DeliveryRoute)[]>;
  readonly #topics = new Map<string, Topic>();

  /** The blueprint must have been drawn with the clock, and serves this rehearsal alone. `begins` is called before each fate. */
  constructor(blueprint: Blueprint, clock: RehearsalClock, begins: () => void = () => undefined) {
    this.#blueprint = blueprint;
    this.#clock = clock;
    this.#stage = new Stage(blueprint.producer, begins);
    blueprint.services.framings.assume();
    const ledger = new Ledger();
    this.#routes = new RouteCache(({ name }) =>
      blueprint.routes
        .match(name)
        .map(({ target, captures }) =>
          withAccount(new RehearsedRoute(target.bind(captures, name), this.#stage), ledger),
        ),
    );
    this.#delivery = new Delivery({
      resolve: (topic) => this.#routes.resolve(topic),
      ledger,
      records: this.#stage,
      // Here Kafka refuses nothing.
      types: { deadLetterTopic: () => undefined, pattern: () => undefined },
      unrouted: blueprint.config.unrouted,
      clock,
      logger: silentLogger,
    });
  }

  get blueprint(): Blueprint {
    return this.#blueprint;
  }

  /** The topic's routes, in order: those that {@link perform} takes. */
  routes(topicName: string): readonly TranscoderRoute[] {
    return this.#routes.resolve(this.#topic(topicName)).map(({ inner }) => inner);
  }

  /** What becomes of a message: one fate a record, or one that says that there is none. */
  perform(message: CapturedMessage): readonly Fate[] {
    this.#clock.nowMs = message.receivedAtMs;
    const { topic, ...rest } = message;
    const { fates, origin } = this.#stage.begin();
    const publication = { ...rest, topic: this.#topic(topic), packetId: message.qos === 0 ? 0 : 1 };
    if (!this.#delivery.accept(publication, origin, 0)) {
      throw new SluiceError('REHEARSAL_STUCK', `a message of ${topic} waits for what never comes`);
    }
    const outcome = this.#stage.end();
    if (fates.length > 0) return fates;
    const kind =
      outcome === Outcome.Local ? 'local' : outcome === Outcome.Refused ? 'refused' : ('none' as const);
    const type = this.routes(topic)[0]?.profile;
    return [{ ...NOTHING, kind, type, reason: this.#stage.fault }];
  }

  #topic(name: string): Topic {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      if (this.#topics.size >= MAX_TOPICS) {
        this.#topics.clear();
        this.#routes.clear();
      }
      topic = { name, id: this.#topics.size };
      this.#topics.set(name, topic);
    }
    return topic;
  }
}

/** Where Kafka would be: it takes every record that the producer would take, and keeps it to be looked at. */
class Stage implements RecordSink, RouteListener {
  readonly #limits: RecordLimits;
  /** Called before each fate. */
  readonly begins: () => void;
  #fates: Fate[] = [];
  #outcome: Outcome | undefined;
  /** What the route says of the message or reading that is being delivered. */
  #verdict: Verdict | undefined;
  /** Of readings of the present message that were not understood. */
  readonly #bad = new Map<number, Verdict>();
  #taken: { readonly target: RecordTarget; readonly token: number }[] = [];

  constructor(limits: RecordLimits, begins: () => void) {
    this.#limits = limits;
    this.begins = begins;
  }

  begin(): { readonly fates: readonly Fate[]; readonly origin: PublicationOrigin } {
    this.#fates = [];
    this.#taken = [];
    this.#outcome = undefined;
    this.#verdict = undefined;
    this.#bad.clear();
    const complete = (_token: number, outcome: Outcome): void => {
      this.#outcome = outcome;
    };
    return { fates: this.#fates, origin: { complete, resume: () => undefined } };
  }

  /** Kafka acknowledges everything. */
  end(): Outcome | undefined {
    for (const { target, token } of this.#taken) target.recordCompleted(token, ACKNOWLEDGED, 0);
    return this.#outcome;
  }

  /** What is wrong with what was delivered last. */
  get fault(): DecodeFault | undefined {
    return this.#verdict?.fault;
  }

  /** A route has spoken. */
  said(verdict: Verdict): void {
    this.#verdict = verdict;
    const { type, reading, device, ends, fault } = verdict;
    if (fault !== undefined && reading !== undefined) this.#bad.set(reading, verdict);
    if (ends !== undefined) this.#fates.push({ ...NOTHING, kind: ends, type, reading, device });
  }

  tryAppend(record: SerializedRecord, target: RecordTarget, token: number): SluiceError | undefined {
    const { type, reading, device, fault } = this.#verdict ?? {};
    const refusal = neverSendable(record, upperBoundBytes(record), this.#limits);
    if (refusal !== undefined) {
      // There is no dead letter for a dead letter.
      if (fault !== undefined)
        this.#fates.push({ ...NOTHING, kind: 'refused', type, reading, reason: refusal });
      this.#verdict = { type, reading, device, fault: refusal, ends: undefined };
      return refusal;
    }
    const copied = copyOf(record);
    const headers = new Map(copied.headers);
    const code = headers.get(DEAD_LETTER_HEADERS.code);
    const shared = headers.get(DEAD_LETTER_HEADERS.reading);
    if (code !== undefined && shared !== undefined) {
      // It comes behind all readings, and is the fate of each that it names.
      const why = { code, message: headers.get(DEAD_LETTER_HEADERS.message) ?? '' };
      for (const each of namedReadings(shared)) {
        // In the order in which the route has spoken of them.
        const next = this.#fates.findIndex((fate) => fate.type === type && (fate.reading ?? -1) > each);
        const { device: from, fault: reason = why } = this.#bad.get(each) ?? {};
        const fate: Fate = { kind: 'dead-letter', type, reading: each, device: from, record: copied, reason };
        this.#fates.splice(next < 0 ? this.#fates.length : next, 0, fate);
      }
      this.#taken.push({ target, token });
      return undefined;
    }
    const reason =
      fault === undefined && code === undefined
        ? undefined
        : {
            code: fault?.code ?? code ?? '',
            message: fault?.message ?? headers.get(DEAD_LETTER_HEADERS.message) ?? '',
          };
    this.#fates.push({
      kind: reason === undefined ? 'record' : 'dead-letter',
      type,
      reading,
      device,
      record: copied,
      reason,
    });
    this.#taken.push({ target, token });
    return undefined;
  }
}

const ACKNOWLEDGED: RecordResult = {
  error: undefined,
  topic: '',
  record: () => {
    throw new Error('nobody looks at a record that was acknowledged');
  },
};

/** Of a dead letter's header, such as `0-2,7`. */
function* namedReadings(text: string): Generator<number> {
  for (const range of text.split(',')) {
    const [first = 0, last = first] = range.split('-').map(Number);
    for (let reading = first; reading <= last; reading++) yield reading;
  }
}

function copyOf({ topic, key, value, timestampMs, headers }: SerializedRecord): RehearsedRecord {
  return {
    topic,
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    timestampMs,
    headers: decodeHeaders(headers).map(
      ({ key: name, value: text }) =>
        [name, text === null ? '' : Buffer.from(text).toString('utf8')] as const,
    ),
  };
}
