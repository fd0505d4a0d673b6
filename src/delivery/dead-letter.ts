import { DEAD_LETTER_HEADERS } from '../core/dead-letter.ts';
import type { Publication } from '../core/publication.ts';
import { appendHeaders, encodeHeaders, type Header, type SerializedRecord } from '../core/record.ts';
import type { DecodeFault, Route } from '../core/route.ts';
import type { BadReadings } from './bad-readings.ts';
import type { Rejection } from './rejected-records.ts';

/** Kafka's RecordBatch.NO_TIMESTAMP: retention goes by the time at which the broker has written the segment. */
const NO_TIMESTAMP = -1;
/** The first one is the gateway's own; a replay that fails leaves the dead letter as it is. */
const FIRST_ATTEMPT = '1';

/** What a dead letter is about, of a payload that holds several readings. */
export type DeadLetterPart =
  /** A payload with one reading alone. */
  | { readonly alone: Uint8Array }
  /** The whole payload, and which of its readings are meant. */
  | { readonly readings: BadReadings };

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
  const headers = [
    header(DEAD_LETTER_HEADERS.code, fault.code),
    header(DEAD_LETTER_HEADERS.message, fault.message),
    header(DEAD_LETTER_HEADERS.topic, publication.topic.name),
    header(DEAD_LETTER_HEADERS.clientId, publication.clientId),
    header(DEAD_LETTER_HEADERS.qos, String(publication.qos)),
    header(DEAD_LETTER_HEADERS.retain, String(publication.retain)),
    header(DEAD_LETTER_HEADERS.receivedAt, String(publication.receivedAtMs)),
    header(DEAD_LETTER_HEADERS.attempt, FIRST_ATTEMPT),
  ];
  if (route !== undefined) headers.push(header(DEAD_LETTER_HEADERS.type, route.profile));
  if (route?.pattern !== undefined) headers.push(header(DEAD_LETTER_HEADERS.route, route.pattern));
  if (part !== undefined && 'readings' in part) {
    headers.push(header(DEAD_LETTER_HEADERS.reading, String(part.readings)));
  }
  record.topic = kafkaTopic;
  record.key = Buffer.from(publication.topic.name, 'utf8');
  record.value = part !== undefined && 'alone' in part ? part.alone : publication.payload;
  record.timestampMs = publication.receivedAtMs;
  record.headers = encodeHeaders(headers);
}

/** Whose record it is that Kafka refused. What comes back from a journal does not know all of it. */
export interface RecordSource {
  readonly profile: string;
  readonly pattern: string | undefined;
  readonly clientId: string;
  readonly mqttTopic?: string;
  readonly receivedAtMs?: number;
}

/**
 * Fills `record` with a record that Kafka refused, why, and whose it is. Its own timestamp becomes a header: it may
 * be what Kafka refused, and then the dead letter has none: ours is no better when our clock is ahead. The headers that are added stand behind its own, which may have the same names.
 */
export function toRejectedRecord(
  { record: rejected, topic, deadLetterTopic, fault, source }: Rejection,
  nowMs: number,
  record: SerializedRecord,
): void {
  const { profile, pattern, clientId, mqttTopic, receivedAtMs } = source;
  const known: readonly (readonly [name: string, text: string | undefined])[] = [
    [DEAD_LETTER_HEADERS.code, fault.code],
    [DEAD_LETTER_HEADERS.message, fault.message],
    [DEAD_LETTER_HEADERS.topic, mqttTopic],
    [DEAD_LETTER_HEADERS.clientId, clientId],
    [DEAD_LETTER_HEADERS.receivedAt, receivedAtMs?.toString()],
    [DEAD_LETTER_HEADERS.attempt, FIRST_ATTEMPT],
    [DEAD_LETTER_HEADERS.type, profile],
    [DEAD_LETTER_HEADERS.route, pattern],
    [DEAD_LETTER_HEADERS.holds, 'record'],
    [DEAD_LETTER_HEADERS.recordTopic, topic],
    [DEAD_LETTER_HEADERS.recordTimestamp, String(rejected.timestampMs)],
  ];
  record.topic = deadLetterTopic;
  record.key = rejected.key;
  record.value = rejected.value;
  record.timestampMs = fault.code === 'INVALID_TIMESTAMP' ? NO_TIMESTAMP : nowMs;
  record.headers = appendHeaders(
    rejected.headers,
    known.flatMap(([name, text]) => (text === undefined ? [] : [header(name, text)])),
  );
}

function header(key: string, text: string): Header {
  return { key, value: Buffer.from(text, 'utf8') };
}
