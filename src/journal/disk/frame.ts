import { crc32 } from 'node:zlib';

/*
 * A segment is a row of frames, little endian:
 *   u32 CRC-32 of the rest | u8 type | u32 length of the body | body
 * The CRC begins with a value that depends on the segment's random seed and on the frame's offset: what a former
 * life of the same file left behind, or what was written to the wrong place, does not pass.
 */
export const FRAME_HEADER_BYTES = 9;

export const FrameType = {
  /** One record (see record-codec.ts). */
  Record: 0x52,
  /** u32 number of records | AES-256-GCM of a run of record frames with blank CRCs | 16 bytes of tag. */
  Sealed: 0x45,
  /** Closes a group: u64 mark | f64 offset of the group's first frame | u32 first ordinal | u32 records | f64 wall ms. */
  Commit: 0x43,
} as const;

const COMMIT_BODY_BYTES = 32;
export const COMMIT_FRAME_BYTES = FRAME_HEADER_BYTES + COMMIT_BODY_BYTES;
/** Where the mark stands in a commit frame: recovery looks for it to find a commit behind damaged bytes. */
export const MARK_OFFSET = FRAME_HEADER_BYTES;
export const MARK_BYTES = 8;

/** What makes a segment's frames its own; random, in its header. */
export interface SegmentSeed {
  readonly crcSeed: number;
  /** 8 bytes that begin the body of every commit frame. */
  readonly mark: Buffer;
}

/** What a commit frame says of its group. */
export interface GroupCommit {
  readonly startOffset: number;
  readonly firstOrdinal: number;
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

export function bodyBytesAt(source: Buffer, position: number): number {
  return source.readUInt32LE(position + 5);
}

/** The CRC of the frame at `position` of `source`, which stands (or will stand) at `offset` of its segment. */
export function frameCrc(source: Buffer, position: number, offset: number, crcSeed: number): number {
  const end = position + FRAME_HEADER_BYTES + bodyBytesAt(source, position);
  const start = (crcSeed ^ Math.imul(offset, 0x9e37_79b1)) >>> 0;
  return crc32(source.subarray(position + 4, end), start);
}

/** Fills in the CRC of every frame in `source` from `start` to `end`; `offset` is where `start` goes in the segment. */
export function sealFrames(
  source: Buffer,
  start: number,
  end: number,
  offset: number,
  crcSeed: number,
): void {
  let at = start;
  while (at < end) {
    source.writeUInt32LE(frameCrc(source, at, offset + at - start, crcSeed), at);
    at += FRAME_HEADER_BYTES + bodyBytesAt(source, at);
  }
}

/** Writes the complete commit frame that stands at `offset` of its segment. */
export function writeCommit(
  target: Buffer,
  position: number,
  offset: number,
  seed: SegmentSeed,
  commit: GroupCommit,
  wallMs: number,
): void {
  writeFrameHeader(target, position, FrameType.Commit, COMMIT_BODY_BYTES);
  const body = position + FRAME_HEADER_BYTES;
  target.set(seed.mark, body);
  target.writeDoubleLE(commit.startOffset, body + 8);
  target.writeUInt32LE(commit.firstOrdinal, body + 16);
  target.writeUInt32LE(commit.records, body + 20);
  target.writeDoubleLE(wallMs, body + 24);
  target.writeUInt32LE(frameCrc(target, position, offset, seed.crcSeed), position);
}

/** Reads the commit frame at `position`, whose CRC has been found right; undefined if it isn't this segment's. */
export function readCommit(source: Buffer, position: number, seed: SegmentSeed): GroupCommit | undefined {
  if (source[position + 4] !== FrameType.Commit || bodyBytesAt(source, position) !== COMMIT_BODY_BYTES) {
    return undefined;
  }
  const body = position + FRAME_HEADER_BYTES;
  if (seed.mark.compare(source, body, body + MARK_BYTES) !== 0) return undefined;
  return {
    startOffset: source.readDoubleLE(body + 8),
    firstOrdinal: source.readUInt32LE(body + 16),
    records: source.readUInt32LE(body + 20),
  };
}
