import { crc32 } from 'node:zlib';
import { type FrameCipher, TAG_BYTES } from './frame-cipher.ts';

/*
 * The format of every log of the gateway: the journal's segments, the session store, the audit log.
 *
 * Constraints
 * - A record that somebody was told of is read again after a kill -9 and after a loss of power.
 * - An unfinished write at the end is told apart from damage in front of it: the one was promised to nobody, the other
 *   is a loss and must be reported.
 * - Damage costs what is damaged and no more: the sound records around it are read.
 * - What a device may write into a record is never taken for a frame; neither is what a reused file held before.
 * - A failed write or sync proves nothing about a later one: writing goes on in another file.
 * - Records reach the disk in large groups and without a copy a record.
 *
 * Design
 * - A file has one writer in its life, which writes strictly forward. It begins with a header (file-header.ts) that
 *   holds a random seed. Groups of frames follow, each closed by a commit frame.
 * - A frame, little endian: u32 CRC-32 of the rest | u8 type | u32 length of the body | body. The CRC begins with a
 *   value that depends on the seed and on the frame's offset: what a former life of the same file left behind, or what
 *   was written to the wrong place, does not pass.
 * - A commit frame has a mark of 64 random bits, by which it is found behind damage. It says where its group begins and
 *   how many records it has. So bad bytes with a commit frame behind them are damage, and it is known how much is lost;
 *   bad bytes with none behind them are a torn tail (log-scanner.ts).
 * - Whether a group and its commit frame are synced together, or the commit frame follows the sync, is the writer's
 *   choice: the second is for readers that must not see what is not on the disk yet.
 */
export const FRAME_HEADER_BYTES = 9;

export const FrameType = {
  /** One record. */
  Record: 0x52,
  /** u32 number of records | AES-256-GCM of a run of record frames with blank CRCs | 16 bytes of tag. */
  Sealed: 0x45,
  /** Closes a group: u64 mark | f64 offset of the group's first frame | u32 first record | u32 records | f64 wall ms. */
  Commit: 0x43,
} as const;

const COMMIT_BODY_BYTES = 32;
export const COMMIT_FRAME_BYTES = FRAME_HEADER_BYTES + COMMIT_BODY_BYTES;
/** Where the mark stands in a commit frame. */
export const MARK_OFFSET = FRAME_HEADER_BYTES;
export const MARK_BYTES = 8;

/** What makes a file's frames its own; random, in its header. */
export interface FrameSeed {
  readonly crcSeed: number;
  /** 8 bytes that begin the body of every commit frame. */
  readonly mark: Buffer;
}

/** What a commit frame says of its group. */
export interface GroupCommit {
  readonly startOffset: number;
  /** The number of its first record in the file; those behind it follow. */
  readonly firstNumber: number;
  readonly records: number;
}

/** Writes a frame's header without its CRC, which only the file's owner can know. */
export function writeFrameHeader(target: Buffer, position: number, type: number, bodyBytes: number): void {
  target[position + 4] = type;
  target[position + 5] = bodyBytes;
  target[position + 6] = bodyBytes >>> 8;
  target[position + 7] = bodyBytes >>> 16;
  target[position + 8] = bodyBytes >>> 24;
}

/** Records as frames with blank CRCs, and room for a commit frame behind them. */
export function recordFrames(records: readonly Buffer[]): Buffer {
  const bytes = records.reduce((sum, { length }) => sum + FRAME_HEADER_BYTES + length, 0);
  const plain = Buffer.allocUnsafe(bytes + COMMIT_FRAME_BYTES);
  let at = 0;
  for (const record of records) {
    plain.fill(0, at, at + 4);
    writeFrameHeader(plain, at, FrameType.Record, record.length);
    plain.set(record, at + FRAME_HEADER_BYTES);
    at += FRAME_HEADER_BYTES + record.length;
  }
  return plain;
}

export function bodyBytesAt(source: Buffer, position: number): number {
  return source.readUInt32LE(position + 5);
}

/** The CRC of the frame at `position` of `source`, which stands (or will stand) at `offset` of its file. */
export function frameCrc(source: Buffer, position: number, offset: number, crcSeed: number): number {
  const end = position + FRAME_HEADER_BYTES + bodyBytesAt(source, position);
  const start = (crcSeed ^ Math.imul(offset, 0x9e37_79b1)) >>> 0;
  return crc32(source.subarray(position + 4, end), start);
}

/** Reads the commit frame at `position`, whose CRC has been found right; undefined if it isn't this file's. */
export function readCommit(source: Buffer, position: number, seed: FrameSeed): GroupCommit | undefined {
  if (source[position + 4] !== FrameType.Commit || bodyBytesAt(source, position) !== COMMIT_BODY_BYTES) {
    return undefined;
  }
  const body = position + FRAME_HEADER_BYTES;
  if (seed.mark.compare(source, body, body + MARK_BYTES) !== 0) return undefined;
  return {
    startOffset: source.readDoubleLE(body + 8),
    firstNumber: source.readUInt32LE(body + 16),
    records: source.readUInt32LE(body + 20),
  };
}

/** What a bit of damage can take along when records are encrypted: one sealed frame. */
const SEALED_PLAIN_BYTES = 64 << 10;
const SEALED_OVERHEAD_BYTES = FRAME_HEADER_BYTES + 4 + TAG_BYTES;

export interface Group {
  /** Of the record frames, without the commit frame. */
  readonly bytes: number;
  readonly records: number;
  readonly firstNumber: number;
}

/** Turns record frames with blank CRCs into a group as it stands in a file: in the clear, or sealed. */
export class GroupWriter {
  readonly #seed: FrameSeed;
  readonly #cipher: FrameCipher | undefined;

  constructor(seed: FrameSeed, cipher: FrameCipher | undefined) {
    this.#seed = seed;
    this.#cipher = cipher;
  }

  /** Bytes that a group takes at most. */
  boundBytes(plainBytes: number): number {
    const runs = this.#cipher === undefined ? 0 : 2 + Math.ceil((2 * plainBytes) / SEALED_PLAIN_BYTES);
    return plainBytes + runs * SEALED_OVERHEAD_BYTES + COMMIT_FRAME_BYTES;
  }

  /**
   * The group's bytes for `offset` of the file, its commit frame included. `plain` has room for that behind its
   * frames and is written to; without encryption it is what is returned.
   */
  encode(plain: Buffer, group: Group, offset: number, wallMs: number): Buffer {
    let target = plain;
    let end = group.bytes;
    if (this.#cipher === undefined) this.#fillCrcs(plain, end, offset);
    else [target, end] = this.#encrypt(this.#cipher, plain, group.bytes, offset);
    this.#writeCommit(target, end, offset, group, wallMs);
    return target.subarray(0, end + COMMIT_FRAME_BYTES);
  }

  #fillCrcs(plain: Buffer, end: number, offset: number): void {
    for (let at = 0; at < end; at += FRAME_HEADER_BYTES + bodyBytesAt(plain, at)) {
      plain.writeUInt32LE(frameCrc(plain, at, offset + at, this.#seed.crcSeed), at);
    }
  }

  #encrypt(cipher: FrameCipher, plain: Buffer, plainBytes: number, offset: number): [Buffer, number] {
    const target = Buffer.allocUnsafe(this.boundBytes(plainBytes));
    let at = 0;
    for (let start = 0; start < plainBytes;) {
      const { end, records } = nextRun(plain, start, plainBytes);
      writeFrameHeader(target, at, FrameType.Sealed, 4 + end - start + TAG_BYTES);
      target.writeUInt32LE(records, at + FRAME_HEADER_BYTES);
      const body = at + FRAME_HEADER_BYTES + 4;
      const next = cipher.seal(plain.subarray(start, end), offset + at, target, body);
      target.writeUInt32LE(frameCrc(target, at, offset + at, this.#seed.crcSeed), at);
      at = next;
      start = end;
    }
    return [target, at];
  }

  #writeCommit(target: Buffer, position: number, startOffset: number, group: Group, wallMs: number): void {
    writeFrameHeader(target, position, FrameType.Commit, COMMIT_BODY_BYTES);
    const body = position + FRAME_HEADER_BYTES;
    target.set(this.#seed.mark, body);
    target.writeDoubleLE(startOffset, body + 8);
    target.writeUInt32LE(group.firstNumber, body + 16);
    target.writeUInt32LE(group.records, body + 20);
    target.writeDoubleLE(wallMs, body + 24);
    const crc = frameCrc(target, position, startOffset + position, this.#seed.crcSeed);
    target.writeUInt32LE(crc, position);
  }
}

/** The frames from `start` on that are sealed together: where they end, and how many they are. */
function nextRun(plain: Buffer, start: number, plainBytes: number) {
  let end = start;
  let records = 0;
  while (end < plainBytes) {
    const next = end + FRAME_HEADER_BYTES + bodyBytesAt(plain, end);
    if (records > 0 && next - start > SEALED_PLAIN_BYTES) break;
    end = next;
    records++;
  }
  return { end, records };
}
