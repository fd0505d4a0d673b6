import type { ConsumedRecord } from '../../kafka/clients/ports.ts';
import { DEAD_LETTER_HEADERS } from '../../core/dead-letter.ts';
import { envelopeFormat, readEnvelope } from '../../decode/envelope/envelope.ts';
import type { MetricValue, Telemetry } from '../../decode/envelope/envelope.ts';
import { RECORD_HEADERS } from '../../decode/envelope/record-headers.ts';

/** A record as it was read from Kafka, headers as text. */
export interface TailedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: ReadonlyMap<string, string>;
}

/** What a record turned out to be. `bytes` is what nothing else is; `note` says why not what it claims to be. */
export type RecordContent =
  | { readonly kind: 'telemetry'; readonly telemetry: Telemetry }
  | {
      readonly kind: 'dead-letter';
      readonly code: string;
      readonly reason: string;
      readonly mqttTopic: string;
    }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'bytes'; readonly note?: string }
  | { readonly kind: 'tombstone' };

export function tailedRecord(topic: string, partition: number, record: ConsumedRecord): TailedRecord {
  const { offset, key, value, timestampMs } = record;
  const headers = new Map<string, string>();
  for (const { key: name, value: given } of record.headers) {
    if (given !== null && !headers.has(name)) headers.set(name, Buffer.from(given).toString('utf8'));
  }
  return { topic, partition, offset: String(offset), timestampMs, key, value, headers };
}

/** Looks at headers first: they say what the value is. */
export function contentOf({ value, headers }: TailedRecord): RecordContent {
  const code = headers.get(DEAD_LETTER_HEADERS.code);
  if (code !== undefined) {
    const reason = headers.get(DEAD_LETTER_HEADERS.message) ?? '';
    return { kind: 'dead-letter', code, reason, mqttTopic: headers.get(DEAD_LETTER_HEADERS.topic) ?? '' };
  }
  if (value === null) return { kind: 'tombstone' };
  if (envelopeFormat(headers.get(RECORD_HEADERS.contentType)) === 'protobuf') {
    try {
      return { kind: 'telemetry', telemetry: readEnvelope(value) };
    } catch {
      return { kind: 'bytes', note: 'its header says it is telemetry, but it is not' };
    }
  }
  const text = textOf(value);
  return text === undefined ? { kind: 'bytes' } : { kind: 'text', text };
}

/** Whether a record has to do with a device: its telemetry, its key, or a dead letter from its topic. */
export function isFromDevice(record: TailedRecord, content: RecordContent, device: string): boolean {
  if (content.kind === 'telemetry') return content.telemetry.deviceId === device;
  if (content.kind === 'dead-letter') return content.mqttTopic.split('/').includes(device);
  return record.key !== null && textOf(record.key) === device;
}

/** One JSON object without a newline. Integers beyond 2^53 are text, bytes are base64. */
export function recordJson(record: TailedRecord, content: RecordContent): string {
  const { topic, partition, offset, timestampMs, key, headers } = record;
  return JSON.stringify({
    topic,
    partition,
    offset: Number(offset),
    timestamp: timestampMs,
    key: key === null ? null : (textOf(key) ?? base64(key)),
    headers: Object.fromEntries(headers),
    ...valueJson(record, content),
  });
}

function valueJson({ value }: TailedRecord, content: RecordContent): object {
  if (content.kind === 'telemetry') return { telemetry: telemetryJson(content.telemetry) };
  if (value === null) return { value: null };
  const text = textOf(value);
  const plain = text === undefined ? { base64: base64(value) } : { value: parsedIfJson(text) };
  if (content.kind !== 'dead-letter') return plain;
  const { code, reason, mqttTopic } = content;
  return { deadLetter: { code, reason, mqttTopic }, ...plain };
}

function telemetryJson({ attributes, sequence, metrics, ...rest }: Telemetry): object {
  const shown = metrics.map(({ name, value, unit }) => [name, { value: metricJson(value), unit }] as const);
  return {
    ...rest,
    attributes: Object.fromEntries(attributes),
    sequence: typeof sequence === 'bigint' ? String(sequence) : sequence,
    metrics: Object.fromEntries(shown),
  };
}

function metricJson(value: MetricValue): number | string | boolean {
  if (typeof value === 'bigint') return String(value);
  return typeof value === 'object' ? base64(value) : value;
}

function parsedIfJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The text that bytes are, if they are valid UTF-8 and nothing that only a machine would write. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    const text = utf8.decode(bytes);
    // eslint-disable-next-line no-control-regex -- control characters are what tells binary from text
    return /[\u0000-\u0008\u000E-\u001F\u007F]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
