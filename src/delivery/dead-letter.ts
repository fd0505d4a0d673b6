import type { Publication } from '../core/publication.ts';
import { appendHeaders, encodeHeaders, type Header, type SerializedRecord } from '../core/record.ts';
import type { DecodeFault } from '../core/route.ts';
import type { RejectedRecord } from './record-sink.ts';

/** The headers of a dead letter, by name. Values are UTF-8 text. */
export const DEAD_LETTER_HEADERS = {
  /** Stable code of the reason, e.g. DECODE_FAILED. */
  code: 'error.code',
  /** The reason in words. */
  message: 'error.message',
  /** The device type whose profile was applied; absent for a topic that no profile matches. */
  type: 'device.type',
  topic: 'mqtt.topic',
  clientId: 'mqtt.client.id',
  qos: 'mqtt.qos',
  /** Milliseconds since 1970-01-01 UTC. */
  receivedAt: 'received.at',
  /**
   * What key and value are: `record` where Kafka refused the finished record, whose other headers are then there
   * too. Absent where the value is the payload as the device sent it.
   */
  holds: 'dead.letter.holds',
  /** With `record`: the timestamp that it had. Milliseconds since 1970-01-01 UTC. */
  recordTimestamp: 'record.timestamp',
} as const;

/**
 * Fills `record` with the original bytes, `payload`, and why they were not understood: the publication's, or
 * those of one of its readings. The key is the MQTT topic, so that what one device sent stays together and in order.
 */
export function toDeadLetter(
  publication: Publication,
  kafkaTopic: string,
  profile: string | undefined,
  fault: DecodeFault,
  record: SerializedRecord,
  payload: Uint8Array = publication.payload,
): void {
  const text = (value: string): Uint8Array => Buffer.from(value, 'utf8');
  const headers: Header[] = [
    { key: DEAD_LETTER_HEADERS.code, value: text(fault.code) },
    { key: DEAD_LETTER_HEADERS.message, value: text(fault.message) },
    { key: DEAD_LETTER_HEADERS.topic, value: text(publication.topic.name) },
    { key: DEAD_LETTER_HEADERS.clientId, value: text(publication.clientId) },
    { key: DEAD_LETTER_HEADERS.qos, value: text(String(publication.qos)) },
    { key: DEAD_LETTER_HEADERS.receivedAt, value: text(String(publication.receivedAtMs)) },
  ];
  if (profile !== undefined) headers.push({ key: DEAD_LETTER_HEADERS.type, value: text(profile) });
  record.topic = kafkaTopic;
  record.key = text(publication.topic.name);
  record.value = payload;
  record.timestampMs = publication.receivedAtMs;
  record.headers = encodeHeaders(headers);
}

/**
 * Fills `record` with a record that Kafka refused, and why. Its own timestamp becomes a header: it may be what
 * Kafka refused.
 */
export function toRejectedRecord(
  rejected: RejectedRecord,
  kafkaTopic: string,
  fault: DecodeFault,
  nowMs: number,
  record: SerializedRecord,
): void {
  const text = (value: string): Uint8Array => Buffer.from(value, 'utf8');
  record.topic = kafkaTopic;
  record.key = rejected.key;
  record.value = rejected.value;
  record.timestampMs = nowMs;
  record.headers = appendHeaders(rejected.headers, [
    { key: DEAD_LETTER_HEADERS.code, value: text(fault.code) },
    { key: DEAD_LETTER_HEADERS.message, value: text(fault.message) },
    { key: DEAD_LETTER_HEADERS.holds, value: text('record') },
    { key: DEAD_LETTER_HEADERS.recordTimestamp, value: text(String(rejected.timestampMs)) },
  ]);
}
