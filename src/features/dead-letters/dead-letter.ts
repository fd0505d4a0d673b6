import { DEAD_LETTER_HEADERS } from '../../core/dead-letter.ts';
import type { QoS } from '../../core/publication.ts';
import { decodeHeaders, type Header } from '../../core/record.ts';
import type { TopicReader } from '../../kafka/connection/topic-reader.ts';
import type { StoredRecord } from '../../kafka/protocol/record-batch-reader.ts';
import { parseRanges, type Range } from './ranges.ts';

/** Where a record lies in Kafka. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** `topic/partition/offset`, as a person names it. */
export function placeText({ topic, partition, offset }: Place): string {
  return `${topic}/${partition}/${offset}`;
}

/** A record as it lies in Kafka. */
export type StoredLetter = StoredRecord;

/** What is read from Kafka: parts of topics, from offset to offset. */
export type LetterSource = Pick<TopicReader, 'describe' | 'offsetAt' | 'read'>;

/** A dead letter, its headers understood. What its headers don't say is empty, 0 or undefined. */
export interface DeadLetter extends Omit<StoredLetter, 'headers'> {
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
  /** Which readings of the payload it is about, from 0, in ascending order; undefined: all of it. */
  readonly readings: readonly Range[] | undefined;
  /** The finished record that Kafka refused, where key and value are one. */
  readonly record: { readonly topic: string | undefined; readonly timestampMs: number } | undefined;
}

/** The code of what lies in a dead-letter topic and isn't one of ours. */
export const NO_DEAD_LETTER = 'NO_DEAD_LETTER';

export function deadLetterOf(stored: StoredLetter): DeadLetter {
  const headers = decodeHeaders(stored.headers);
  const text = (name: string): string | undefined => {
    const value = headers.findLast(({ key }) => key === name)?.value;
    return value === undefined || value === null ? undefined : Buffer.from(value).toString('utf8');
  };
  const number = (name: string): number | undefined => {
    const digits = text(name);
    return digits !== undefined && /^\d{1,15}$/.test(digits) ? Number(digits) : undefined;
  };
  const { timestampMs } = stored;
  const qos = number(DEAD_LETTER_HEADERS.qos);
  const isRecord = text(DEAD_LETTER_HEADERS.holds) === 'record';
  return {
    ...stored,
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

/** undefined for what names no readings. */
function readingsOf(text = ''): readonly Range[] | undefined {
  try {
    return text === '' ? undefined : parseRanges(text);
  } catch {
    return undefined;
  }
}
