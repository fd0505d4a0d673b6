import { crc32 } from 'node:zlib';

/*
 * A segment of the audit log is a row of frames, little endian:
 *   u32 magic | u32 CRC-32 of the rest | u8 type | u32 length of the body | body
 */
const MAGIC = 0x5541_4c53;
export const FRAME_HEADER_BYTES = 13;

export const FrameType = {
  /** Entries, see block.ts; compressed with zstd. */
  Entries: 1,
  /** Everything before it is on stable storage. */
  Synced: 2,
  /** Entries that could not be written: f64 from ms | f64 to ms | f64 number. */
  Gap: 3,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export interface Frame {
  readonly type: number;
  readonly body: Buffer;
}

export function writeFrame(type: FrameType, body: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + body.length);
  frame.writeUInt32LE(MAGIC, 0);
  frame.writeUInt8(type, 8);
  frame.writeUInt32LE(body.length, 9);
  frame.set(body, FRAME_HEADER_BYTES);
  frame.writeUInt32LE(crc32(frame.subarray(8)), 4);
  return frame;
}

/** The frames of a segment, and where there is none although later bytes are one. */
export function* readFrames(
  segment: Buffer,
): Generator<Frame | { readonly damagedBytes: number } | { readonly tornBytes: number }> {
  let position = 0;
  while (position < segment.length) {
    const frame = frameAt(segment, position);
    if (frame !== undefined) {
      yield frame;
      position += FRAME_HEADER_BYTES + frame.body.length;
      continue;
    }
    const next = nextFrame(segment, position + 1);
    if (next === undefined) yield { tornBytes: segment.length - position };
    else yield { damagedBytes: next - position };
    position = next ?? segment.length;
  }
}

function frameAt(segment: Buffer, position: number): Frame | undefined {
  if (position + FRAME_HEADER_BYTES > segment.length || segment.readUInt32LE(position) !== MAGIC)
    return undefined;
  const end = position + FRAME_HEADER_BYTES + segment.readUInt32LE(position + 9);
  if (end > segment.length) return undefined;
  if (segment.readUInt32LE(position + 4) !== crc32(segment.subarray(position + 8, end))) return undefined;
  return {
    type: segment.readUInt8(position + 8),
    body: segment.subarray(position + FRAME_HEADER_BYTES, end),
  };
}

const MAGIC_BYTES = Buffer.from(Uint32Array.of(MAGIC).buffer);

function nextFrame(segment: Buffer, from: number): number | undefined {
  for (let at = segment.indexOf(MAGIC_BYTES, from); at >= 0; at = segment.indexOf(MAGIC_BYTES, at + 1)) {
    if (frameAt(segment, at) !== undefined) return at;
  }
  return undefined;
}
