import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { KEY_CHECK_BYTES, SALT_BYTES, SegmentCipher } from './encryption.ts';
import { JournalKeyError, JournalVersionError } from '../errors.ts';
import { MARK_BYTES, type SegmentSeed } from './frame.ts';

const FORMAT_VERSION = 1;
const MAGIC = Buffer.from('SLUICEJ\0', 'latin1');

/** One copy; the CRC stands in its last four bytes in every version, so that newer versions can be told from damage. */
const COPY_BYTES = 256;
/** The second copy lies in a page of its own: one bad sector does not take a whole segment along. */
const COPY_OFFSETS = [0, 4096] as const;
/** Where the first frame stands. */
export const HEADER_BYTES = 8192;

const ENCRYPTED = 0x01;

/** Where a segment's data ends: what is behind it was never acknowledged. */
export interface SegmentEnd {
  readonly id: number;
  readonly endOffset: number;
  /** Records up to the end; ordinals are below it. */
  readonly records: number;
}

/** The header of a segment file. */
export interface SegmentHeader extends SegmentSeed {
  readonly id: number;
  readonly createdAtMs: number;
  readonly salt: Buffer;
  readonly encrypted: boolean;
  readonly keyCheck: Buffer;
  /**
   * How the segment before ended, of those that the same process wrote. For its first: the last id that it found or
   * reserved, and zeros. Ids between the two were begun and given up (a failed write or sync): whatever their files
   * hold was written again.
   */
  readonly previous: SegmentEnd;
  /** The segment's own end, in a file that was written at one go (see compaction.ts); 0 otherwise. */
  readonly compactedEnd: number;
  readonly compactedRecords: number;
}

/** A header with fresh randomness, and the cipher that belongs to it. */
export function newHeader(
  fields: Pick<SegmentHeader, 'id' | 'createdAtMs' | 'previous'> &
    Partial<Pick<SegmentHeader, 'compactedEnd' | 'compactedRecords'>>,
  journalKey: Buffer | undefined,
): { readonly header: SegmentHeader; readonly cipher: SegmentCipher | undefined } {
  const random = randomBytes(4 + MARK_BYTES + SALT_BYTES);
  const salt = random.subarray(4 + MARK_BYTES);
  const cipher = journalKey === undefined ? undefined : new SegmentCipher(journalKey, salt);
  const header: SegmentHeader = {
    compactedEnd: 0,
    compactedRecords: 0,
    ...fields,
    crcSeed: random.readUInt32LE(0),
    mark: random.subarray(4, 4 + MARK_BYTES),
    salt,
    encrypted: cipher !== undefined,
    keyCheck: cipher?.keyCheck ?? Buffer.alloc(KEY_CHECK_BYTES),
  };
  return { header, cipher };
}

/** Both copies, as they stand at the file's beginning. */
export function encodeHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  const copy = bytes.subarray(0, COPY_BYTES);
  MAGIC.copy(copy, 0);
  copy.writeUInt16LE(FORMAT_VERSION, 8);
  copy.writeUInt16LE(header.encrypted ? ENCRYPTED : 0, 10);
  copy.writeUInt32LE(header.crcSeed, 12);
  copy.writeDoubleLE(header.id, 16);
  copy.writeDoubleLE(header.createdAtMs, 24);
  header.mark.copy(copy, 32);
  header.salt.copy(copy, 40);
  header.keyCheck.copy(copy, 72);
  copy.writeDoubleLE(header.previous.id, 88);
  copy.writeDoubleLE(header.previous.endOffset, 96);
  copy.writeDoubleLE(header.previous.records, 104);
  copy.writeDoubleLE(header.compactedEnd, 112);
  copy.writeDoubleLE(header.compactedRecords, 120);
  copy.writeUInt32LE(crc32(copy.subarray(0, COPY_BYTES - 4)), COPY_BYTES - 4);
  copy.copy(bytes, COPY_OFFSETS[1]);
  return bytes;
}

/**
 * Reads the header of the segment that the file's name says it is. `stale`: a recycled file whose new header never
 * reached the disk. undefined: damaged in both places.
 *
 * @throws JournalVersionError if a newer version wrote it
 */
export function decodeHeader(bytes: Buffer, id: number, file: string): SegmentHeader | 'stale' | undefined {
  let stale = false;
  for (const offset of COPY_OFFSETS) {
    if (offset + COPY_BYTES > bytes.length) continue;
    const copy = bytes.subarray(offset, offset + COPY_BYTES);
    if (!copy.subarray(0, MAGIC.length).equals(MAGIC)) continue;
    if (crc32(copy.subarray(0, COPY_BYTES - 4)) !== copy.readUInt32LE(COPY_BYTES - 4)) continue;
    const version = copy.readUInt16LE(8);
    if (version > FORMAT_VERSION) throw new JournalVersionError(file, version, FORMAT_VERSION);
    if (copy.readDoubleLE(16) !== id) {
      stale = true;
      continue;
    }
    return {
      id,
      encrypted: (copy.readUInt16LE(10) & ENCRYPTED) !== 0,
      crcSeed: copy.readUInt32LE(12),
      createdAtMs: copy.readDoubleLE(24),
      mark: Buffer.from(copy.subarray(32, 40)),
      salt: Buffer.from(copy.subarray(40, 72)),
      keyCheck: Buffer.from(copy.subarray(72, 88)),
      previous: {
        id: copy.readDoubleLE(88),
        endOffset: copy.readDoubleLE(96),
        records: copy.readDoubleLE(104),
      },
      compactedEnd: copy.readDoubleLE(112),
      compactedRecords: copy.readDoubleLE(120),
    };
  }
  return stale ? 'stale' : undefined;
}

/**
 * The cipher for reading a segment, undefined for one in the clear.
 *
 * @throws JournalKeyError without the key that it was written with
 */
export function cipherFor(
  header: SegmentHeader,
  journalKey: Buffer | undefined,
  file: string,
): SegmentCipher | undefined {
  if (!header.encrypted) return undefined;
  if (journalKey === undefined) throw new JournalKeyError(`${file} is encrypted, and no key is configured`);
  const cipher = new SegmentCipher(journalKey, header.salt);
  if (!cipher.keyCheck.equals(header.keyCheck)) {
    throw new JournalKeyError(`${file} was encrypted with another key than the configured one`);
  }
  return cipher;
}
