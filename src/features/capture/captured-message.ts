import { isUtf8 } from 'node:buffer';
import type { Publication, QoS } from '../../core/publication.ts';

/*
 * The lines of a capture file: JSON Lines, one object each. docs/explain.md describes them for people.
 *   {"sluice.capture":1,"since":1767225600000,"filter":"#"}      begins a capture; more may be behind it
 *   {"at":1767225600123,"topic":"a/b","client":"d-1","qos":1,"payload":"CgQ="}
 *   {"missed":12}                                                so many messages are not here
 */

const FORMAT = 'sluice.capture';
const VERSION = 1;

/** An MQTT PUBLISH as it was received, and by whom it was sent. */
export interface CapturedMessage {
  /** Wall clock at receipt, milliseconds since 1970-01-01 UTC. */
  readonly receivedAtMs: number;
  readonly topic: string;
  readonly clientId: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly payload: Buffer;
}

/** What a line of a capture says. */
export type CaptureLine =
  | { readonly kind: 'begin'; readonly sinceMs: number; readonly filter: string }
  | { readonly kind: 'message'; readonly message: CapturedMessage }
  | { readonly kind: 'missed'; readonly messages: number };

/** The first line of a capture, with its line break like all of them. */
export function beginLine(sinceMs: number, filter: string): string {
  return `${JSON.stringify({ [FORMAT]: VERSION, since: sinceMs, filter })}\n`;
}

/** The line of a publication. What is usual is left out; a payload that is readable text stays readable. */
export function messageLine(publication: Publication): string {
  const { receivedAtMs, topic, clientId, qos, retain, dup, payload } = publication;
  return `${JSON.stringify({
    at: receivedAtMs,
    topic: topic.name,
    client: clientId,
    qos,
    ...(retain && { retain }),
    ...(dup && { dup }),
    ...(isReadable(payload) ? { text: payload.toString('utf8') } : { payload: payload.toString('base64') }),
  })}\n`;
}

/** The line that stands where messages are not. */
export function missedLine(messages: number): string {
  return `${JSON.stringify({ missed: messages })}\n`;
}

/** Whether text says it all: valid UTF-8 without control characters other than tab and line break. */
function isReadable(payload: Buffer): boolean {
  for (const byte of payload) {
    if (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return false;
    if (byte === 0x7f) return false;
  }
  return isUtf8(payload);
}

/** Reads a line. Returns what is wrong with it as text; never throws. */
export function parseLine(text: string): CaptureLine | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'no JSON';
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'no JSON object';
  const line = value as Readonly<Record<string, unknown>>;
  if (line[FORMAT] !== undefined) {
    if (line[FORMAT] !== VERSION) return `another format than the ${VERSION} that this Sluice reads`;
    const { since, filter } = line;
    return {
      kind: 'begin',
      sinceMs: typeof since === 'number' ? since : 0,
      filter: typeof filter === 'string' ? filter : '#',
    };
  }
  const { missed } = line;
  if (missed !== undefined) {
    return Number.isSafeInteger(missed) && (missed as number) > 0
      ? { kind: 'missed', messages: missed as number }
      : '`missed` is no whole number from 1';
  }
  return parseMessage(line);
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

function parseMessage(line: Readonly<Record<string, unknown>>): CaptureLine | string {
  const { at, topic, client = '', qos = 0, retain = false, dup = false, payload, text } = line;
  if (typeof at !== 'number' || !Number.isSafeInteger(at)) return '`at` is no whole number of milliseconds';
  if (typeof topic !== 'string' || topic === '' || /[+#\0]/.test(topic)) return '`topic` is no topic name';
  if (typeof client !== 'string') return '`client` is no text';
  if (qos !== 0 && qos !== 1 && qos !== 2) return '`qos` is not 0, 1 or 2';
  if (typeof retain !== 'boolean' || typeof dup !== 'boolean') {
    return '`retain` and `dup` are not true or false';
  }
  let bytes: Buffer;
  if (typeof text === 'string' && payload === undefined) bytes = Buffer.from(text, 'utf8');
  else if (typeof payload === 'string' && text === undefined && BASE64.test(payload)) {
    bytes = Buffer.from(payload, 'base64');
  } else return 'neither `payload` in base64 nor `text`';
  const message = { receivedAtMs: at, topic, clientId: client, qos, retain, dup, payload: bytes } as const;
  return { kind: 'message', message };
}
