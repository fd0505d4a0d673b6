import { DEAD_LETTER_HEADERS } from '../../core/dead-letter.ts';
import type { QoS } from '../../core/publication.ts';
import { decodeHeaders, type EncodedHeaders, type Header } from '../../core/record.ts';

/** A record as it lies in Kafka. */
export interface LetterRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: EncodedHeaders;
}

/** Where a dead letter lies. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** `topic/partition/offset`, as a person names it. */
export function placeText({ topic, partition, offset }: Place): string {
  return `${topic}/${partition}/${offset}`;
}

/** A dead letter, its headers understood. What its headers don't say is empty, 0 or undefined. */
export interface DeadLetter extends Place {
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly Header[];
  /** Stable, e.g. DECODE_FAILED; {@link NO_DEAD_LETTER} for a record that is none. */
  readonly code: string;
  readonly reason: string;
  /** The topic pattern of the route that was taken. */
  readonly route: string | undefined;
  /** The device type whose profile was applied; undefined: none matched. */
  readonly type: string | undefined;
  readonly mqttTopic: string;
  readonly clientId: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly receivedAtMs: number;
  readonly attempt: number;
  /** Which readings of the payload it is about, in ascending order; undefined: all of it. */
  readonly readings: readonly ReadingRange[] | undefined;
  /** The finished record that Kafka refused, where key and value are one. */
  readonly record: { readonly topic: string | undefined; readonly timestampMs: number } | undefined;
}

/** From the first to the last reading, both among them, counted from 0. */
export interface ReadingRange {
  readonly first: number;
  readonly last: number;
}

/** The code of what lies in a dead-letter topic and isn't one of ours. */
export const NO_DEAD_LETTER = 'NO_DEAD_LETTER';

export function deadLetterOf(stored: LetterRecord): DeadLetter {
  const headers = decodeHeaders(stored.headers);
  const text = (name: string): string | undefined => {
    const value = headers.findLast(({ key }) => key === name)?.value;
    return value === undefined || value === null ? undefined : Buffer.from(value).toString('utf8');
  };
  const number = (name: string): number | undefined => {
    const digits = text(name);
    return digits !== undefined && /^\d{1,15}$/.test(digits) ? Number(digits) : undefined;
  };
  const { topic, partition, offset, timestampMs, key, value } = stored;
  const qos = number(DEAD_LETTER_HEADERS.qos);
  const isRecord = text(DEAD_LETTER_HEADERS.holds) === 'record';
  return {
    topic,
    partition,
    offset,
    timestampMs,
    key,
    value,
    headers,
    code: text(DEAD_LETTER_HEADERS.code) ?? NO_DEAD_LETTER,
    reason: text(DEAD_LETTER_HEADERS.message) ?? 'a record without the headers of a dead letter',
    route: text(DEAD_LETTER_HEADERS.route),
    type: text(DEAD_LETTER_HEADERS.type),
    mqttTopic: text(DEAD_LETTER_HEADERS.topic) ?? '',
    clientId: text(DEAD_LETTER_HEADERS.clientId) ?? '',
    qos: qos === 1 || qos === 2 ? qos : 0,
    retain: text(DEAD_LETTER_HEADERS.retain) === 'true',
    receivedAtMs: number(DEAD_LETTER_HEADERS.receivedAt) ?? timestampMs,
    attempt: number(DEAD_LETTER_HEADERS.attempt) ?? 1,
    readings: readingsOf(text(DEAD_LETTER_HEADERS.reading)),
    record: isRecord
      ? {
          topic: text(DEAD_LETTER_HEADERS.recordTopic),
          timestampMs: number(DEAD_LETTER_HEADERS.recordTimestamp) ?? timestampMs,
        }
      : undefined,
  };
}

/** Of text such as `0-2,7`; undefined for what is no such text. */
function readingsOf(text: string | undefined): readonly ReadingRange[] | undefined {
  if (text === undefined || !/^\d{1,10}(-\d{1,10})?(,\d{1,10}(-\d{1,10})?)*$/.test(text)) return undefined;
  return text.split(',').map((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return { first, last };
  });
}

/** As a header has it and a person reads it, such as `0-2,7`. */
export function readingsText(readings: readonly ReadingRange[]): string {
  return readings.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}
