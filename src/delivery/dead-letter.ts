import type { Clock } from '../core/clock.ts';
import { DEAD_LETTER_HEADERS } from '../core/dead-letter.ts';
import { SluiceError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Publication } from '../core/publication.ts';
import {
  appendHeaders,
  emptyRecord,
  encodeHeaders,
  type Header,
  type SerializedRecord,
} from '../core/record.ts';
import { deadLetterTopicOf, type DecodeFault, type Route } from '../core/route.ts';
import type { Account } from './ledger/ledger.ts';
import type { BadReadings } from './fan-out.ts';
import type { RecordSink, RecordTarget, RejectedRecord } from './ports.ts';

/** Kafka's RecordBatch.NO_TIMESTAMP: retention goes by the time at which the broker has written the segment. */
const NO_TIMESTAMP = -1;
/** The first one is the gateway's own; a replay that fails leaves the dead letter as it is. */
const FIRST_ATTEMPT = '1';

/** What a dead letter is about, of a payload that holds several readings. */
export interface DeadLetterPart {
  /** A payload with one reading alone; undefined: it is the whole payload. */
  readonly alone?: Uint8Array | undefined;
  /** Which of the whole payload's readings are meant. */
  readonly readings?: BadReadings;
}

/**
 * Fills `record` with the original bytes and why they were not understood: the publication's, or a payload with
 * one of its readings alone. The key is the MQTT topic, so that what one device sent stays together and in order.
 * Without a route: no profile matches.
 */
export function toDeadLetter(
  publication: Publication,
  kafkaTopic: string,
  route: Pick<Route, 'profile' | 'pattern'> | undefined,
  fault: DecodeFault,
  part: DeadLetterPart | undefined,
  record: SerializedRecord,
): void {
  const headers: Texts = [
    [DEAD_LETTER_HEADERS.code, fault.code],
    [DEAD_LETTER_HEADERS.message, fault.message],
    [DEAD_LETTER_HEADERS.topic, publication.topic.name],
    [DEAD_LETTER_HEADERS.clientId, publication.clientId],
    [DEAD_LETTER_HEADERS.qos, String(publication.qos)],
    [DEAD_LETTER_HEADERS.retain, String(publication.retain)],
    [DEAD_LETTER_HEADERS.receivedAt, String(publication.receivedAtMs)],
    [DEAD_LETTER_HEADERS.attempt, FIRST_ATTEMPT],
    [DEAD_LETTER_HEADERS.type, route?.profile],
    [DEAD_LETTER_HEADERS.route, route?.pattern],
    [DEAD_LETTER_HEADERS.reading, part?.readings?.toString()],
  ];
  record.topic = kafkaTopic;
  record.key = Buffer.from(publication.topic.name, 'utf8');
  record.value = part?.alone ?? publication.payload;
  record.timestampMs = publication.receivedAtMs;
  record.headers = encodeHeaders(known(headers));
}

/** What is asked of a device type by its name; also of one that is gone, whose records may still be on the way. */
export interface DeviceTypes {
  /** Where its records go that Kafka refuses; undefined: to a topic named after the record's. */
  deadLetterTopic(type: string): string | undefined;
  /** The topic pattern of its route; undefined: not known any more. */
  pattern(type: string): string | undefined;
}

/** The topic of the dead letters of a type's records for `topic`. */
export function deadLetterTopic(types: DeviceTypes, type: string, topic: string): string {
  return types.deadLetterTopic(type) ?? deadLetterTopicOf(topic);
}

/** A record that Kafka did not take, whose it is, and who waits for it. */
export interface Rejection {
  readonly record: RejectedRecord;
  readonly topic: string;
  readonly fault: DecodeFault;
  /** The device type. */
  readonly profile: string;
  readonly clientId: string;
  /** What comes back from a journal does not know these. */
  readonly mqttTopic?: string;
  readonly receivedAtMs?: number;
  readonly target: RecordTarget;
  readonly token: number;
  /** Its dead letter can't be sent either, and never will be. */
  readonly onRefused: (error: SluiceError) => void;
}

/** Sends dead letters of records that Kafka did not take, in their place: the same target hears of them. */
export class RejectedRecords {
  readonly #records: RecordSink;
  readonly #types: DeviceTypes;
  readonly #clock: Clock;
  readonly #record = emptyRecord();

  constructor(records: RecordSink, types: DeviceTypes, clock: Clock) {
    this.#records = records;
    this.#types = types;
    this.#clock = clock;
  }

  /** Borrows the record: it may be a view on memory that is used again. */
  append(rejection: Rejection): void {
    this.#fill(rejection, this.#record);
    this.#append(this.#record, rejection);
  }

  /**
   * Why, and whose it is, behind the record's own headers, which may have the same names. Its own timestamp becomes a
   * header: it may be what Kafka refused, and then the dead letter has none: ours is no better when our clock is ahead.
   */
  #fill(rejection: Rejection, record: SerializedRecord): void {
    const { record: rejected, topic, fault, profile, clientId, mqttTopic, receivedAtMs } = rejection;
    const headers: Texts = [
      [DEAD_LETTER_HEADERS.code, fault.code],
      [DEAD_LETTER_HEADERS.message, fault.message],
      [DEAD_LETTER_HEADERS.topic, mqttTopic],
      [DEAD_LETTER_HEADERS.clientId, clientId],
      [DEAD_LETTER_HEADERS.receivedAt, receivedAtMs?.toString()],
      [DEAD_LETTER_HEADERS.attempt, FIRST_ATTEMPT],
      [DEAD_LETTER_HEADERS.type, profile],
      [DEAD_LETTER_HEADERS.route, this.#types.pattern(profile)],
      [DEAD_LETTER_HEADERS.holds, 'record'],
      [DEAD_LETTER_HEADERS.recordTopic, topic],
      [DEAD_LETTER_HEADERS.recordTimestamp, String(rejected.timestampMs)],
    ];
    record.topic = deadLetterTopic(this.#types, profile, topic);
    record.key = rejected.key;
    record.value = rejected.value;
    record.timestampMs = fault.code === 'INVALID_TIMESTAMP' ? NO_TIMESTAMP : this.#clock.wallMs();
    record.headers = appendHeaders(rejected.headers, known(headers));
  }

  /** While there is no room, a copy waits: no more of them than the producer held. */
  #append(record: SerializedRecord, rejection: Rejection): void {
    const refusal = this.#records.tryAppend(record, rejection.target, rejection.token);
    if (refusal === undefined) return;
    if (refusal instanceof SluiceError) {
      rejection.onRefused(refusal);
      return;
    }
    const copy =
      record === this.#record ? { ...record, key: copyOf(record.key), value: copyOf(record.value) } : record;
    refusal.wait(() => {
      this.#append(copy, rejection);
    });
  }
}

/** What is lost for good is told to the log, at most once a second. */
export class LossLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor({ clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = clock;
    this.#logger = logger;
  }

  say({ profile, figures }: Account, { code, message }: SluiceError, what: string): void {
    const now = this.#clock.monotonicMs();
    if (now - this.#lastMs < 1_000) return;
    this.#lastMs = now;
    this.#logger.error({ type: profile, code, reason: message, refused: figures.refused }, what);
  }
}

export const NOT_DELIVERED = 'a record could not be delivered; its device is not acknowledged';

function copyOf(bytes: Uint8Array | null): Uint8Array | null {
  return bytes === null ? null : new Uint8Array(bytes);
}

/** Headers by name; undefined: it is not known. */
type Texts = readonly (readonly [name: string, text: string | undefined])[];

function known(headers: Texts): Header[] {
  return headers.flatMap(([key, text]) =>
    text === undefined ? [] : [{ key, value: Buffer.from(text, 'utf8') }],
  );
}
