import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { type FrameSeed, MARK_BYTES } from './frame.ts';

/*
 * One copy of a header, little endian: 8 bytes that say whose file it is | u16 version | u16 flags | u32 CRC seed |
 * 16 bytes of the owner's | 64-bit mark | the owner's fields | u32 CRC-32 of these. The CRC stands in the last four
 * bytes in every version, so that newer versions can be told from damage.
 */
const MAGIC_BYTES = 8;
const COPY_BYTES = 256;
/** The second copy lies in a page of its own: one bad sector does not take a whole file along. */
const COPY_OFFSETS = [0, 4096] as const;
/** Where the first frame stands. */
export const HEADER_BYTES = 8192;

/** A kind of log file. */
export interface LogKind {
  /** 8 characters that its files begin with. */
  readonly magic: string;
  /** Of the files that are written. */
  readonly version: number;
}

/** Fresh randomness for a new file. */
export function newSeed(): FrameSeed {
  const random = randomBytes(4 + MARK_BYTES);
  return { crcSeed: random.readUInt32LE(0), mark: random.subarray(4) };
}

/** Both copies, as they stand at the file's beginning. `fill` writes the owner's fields into a copy. */
export function encodeHeader(
  { magic, version }: LogKind,
  seed: FrameSeed,
  fill?: (copy: Buffer) => void,
): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  const copy = bytes.subarray(0, COPY_BYTES);
  copy.write(magic, 'latin1');
  copy.writeUInt16LE(version, MAGIC_BYTES);
  copy.writeUInt32LE(seed.crcSeed, 12);
  seed.mark.copy(copy, 32);
  fill?.(copy);
  copy.writeUInt32LE(crc32(copy.subarray(0, COPY_BYTES - 4)), COPY_BYTES - 4);
  copy.copy(bytes, COPY_OFFSETS[1]);
  return bytes;
}

/** A sound copy of a header. */
export interface HeaderCopy extends FrameSeed {
  readonly version: number;
  /** All of it, for the owner's fields. */
  readonly copy: Buffer;
}

/** The copies that are sound; none: the file is of another kind, or damaged in both places. */
export function readHeader(bytes: Buffer, magic: string): readonly HeaderCopy[] {
  return COPY_OFFSETS.flatMap((offset) => {
    const copy = bytes.subarray(offset, offset + COPY_BYTES);
    if (copy.length < COPY_BYTES || copy.toString('latin1', 0, MAGIC_BYTES) !== magic) return [];
    if (crc32(copy.subarray(0, COPY_BYTES - 4)) !== copy.readUInt32LE(COPY_BYTES - 4)) return [];
    const mark = Buffer.from(copy.subarray(32, 32 + MARK_BYTES));
    return [{ version: copy.readUInt16LE(MAGIC_BYTES), crcSeed: copy.readUInt32LE(12), mark, copy }];
  });
}
