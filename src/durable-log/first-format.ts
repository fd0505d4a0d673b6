import { crc32 } from 'node:zlib';
import type { LogPart } from './log-file.ts';

/*
 * Session stores and audit logs as version 0.1.0 wrote them, which are read and never written. Each had frames of its
 * own, which were found again behind damage by the mark that they begin with. The journal's segments are as they were.
 */

/** A sound frame. */
interface OldFrame {
  readonly type: number;
  readonly body: Buffer;
  readonly end: number;
}

/** The sound frames; and the bytes that belong to none, which are damage if a sound one is behind them. */
function* scan(
  bytes: Buffer,
  start: number,
  mark: Buffer,
  frameAt: (at: number) => OldFrame | undefined,
): Generator<OldFrame | LogPart> {
  let soundEnd = start;
  for (let at = start; at < bytes.length;) {
    const frame = frameAt(at);
    if (frame === undefined) {
      const next = bytes.indexOf(mark, at + 1);
      if (next < 0) break;
      at = next;
      continue;
    }
    if (at > soundEnd) yield { records: [], committed: false, damagedBytes: at - soundEnd };
    yield frame;
    at = frame.end;
    soundEnd = frame.end;
  }
  const tornBytes = bytes.length - soundEnd;
  if (tornBytes > 0) yield { records: [], committed: false, tornBytes };
}

const SESSIONS_MAGIC = 'SLUICESS';
const SESSIONS_HEADER_BYTES = 18;
const SESSIONS_FRAME_BYTES = 10;
const SESSIONS_MARK = Buffer.of(0xe5, 0xa7);

/**
 * A session store: "SLUICESS" | u16 version | u32 seed | u32 CRC-32 of these, and then frames of u16 mark | u32 length
 * of the body | u32 CRC-32 of length and body, from the seed on | body. undefined: its header isn't sound.
 */
export function readFirstSessions(bytes: Buffer): Iterable<LogPart> | undefined {
  if (bytes.length < SESSIONS_HEADER_BYTES || bytes.toString('latin1', 0, 8) !== SESSIONS_MAGIC)
    return undefined;
  if (crc32(bytes.subarray(0, 14)) !== bytes.readUInt32LE(14)) return undefined;
  return sessionParts(bytes, bytes.readUInt32LE(10));
}

function* sessionParts(bytes: Buffer, seed: number): Generator<LogPart> {
  const frameAt = (at: number): OldFrame | undefined => {
    const start = at + SESSIONS_FRAME_BYTES;
    if (start > bytes.length || SESSIONS_MARK.compare(bytes, at, at + 2) !== 0) return undefined;
    const end = start + bytes.readUInt32LE(at + 2);
    if (end > bytes.length) return undefined;
    const body = bytes.subarray(start, end);
    const crc = crc32(body, crc32(bytes.subarray(at + 2, at + 6), seed));
    return bytes.readUInt32LE(at + 6) === crc ? { type: 0, body, end } : undefined;
  };
  for (const found of scan(bytes, SESSIONS_HEADER_BYTES, SESSIONS_MARK, frameAt)) {
    if ('body' in found) yield { records: [found.body], committed: true };
    else yield found;
  }
}

const AUDIT_MARK = Buffer.from('SLAU', 'latin1');
const AUDIT_FRAME_BYTES = 13;
/** The type of the frame that says that everything before it is on stable storage. */
const AUDIT_SYNCED = 2;

/**
 * A segment of an audit log: frames of u32 mark | u32 CRC-32 of the rest | u8 type | u32 length of the body | body. A
 * record is the type and the body. undefined: nothing of it is such a segment's.
 */
export function readFirstAudit(bytes: Buffer): readonly LogPart[] | undefined {
  const parts = [...auditParts(bytes)];
  const isSegment = AUDIT_MARK.equals(bytes.subarray(0, AUDIT_MARK.length));
  return isSegment || parts.some(({ records }) => records.length > 0) ? parts : undefined;
}

function* auditParts(bytes: Buffer): Generator<LogPart> {
  const frameAt = (at: number): OldFrame | undefined => {
    const start = at + AUDIT_FRAME_BYTES;
    if (start > bytes.length || AUDIT_MARK.compare(bytes, at, at + 4) !== 0) return undefined;
    const end = start + bytes.readUInt32LE(at + 9);
    if (end > bytes.length || crc32(bytes.subarray(at + 8, end)) !== bytes.readUInt32LE(at + 4))
      return undefined;
    return { type: bytes.readUInt8(at + 8), body: bytes.subarray(start, end), end };
  };
  let records: Buffer[] = [];
  for (const found of scan(bytes, 0, AUDIT_MARK, frameAt)) {
    if (!('body' in found)) yield found;
    else if (found.type !== AUDIT_SYNCED) records.push(Buffer.concat([Buffer.of(found.type), found.body]));
    else {
      yield { records, committed: true };
      records = [];
    }
  }
  if (records.length > 0) yield { records, committed: false };
}
