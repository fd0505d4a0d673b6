import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

/*
 * A file of the session store, little endian:
 *   "SLUICESS" | u16 version | u32 seed | u32 CRC-32 of these
 * and then frames:
 *   u16 mark | u32 length of the body | u32 CRC-32 of length and body | body, one record
 * The CRC begins with the file's random seed, so that no device can write a payload that looks like a frame to
 * whoever searches for the next sound one behind damage.
 */
const MAGIC = Buffer.from('SLUICESS', 'latin1');
/** Of the files that are written. */
export const VERSION = 1;
export const FILE_HEADER_BYTES = MAGIC.length + 10;
const MARK = 0xa7e5;
const FRAME_HEADER_BYTES = 10;

/** The header of a new file, and the seed of its frames. */
export function newFileHeader(): { readonly header: Buffer; readonly seed: number } {
  const header = Buffer.alloc(FILE_HEADER_BYTES);
  header.set(MAGIC);
  header.writeUInt16LE(VERSION, MAGIC.length);
  const seed = randomBytes(4).readUInt32LE();
  header.writeUInt32LE(seed, MAGIC.length + 2);
  header.writeUInt32LE(crc32(header.subarray(0, MAGIC.length + 6)), MAGIC.length + 6);
  return { header, seed };
}

/** What a sound header says. */
export interface FileHeader {
  readonly version: number;
  /** Of its frames; only a file of {@link VERSION} or an older one has them as they are read here. */
  readonly seed: number;
}

/** undefined if the file doesn't begin as it should. */
export function readFileHeader(bytes: Buffer): FileHeader | undefined {
  if (bytes.length < FILE_HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const checked = bytes.subarray(0, MAGIC.length + 6);
  if (crc32(checked) !== bytes.readUInt32LE(MAGIC.length + 6)) return undefined;
  return { version: bytes.readUInt16LE(MAGIC.length), seed: bytes.readUInt32LE(MAGIC.length + 2) };
}

/** A frame around a body. */
export function frame(body: Buffer, seed: number): Buffer {
  const target = Buffer.allocUnsafe(FRAME_HEADER_BYTES + body.length);
  target.writeUInt16LE(MARK, 0);
  target.writeUInt32LE(body.length, 2);
  target.set(body, FRAME_HEADER_BYTES);
  target.writeUInt32LE(frameCrc(target, 0, body.length, seed), 6);
  return target;
}

function frameCrc(bytes: Buffer, at: number, length: number, seed: number): number {
  const start = at + FRAME_HEADER_BYTES;
  return crc32(bytes.subarray(start, start + length), crc32(bytes.subarray(at + 2, at + 6), seed));
}

/** What stands in a file. */
export interface FrameScan {
  /** A sound frame's body. */
  readonly onBody: (body: Buffer) => void;
  /** Bytes that belong to no sound frame, with a sound one behind them. */
  readonly onDamage: (bytes: number) => void;
}

/** Goes through the frames behind the header. Returns the bytes behind the last sound one. */
export function scanFrames(bytes: Buffer, seed: number, { onBody, onDamage }: FrameScan): number {
  let at = FILE_HEADER_BYTES;
  let soundEnd = at;
  while (at < bytes.length) {
    const end = frameEnd(bytes, at, seed);
    if (end === undefined) {
      const next = bytes.indexOf(MARK_BYTES, at + 1);
      if (next < 0) break;
      at = next;
      continue;
    }
    if (at > soundEnd) onDamage(at - soundEnd);
    onBody(bytes.subarray(at + FRAME_HEADER_BYTES, end));
    at = end;
    soundEnd = end;
  }
  return bytes.length - soundEnd;
}

const MARK_BYTES = Buffer.of(MARK & 0xff, MARK >> 8);

/** Where the frame at `at` ends; undefined if there is no sound one. */
function frameEnd(bytes: Buffer, at: number, seed: number): number | undefined {
  if (at + FRAME_HEADER_BYTES > bytes.length || bytes.readUInt16LE(at) !== MARK) return undefined;
  const length = bytes.readUInt32LE(at + 2);
  const end = at + FRAME_HEADER_BYTES + length;
  if (end > bytes.length || bytes.readUInt32LE(at + 6) !== frameCrc(bytes, at, length, seed))
    return undefined;
  return end;
}
