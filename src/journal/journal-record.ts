import type { QoS } from '../core/publication.ts';
import { NO_HEADERS, type SerializedRecord } from '../core/record.ts';

/**
 * Where a record stands: its segment and its number in it, in one number that grows with every append. Exact as
 * a double for 2^29 segments.
 */
export type Position = number;

/** More records than this don't share a segment. */
export const MAX_RECORDS_PER_SEGMENT = 2 ** 24;
export const MAX_SEGMENT_ID = 2 ** 29 - 1;

/** The position of a record that was dropped by policy instead of being written. */
export const DROPPED: Position = -1;

export function positionOf(segmentId: number, recordNumber: number): Position {
  return segmentId * MAX_RECORDS_PER_SEGMENT + recordNumber;
}

export function segmentOf(position: Position): number {
  return Math.floor(position / MAX_RECORDS_PER_SEGMENT);
}

export function recordNumberOf(position: Position): number {
  return position % MAX_RECORDS_PER_SEGMENT;
}

/** What the journal keeps beside the record itself. Borrowed during the call, like the record. */
export interface RecordMeta {
  /** Whose account in the ledger the record belongs to: the device type, so that the ledger can be rebuilt. */
  account: string;
  clientId: string;
  /** The PUBLISH's packet identifier; 0 with QoS 0. With QoS 2 it recognises a repeat after a crash. */
  packetId: number;
  qos: QoS;
  /** Of a QoS 2 publication that its session must know again after a crash: see core/publication.ts; 0: of no such. */
  publicationNumber: number;
}

/** A record as it is read back. One mutable instance serves many; the bytes are views on the batch's memory. */
export interface JournalRecord extends SerializedRecord, RecordMeta {
  position: Position;
}

export function emptyJournalRecord(): JournalRecord {
  return {
    topic: '',
    key: null,
    value: null,
    timestampMs: 0,
    headers: NO_HEADERS,
    account: '',
    clientId: '',
    packetId: 0,
    qos: 0,
    publicationNumber: 0,
    position: 0,
  };
}

/*
 * Version 1, little endian:
 *   u8 version | u8 flags | u16 packet id | u32, u32 timestamp (low, high)
 *   u16 length + UTF-8: topic, account, client id
 *   f64 the publication's number, if flagged
 *   u32 length + bytes: key if flagged, value if flagged
 *   headers in Kafka's wire form, up to the end
 */
const VERSION = 1;
const QOS_MASK = 0x03;
const HAS_KEY = 0x04;
const HAS_VALUE = 0x08;
const HAS_NUMBER = 0x10;
const NUMBER_BYTES = 8;
const FIXED_BYTES = 12 + 3 * 2 + 2 * 4 + NUMBER_BYTES;
const MAX_TEXT_BYTES = 0xffff;

/** Bytes that {@link encodeRecord} writes at most: a character of UTF-16 takes up to three bytes of UTF-8. */
export function recordBoundBytes(record: SerializedRecord, meta: RecordMeta): number {
  return (
    FIXED_BYTES +
    3 * (record.topic.length + meta.account.length + meta.clientId.length) +
    (record.key?.length ?? 0) +
    (record.value?.length ?? 0) +
    record.headers.length
  );
}

/** Why a record can't be written down, or undefined. */
export function recordFault(record: SerializedRecord, meta: RecordMeta): string | undefined {
  if (!(record.timestampMs >= 0 && Number.isSafeInteger(record.timestampMs))) {
    return `${record.timestampMs} is not a timestamp in milliseconds`;
  }
  if (!(meta.packetId >= 0 && meta.packetId <= 0xffff)) return `${meta.packetId} is not a packet identifier`;
  for (const text of [record.topic, meta.account, meta.clientId]) {
    // The length in UTF-16 units rules most texts out without a look at their characters.
    if (text.length * 3 > MAX_TEXT_BYTES && Buffer.byteLength(text, 'utf8') > MAX_TEXT_BYTES) {
      return `a name of more than ${MAX_TEXT_BYTES} bytes`;
    }
  }
  return undefined;
}

/** Writes the record at `position`, where there is room for its bound; returns the position behind it. */
export function encodeRecord(
  target: Buffer,
  position: number,
  record: SerializedRecord,
  meta: RecordMeta,
): number {
  const { key, value, timestampMs } = record;
  target[position] = VERSION;
  const { publicationNumber } = meta;
  target[position + 1] =
    meta.qos |
    (key === null ? 0 : HAS_KEY) |
    (value === null ? 0 : HAS_VALUE) |
    (publicationNumber === 0 ? 0 : HAS_NUMBER);
  target[position + 2] = meta.packetId;
  target[position + 3] = meta.packetId >>> 8;
  writeUint32(target, position + 4, timestampMs);
  writeUint32(target, position + 8, Math.floor(timestampMs / 2 ** 32));
  let end = writeText(target, position + 12, record.topic);
  end = writeText(target, end, meta.account);
  end = writeText(target, end, meta.clientId);
  if (publicationNumber !== 0) end = target.writeDoubleLE(publicationNumber, end);
  if (key !== null) end = writeBytes(target, end, key);
  if (value !== null) end = writeBytes(target, end, value);
  return copyBytes(target, end, record.headers);
}

/**
 * Reads the record in `source` from `start` to `end` into `into`; its bytes are views on `source`. False when it
 * isn't a record of a known version: the frame's checksum was right, so that is a newer writer or our own fault.
 */
export function decodeRecord(source: Buffer, start: number, end: number, into: JournalRecord): boolean {
  if (end - start < 12 || source[start] !== VERSION) return false;
  const flags = source[start + 1] as number;
  into.qos = (flags & QOS_MASK) as QoS;
  into.packetId = source.readUInt16LE(start + 2);
  into.timestampMs = source.readUInt32LE(start + 4) + source.readUInt32LE(start + 8) * 2 ** 32;

  let at = start + 12;
  const topicEnd = textEnd(source, at, end);
  const accountEnd = textEnd(source, topicEnd, end);
  const clientIdEnd = textEnd(source, accountEnd, end);
  const namesEnd = clientIdEnd + ((flags & HAS_NUMBER) === 0 ? 0 : NUMBER_BYTES);
  if (namesEnd > end) return false;
  into.topic = source.toString('utf8', at + 2, topicEnd);
  into.account = source.toString('utf8', topicEnd + 2, accountEnd);
  into.clientId = source.toString('utf8', accountEnd + 2, clientIdEnd);
  into.publicationNumber = namesEnd === clientIdEnd ? 0 : source.readDoubleLE(clientIdEnd);

  at = namesEnd;
  for (const [flag, field] of BYTE_FIELDS) {
    into[field] = null;
    if ((flags & flag) === 0) continue;
    if (at + 4 > end) return false;
    const bytesEnd = at + 4 + source.readUInt32LE(at);
    if (bytesEnd > end) return false;
    into[field] = source.subarray(at + 4, bytesEnd);
    at = bytesEnd;
  }
  into.headers = source.subarray(at, end);
  return at < end;
}

const BYTE_FIELDS = [
  [HAS_KEY, 'key'],
  [HAS_VALUE, 'value'],
] as const;

/** Where the text at `at` ends; past `limit` when it doesn't fit. */
function textEnd(source: Buffer, at: number, limit: number): number {
  return at + 2 > limit ? limit + 1 : at + 2 + source.readUInt16LE(at);
}

function writeUint32(target: Buffer, position: number, value: number): void {
  target[position] = value;
  target[position + 1] = value >>> 8;
  target[position + 2] = value >>> 16;
  target[position + 3] = value >>> 24;
}

function writeText(target: Buffer, position: number, text: string): number {
  const start = position + 2;
  const length = text.length;
  let end = start;
  // A client id is short and nearly always ASCII: the loop takes a fifth of the time of a call into C++.
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) {
      end = start + target.write(text, start, 'utf8');
      break;
    }
    target[end++] = unit;
  }
  target[position] = end - start;
  target[position + 1] = (end - start) >>> 8;
  return end;
}

function writeBytes(target: Buffer, position: number, bytes: Uint8Array): number {
  writeUint32(target, position, bytes.length);
  return copyBytes(target, position + 4, bytes);
}

/** Below about 48 bytes a loop beats TypedArray.set, whose call alone takes some 30 ns. */
function copyBytes(target: Buffer, position: number, source: Uint8Array): number {
  const length = source.length;
  if (length > 48) target.set(source, position);
  else for (let i = 0; i < length; i++) target[position + i] = source[i] as number;
  return position + length;
}
