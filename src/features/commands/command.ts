import { isUtf8 } from 'node:buffer';
import type { CommandSettings } from '../../core/device-sessions.ts';
import type { ConsumedRecord } from '../../kafka/clients/ports.ts';

/** A command for one device, ready to be published. */
export interface Command {
  readonly device: string;
  readonly clientId: string;
  readonly mqttTopic: string;
  readonly payload: Buffer;
  /** Wall clock, milliseconds since 1970-01-01 UTC; undefined: never. */
  readonly expiresAtMs: number | undefined;
}

/** Why a command does not reach its device. The codes are stable: headers and metrics carry them. */
export interface Obstacle {
  readonly code: ObstacleCode;
  readonly message: string;
}

export type ObstacleCode =
  | 'NO_DEVICE'
  | 'INVALID_DEVICE'
  | 'INVALID_CORRELATION'
  | 'INVALID_EXPIRY'
  | 'NO_VALUE'
  | 'QUEUE_FULL'
  | 'EXPIRED'
  | 'NO_SESSION'
  | 'NOT_SUBSCRIBED'
  | 'NOT_ACKNOWLEDGED';

/** What may stand in for a topic level; a device id is kept short because everything that waits carries it. */
const MAX_NAME_BYTES = 1_024;

/** Reads a record as a command, or says what is wrong with it. Never throws. */
export function readCommand(
  record: ConsumedRecord,
  partition: number,
  settings: CommandSettings,
): Command | Obstacle {
  const { deviceHeader } = settings;
  const named = deviceHeader === undefined ? record.key : header(record, deviceHeader);
  const where = deviceHeader === undefined ? 'key' : `header ${deviceHeader}`;
  if (named === null || named.length === 0) {
    return { code: 'NO_DEVICE', message: `the record has no ${where}, which names the device` };
  }
  const device = topicLevel(named);
  if (device === undefined) {
    const message = `the ${where} can't stand in a topic: UTF-8 without / + # and NUL, at most ${MAX_NAME_BYTES} bytes`;
    return { code: 'INVALID_DEVICE', message };
  }
  if (record.value === null) return { code: 'NO_VALUE', message: 'the record has no value' };
  const correlation = correlationOf(record, partition, settings);
  if (correlation === undefined) {
    const message = `the header ${settings.correlationHeader} can't stand in a topic: UTF-8 without / + # and NUL`;
    return { code: 'INVALID_CORRELATION', message };
  }
  const names = { device, correlation };
  const mqttTopic = fill(settings.mqttTopic, names);
  if (mqttTopic.startsWith('$')) {
    const message = `${mqttTopic} is a topic that devices can't have: it begins with $`;
    return { code: 'INVALID_DEVICE', message };
  }
  const expiresAtMs = expiryOf(record, settings);
  if (Number.isNaN(expiresAtMs)) {
    const message = `the header ${settings.expiryHeader} is no number of milliseconds`;
    return { code: 'INVALID_EXPIRY', message };
  }
  return { device, clientId: fill(settings.clientId, names), mqttTopic, payload: record.value, expiresAtMs };
}

export const isObstacle = (read: Command | Obstacle): read is Obstacle => 'code' in read;

/** What a record holds in memory while it is on its way, roughly. */
export function bytesOf({ key, value, headers }: ConsumedRecord): number {
  let bytes = 256 + (key?.length ?? 0) + (value?.length ?? 0);
  for (const one of headers) bytes += 64 + one.key.length + (one.value?.length ?? 0);
  return bytes;
}

/** Kafka's own place of the record, where its sender has not named it otherwise. */
function correlationOf(
  record: ConsumedRecord,
  partition: number,
  settings: CommandSettings,
): string | undefined {
  const given = header(record, settings.correlationHeader);
  if (given === null || given.length === 0) return `${partition}-${record.offset}`;
  if (!settings.mqttTopic.includes('{correlation}')) return '';
  return topicLevel(given);
}

/** NaN for a header that is no number. */
function expiryOf(record: ConsumedRecord, { expiryMs, expiryHeader }: CommandSettings): number | undefined {
  const given = header(record, expiryHeader);
  if (given === null) return expiryMs === undefined ? undefined : record.timestampMs + expiryMs;
  const text = Buffer.from(given).toString('latin1');
  return /^\d{1,15}$/.test(text) ? record.timestampMs + Number(text) : Number.NaN;
}

/** The last header of that name, as Kafka's clients take it. */
function header({ headers }: ConsumedRecord, name: string): Uint8Array | null {
  return headers.findLast(({ key }) => key === name)?.value ?? null;
}

function topicLevel(bytes: Uint8Array): string | undefined {
  if (bytes.length > MAX_NAME_BYTES || !isUtf8(bytes)) return undefined;
  const text = Buffer.from(bytes).toString('utf8');
  return /[/+#\0]/.test(text) ? undefined : text;
}

function fill(template: string, names: Readonly<Record<'device' | 'correlation', string>>): string {
  return template.replaceAll(/\{(device|correlation)\}/g, (_, name: 'device' | 'correlation') => names[name]);
}

/** Where a command came from, and whose it is. */
export interface CommandPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly device: string;
}

/** The place as the text that a session stores with the command. */
export function referenceOf({ topic, partition, offset, device }: CommandPlace): string {
  return `${topic} ${partition} ${offset} ${device}`;
}

/** The place again; undefined for a text that is none. */
export function placeOf(reference: string): CommandPlace | undefined {
  // A topic has no spaces; a device's id may.
  const [, topic, partition, offset, device] = /^(\S+) (\d+) (\d+) (.+)$/s.exec(reference) ?? [];
  if (topic === undefined || offset === undefined || device === undefined) return undefined;
  return { topic, partition: Number(partition), offset: BigInt(offset), device };
}
