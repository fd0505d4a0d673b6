import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { encodeHeader, HEADER_BYTES, newSeed, readHeader } from '../../durable-log/file-header.ts';
import type { ReadableFile } from '../../durable-log/file-system.ts';
import { FrameCipher, KEY_CHECK_BYTES, SALT_BYTES } from '../../durable-log/frame-cipher.ts';
import type { FrameSeed } from '../../durable-log/frame.ts';
import { type LogPlace, LogScanner } from '../../durable-log/log-scanner.ts';
import { JournalError } from '../errors.ts';

const SEGMENT_NAME = /^(\d{12})\.segment$/;

export function segmentName(id: number): string {
  return `${String(id).padStart(12, '0')}.segment`;
}

/** The id in a segment's file name, or undefined for any other file. */
export function segmentIdOf(name: string): number | undefined {
  const digits = SEGMENT_NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** The segment whose file was renamed when it was set aside, or when nothing of it was needed any more. */
export function formerSegmentIdOf(name: string): number | undefined {
  const suffix = [DAMAGED_SUFFIX, FINISHED_SUFFIX].find((end) => name.endsWith(end));
  return suffix === undefined ? undefined : segmentIdOf(name.slice(0, -suffix.length));
}

/** Whether a journal has written to this directory; false of one that isn't there. */
export function holdsSegments(directory: string): boolean {
  return existsSync(directory) && readdirSync(directory).some((name) => segmentIdOf(name) !== undefined);
}

/** A finished segment's file, kept for the next one: writing over allocated blocks is a third quicker. */
export const SPARE_NAME = 'spare';
export const COMPACTING_SUFFIX = '.compacting';
export const DAMAGED_SUFFIX = '.damaged';
/** Nothing of it is needed, though no checkpoint says so yet. */
export const FINISHED_SUFFIX = '.finished';

/** A segment that nothing is written to any more. */
export interface StoredSegment {
  readonly id: number;
  readonly directory: string;
  header: SegmentHeader;
  cipher: FrameCipher | undefined;
  endOffset: number;
  /** Record numbers are below it. */
  readonly records: number;
  /** Grows when the file is replaced by a compacted one: offsets in it are then others. */
  generation: number;
}

export function segmentPath(segment: { readonly id: number; readonly directory: string }): string {
  return `${segment.directory}/${segmentName(segment.id)}`;
}

/** Reads a segment's groups, from its beginning or from where another scanner stood. */
export function scannerOf(
  { header, cipher, endOffset, records }: StoredSegment,
  file: ReadableFile,
  start?: LogPlace,
): LogScanner {
  return new LogScanner(file, header, cipher, { endOffset, records }, start);
}

const PAGE_BYTES = 4096;

/**
 * Reads a file of which some pages can't be read any more: those read as zeros, which then show as damage. If not
 * even the header can be read, the disk is what is broken, and the error is passed on: it may come back.
 */
export class SalvagedFile implements ReadableFile {
  readonly #file: ReadableFile;
  unreadablePages = 0;

  constructor(file: ReadableFile) {
    this.#file = file;
  }

  read(target: Buffer, position: number): number {
    try {
      return this.#file.read(target, position);
    } catch (error) {
      if (position < HEADER_BYTES) throw error;
      this.#file.read(Buffer.alloc(PAGE_BYTES), 0);
      return this.#readPages(target, position);
    }
  }

  #readPages(target: Buffer, position: number): number {
    const size = this.#file.size();
    const bytes = Math.max(0, Math.min(target.length, size - position));
    let done = 0;
    while (done < bytes) {
      const count = Math.min(PAGE_BYTES - ((position + done) % PAGE_BYTES), bytes - done);
      const page = target.subarray(done, done + count);
      try {
        this.#file.read(page, position + done);
      } catch {
        page.fill(0);
        this.unreadablePages++;
      }
      done += count;
    }
    return bytes;
  }

  size(): number {
    return this.#file.size();
  }

  close(): void {
    this.#file.close();
  }
}

const SEGMENT = { magic: 'SLUICEJ\0', version: 1 };
const ENCRYPTED = 0x01;

/** Where a segment's data ends: what is behind it was never acknowledged. */
export interface SegmentEnd {
  readonly id: number;
  readonly endOffset: number;
  /** Records up to the end; numbers are below it. */
  readonly records: number;
}

/** The header of a segment file. */
export interface SegmentHeader extends FrameSeed {
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
export interface NewHeader {
  readonly header: SegmentHeader;
  readonly cipher: FrameCipher | undefined;
}

export function newHeader(
  fields: Pick<SegmentHeader, 'id' | 'createdAtMs' | 'previous'>,
  journalKey: Buffer | undefined,
): NewHeader {
  const salt = randomBytes(SALT_BYTES);
  const cipher = journalKey === undefined ? undefined : new FrameCipher(journalKey, salt);
  const header: SegmentHeader = {
    ...fields,
    compactedEnd: 0,
    compactedRecords: 0,
    ...newSeed(),
    salt,
    encrypted: cipher !== undefined,
    keyCheck: cipher?.keyCheck ?? Buffer.alloc(KEY_CHECK_BYTES),
  };
  return { header, cipher };
}

/** The header as it stands at the file's beginning. */
export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  return encodeHeader(SEGMENT, header, (copy) => {
    copy.writeUInt16LE(header.encrypted ? ENCRYPTED : 0, 10);
    copy.writeDoubleLE(header.id, 16);
    copy.writeDoubleLE(header.createdAtMs, 24);
    header.salt.copy(copy, 40);
    header.keyCheck.copy(copy, 72);
    copy.writeDoubleLE(header.previous.id, 88);
    copy.writeDoubleLE(header.previous.endOffset, 96);
    copy.writeDoubleLE(header.previous.records, 104);
    copy.writeDoubleLE(header.compactedEnd, 112);
    copy.writeDoubleLE(header.compactedRecords, 120);
  });
}

/**
 * Reads the header of the segment that the file's name says it is. `stale`: a recycled file whose new header never
 * reached the disk. undefined: damaged in both places.
 *
 * @throws JournalError JOURNAL_VERSION if a newer version wrote it
 */
export function decodeSegmentHeader(
  bytes: Buffer,
  id: number,
  file: string,
): SegmentHeader | 'stale' | undefined {
  const copies = readHeader(bytes, SEGMENT.magic);
  for (const { version, crcSeed, mark, copy } of copies) {
    if (version > SEGMENT.version) throw newerVersion(file, version);
    if (copy.readDoubleLE(16) !== id) continue;
    return {
      id,
      encrypted: (copy.readUInt16LE(10) & ENCRYPTED) !== 0,
      crcSeed,
      createdAtMs: copy.readDoubleLE(24),
      mark,
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
  return copies.length > 0 ? 'stale' : undefined;
}

function newerVersion(file: string, version: number): JournalError {
  const found = `${file} was written in journal format ${version}, and this version reads up to ${SEGMENT.version}`;
  const advice = 'run the newer version until the journal is drained, or use another directory';
  return new JournalError('JOURNAL_VERSION', `${found}; ${advice}`);
}
