import { drawBlueprint, type Blueprint } from '../../assembly/blueprint.ts';
import { refuseFaults } from '../../cli/terminal/usable-config.ts';
import type { Clock } from '../../core/clock.ts';
import { CONTRACTS } from '../../core/contract.ts';
import { DEAD_LETTER_HEADERS } from '../../core/dead-letter.ts';
import { SluiceError } from '../../core/errors.ts';
import { silentLogger } from '../../core/logger.ts';
import type { DeviceProfile } from '../../core/profile/profile.ts';
import { Outcome, type Publication, type PublicationOrigin, type Topic } from '../../core/publication.ts';
import { decodeHeaders, type SerializedRecord } from '../../core/record.ts';
import { FILTERED, REFUSED, type Batch, type DecodeFault, type Route, type Trace } from '../../core/route.ts';
import { envelopeFormat, messageIndexesOf, readEnvelope } from '../../decode/envelope/envelope.ts';
import type { Telemetry } from '../../decode/envelope/envelope.ts';
import { RECORD_HEADERS } from '../../decode/envelope/record-headers.ts';
import type { BoundDevice } from '../../decode/profile/bound-device.ts';
import type { ProfileRoute } from '../../decode/profile/profile-route.ts';
import { Delivery } from '../../delivery/delivery.ts';
import { Ledger, withAccount, type DeliveryRoute } from '../../delivery/ledger/ledger.ts';
import type { RecordResult, RecordSink, RecordTarget } from '../../delivery/ports.ts';
import { neverSendable, upperBoundBytes, type RecordLimits } from '../../producer/batches/record-batch.ts';
import { framePrefix } from '../../producer/schema-registry/confluent-framing.ts';
import { RouteCache } from '../../route/route-cache.ts';
import type { CapturedMessage } from '../capture/captured-message.ts';
import { numbersOf, parseRanges } from '../dead-letters/ranges.ts';

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
  readonly blueprint: Blueprint;
  readonly #clock = new RehearsalClock();
  readonly #stage: Stage;
  readonly #delivery: Delivery;
  readonly #routes: RouteCache<readonly (RehearsedRoute & DeliveryRoute)[]>;
  readonly #topics = new Map<string, Topic>();

  /**
   * Of a configuration file. `rules` are told what the profiles' rules do, and when a message or a reading begins.
   * @throws SluiceError CONFIG_INVALID
   */
  constructor(
    file: string | undefined,
    environment: NodeJS.ProcessEnv,
    rules?: Trace & { readonly begin: () => void },
  ) {
    const clock = this.#clock;
    const { blueprint, faults } = drawBlueprint(file, environment, { clock, ...(rules && { trace: rules }) });
    refuseFaults(faults);
    this.blueprint = blueprint;
    this.#stage = new Stage(blueprint.producer, rules?.begin);
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

  /** The topic's routes, in order: those that {@link perform} takes. */
  routes(topicName: string): readonly ProfileRoute[] {
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
class Stage implements RecordSink {
  readonly #limits: RecordLimits;
  /** Called before a route looks at a message or reading. */
  readonly begins: () => void;
  #fates: Fate[] = [];
  #outcome: Outcome | undefined;
  /** What the route says of the message or reading that is being delivered. */
  #verdict: Verdict | undefined;
  /** Of readings of the present message that were not understood. */
  readonly #bad = new Map<number, Verdict>();
  #taken: { readonly target: RecordTarget; readonly token: number }[] = [];

  constructor(limits: RecordLimits, begins: () => void = () => undefined) {
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
    const { fault, ...whose } = verdict;
    if (fault !== undefined && whose.reading !== undefined) this.#bad.set(whose.reading, verdict);
    if (fault !== FILTERED && fault !== REFUSED) return;
    this.#fates.push({ ...NOTHING, ...whose, kind: fault === FILTERED ? 'filtered' : 'refused' });
  }

  tryAppend(record: SerializedRecord, target: RecordTarget, token: number): SluiceError | undefined {
    const { fault, ...whose } = this.#verdict ?? NOBODY;
    const refusal = neverSendable(record, upperBoundBytes(record), this.#limits);
    if (refusal !== undefined) {
      // There is no dead letter for a dead letter.
      if (fault !== undefined) {
        this.#fates.push({ ...NOTHING, ...whose, device: undefined, kind: 'refused', reason: refusal });
      }
      this.#verdict = { ...whose, fault: refusal };
      return refusal;
    }
    this.#taken.push({ target, token });
    const copied = copyOf(record);
    const headers = new Map(copied.headers);
    const code = headers.get(DEAD_LETTER_HEADERS.code);
    const told = code && { code, message: headers.get(DEAD_LETTER_HEADERS.message) ?? '' };
    const shared = headers.get(DEAD_LETTER_HEADERS.reading);
    if (told && shared !== undefined) this.#sharedLetter(copied, whose.type, told, shared);
    else {
      const reason = fault ? { code: fault.code, message: fault.message } : told || undefined;
      this.#fates.push({ ...whose, kind: reason ? 'dead-letter' : 'record', record: copied, reason });
    }
    return undefined;
  }

  /** It comes behind all readings, and is the fate of each that it names. */
  #sharedLetter(
    record: RehearsedRecord,
    type: string | undefined,
    told: DecodeFault,
    readings: string,
  ): void {
    for (const reading of numbersOf(parseRanges(readings))) {
      // In the order in which the route has spoken of them.
      const next = this.#fates.findIndex((fate) => fate.type === type && (fate.reading ?? -1) > reading);
      const { device, fault: reason = told } = this.#bad.get(reading) ?? {};
      const fate: Fate = { kind: 'dead-letter', type, reading, device, record, reason };
      this.#fates.splice(next < 0 ? this.#fates.length : next, 0, fate);
    }
  }
}

const ACKNOWLEDGED: RecordResult = {
  error: undefined,
  topic: '',
  record: () => {
    throw new Error('nobody looks at a record that was acknowledged');
  },
};

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

/** What a route says of a message, or of one of its readings. */
interface Verdict extends Pick<Fate, 'type' | 'reading' | 'device'> {
  /** Why it is no record; undefined: it is one. */
  readonly fault: DecodeFault | undefined;
}

const NOBODY: Verdict = { type: undefined, reading: undefined, device: undefined, fault: undefined };

/**
 * The gateway's own route, with a stage that hears what it says of every message and every reading. Its contract is
 * `kafka`: in a rehearsal all records are acknowledged at once, and nothing needs a journal.
 */
class RehearsedRoute implements Route {
  readonly inner: ProfileRoute;
  readonly profile: string;
  readonly pattern: string;
  readonly contract = CONTRACTS.kafka;
  readonly topic: string;
  readonly deadLetterTopic: string;
  readonly batch: Batch | undefined;
  readonly #stage: Stage;

  constructor(inner: ProfileRoute, stage: Stage) {
    this.inner = inner;
    this.profile = inner.profile;
    this.pattern = inner.pattern;
    this.topic = inner.topic;
    this.deadLetterTopic = inner.deadLetterTopic;
    this.#stage = stage;
    const { batch } = inner;
    this.batch = batch && {
      open: (publication) => {
        const opened = batch.open(publication);
        if (typeof opened === 'number') return opened;
        stage.begins();
        stage.said({ ...NOBODY, type: this.profile, fault: opened });
        return opened;
      },
      select: (index) => batch.select(index),
      get selected() {
        return batch.selected;
      },
      alone: () => batch.alone(),
      close: () => batch.close(),
    };
  }

  toRecord(publication: Publication, record: SerializedRecord): DecodeFault | undefined {
    this.#stage.begins();
    const fault = this.inner.toRecord(publication, record);
    const { batch, device } = this.inner;
    this.#stage.said({ type: this.profile, reading: batch?.selected, device, fault });
    return fault;
  }

  taken(): void {
    this.inner.taken();
  }

  whenReady(callback: () => void): void {
    this.inner.whenReady(callback);
  }
}

/** A clock that stands where the last message was received: what went by between two messages has gone by. */
class RehearsalClock implements Clock {
  /** Milliseconds since 1970-01-01 UTC. */
  nowMs = 0;

  wallMs(): number {
    return this.nowMs;
  }

  monotonicMs(): number {
    return this.nowMs;
  }

  /** Nothing comes to pass between messages. */
  schedule(): () => void {
    return () => undefined;
  }
}

/** What a consumer reads in a record's value; undefined: it is no envelope. */
export function telemetryOf(
  { headers, value }: RehearsedRecord,
  { produce }: DeviceProfile,
): Telemetry | undefined {
  const format = envelopeFormat(headers.find(([name]) => name === RECORD_HEADERS.contentType)?.[1]);
  if (format === undefined || value === null || produce.value === 'raw') return undefined;
  const frame = produce.subject === undefined ? [] : framePrefix(0, messageIndexesOf(format));
  return readEnvelope(value.subarray(frame.length), format);
}
