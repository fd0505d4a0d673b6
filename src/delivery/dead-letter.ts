import { DEAD_LETTER_HEADERS } from '../core/dead-letter.ts';
import type { Publication } from '../core/publication.ts';
import { appendHeaders, encodeHeaders, type Header, type SerializedRecord } from '../core/record.ts';
import type { DecodeFault, Route } from '../core/route.ts';
import type { RejectedRecord } from './record-sink.ts';

/** The first one is the gateway's own; a replay that fails leaves the dead letter as it is. */
const FIRST_ATTEMPT = '1';

/**
 * Fills `record` with the original bytes and why they were not understood: the publication's, or a payload with
 * the selected one of its readings alone. The key is the MQTT topic, so that what one device sent stays together
 * and in order. Without a route: no profile matches.
 */
export function toDeadLetter(
  publication: Publication,
  kafkaTopic: string,
  route: Pick<Route, 'profile' | 'pattern' | 'batch'> | undefined,
  fault: DecodeFault,
  record: SerializedRecord,
): void {
  const alone = route?.batch?.alone();
  const reading = alone === undefined ? route?.batch?.selected : undefined;
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
  if (reading !== undefined) headers.push(header(DEAD_LETTER_HEADERS.reading, String(reading)));
  record.topic = kafkaTopic;
  record.key = Buffer.from(publication.topic.name, 'utf8');
  record.value = alone ?? publication.payload;
  record.timestampMs = publication.receivedAtMs;
  record.headers = encodeHeaders(headers);
}

/**
 * Fills `record` with a record that Kafka refused, and why. Its own timestamp becomes a header: it may be what
 * Kafka refused.
 */
export function toRejectedRecord(
  rejected: RejectedRecord,
  recordTopic: string,
  kafkaTopic: string,
  fault: DecodeFault,
  nowMs: number,
  record: SerializedRecord,
): void {
  record.topic = kafkaTopic;
  record.key = rejected.key;
  record.value = rejected.value;
  record.timestampMs = nowMs;
  record.headers = appendHeaders(rejected.headers, [
    header(DEAD_LETTER_HEADERS.code, fault.code),
    header(DEAD_LETTER_HEADERS.message, fault.message),
    header(DEAD_LETTER_HEADERS.attempt, FIRST_ATTEMPT),
    header(DEAD_LETTER_HEADERS.holds, 'record'),
    header(DEAD_LETTER_HEADERS.recordTopic, recordTopic),
    header(DEAD_LETTER_HEADERS.recordTimestamp, String(rejected.timestampMs)),
  ]);
}

function header(key: string, text: string): Header {
  return { key, value: Buffer.from(text, 'utf8') };
}
