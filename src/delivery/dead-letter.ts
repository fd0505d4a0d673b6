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
import { SlotKind, type DeliverySlots } from './delivery-slots.ts';
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

/** Who waits for the records in the slots, and for the dead letters in their place. */
export interface RejectionTarget extends RecordTarget {
  /** The dead letter can't be sent either, and never will be. */
  deadLetterRefused(slot: number, error: SluiceError): void;
}

export interface RejectedRecordsOptions {
  readonly records: RecordSink;
  readonly types: DeviceTypes;
  readonly clock: Clock;
}

/** Sends dead letters of records that Kafka did not take, in their place: the same target hears of them. */
export class RejectedRecords {
  readonly #options: RejectedRecordsOptions;
  readonly #slots: DeliverySlots;
  readonly #target: RejectionTarget;
  readonly #record = emptyRecord();

  constructor(options: RejectedRecordsOptions, slots: DeliverySlots, target: RejectionTarget) {
    this.#options = options;
    this.#slots = slots;
    this.#target = target;
  }

  /** From now on the slot has a dead letter. Borrows the record: it may be a view on memory that is used again. */
  append(slot: number, rejected: RejectedRecord, topic: string, fault: DecodeFault): void {
    this.#slots.kinds[slot] = SlotKind.DeadLetter;
    this.#fill(slot, rejected, topic, fault);
    this.#append(slot, this.#record);
  }

  /**
   * Why, and whose it is, behind the record's own headers, which may have the same names. Its own timestamp becomes a
   * header: it may be what Kafka refused, and then the dead letter has none: ours is no better when our clock is ahead.
   */
  #fill(slot: number, rejected: RejectedRecord, topic: string, fault: DecodeFault): void {
    const { types, clock } = this.#options;
    const slots = this.#slots;
    const { profile } = slots.accounts[slot] as Account;
    const headers: Texts = [
      [DEAD_LETTER_HEADERS.code, fault.code],
      [DEAD_LETTER_HEADERS.message, fault.message],
      // What comes back from a journal does not know the topic, nor when it was received.
      [DEAD_LETTER_HEADERS.topic, slots.topics[slot]?.name],
      [DEAD_LETTER_HEADERS.clientId, slots.clientIds[slot]],
      [DEAD_LETTER_HEADERS.receivedAt, slots.receivedAtMs[slot]?.toString()],
      [DEAD_LETTER_HEADERS.attempt, FIRST_ATTEMPT],
      [DEAD_LETTER_HEADERS.type, profile],
      [DEAD_LETTER_HEADERS.route, types.pattern(profile)],
      [DEAD_LETTER_HEADERS.holds, 'record'],
      [DEAD_LETTER_HEADERS.recordTopic, topic],
      [DEAD_LETTER_HEADERS.recordTimestamp, String(rejected.timestampMs)],
    ];
    const record = this.#record;
    record.topic = deadLetterTopic(types, profile, topic);
    record.key = rejected.key;
    record.value = rejected.value;
    record.timestampMs = fault.code === 'INVALID_TIMESTAMP' ? NO_TIMESTAMP : clock.wallMs();
    record.headers = appendHeaders(rejected.headers, known(headers));
  }

  /** While there is no room, a copy waits: no more of them than the producer held. */
  #append(slot: number, record: SerializedRecord): void {
    const refusal = this.#options.records.tryAppend(record, this.#target, slot);
    if (refusal === undefined) return;
    if (refusal instanceof SluiceError) {
      this.#target.deadLetterRefused(slot, refusal);
      return;
    }
    const copy =
      record === this.#record ? { ...record, key: copyOf(record.key), value: copyOf(record.value) } : record;
    refusal.wait(() => this.#append(slot, copy));
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

  say(account: Account, { code, message }: SluiceError, what = NOT_DELIVERED): void {
    const now = this.#clock.monotonicMs();
    if (now - this.#lastMs < 1_000) return;
    this.#lastMs = now;
    const { profile, refused } = account.figures;
    this.#logger.error({ type: profile, code, reason: message, refused }, what);
  }
}

const NOT_DELIVERED = 'a record could not be delivered; its device is not acknowledged';

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
