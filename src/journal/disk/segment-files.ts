import { existsSync, readdirSync } from 'node:fs';
import type { SegmentCipher } from './encryption.ts';
import type { JournalFile } from './journal-fs.ts';
import { HEADER_BYTES, type SegmentHeader } from './segment-header.ts';

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
  cipher: SegmentCipher | undefined;
  endOffset: number;
  /** Ordinals are below it. */
  readonly records: number;
  /** Grows when the file is replaced by a compacted one: offsets in it are then others. */
  generation: number;
}

export function segmentPath(segment: { readonly id: number; readonly directory: string }): string {
  return `${segment.directory}/${segmentName(segment.id)}`;
}

const PAGE_BYTES = 4096;

/**
 * Reads a file of which some pages can't be read any more: those read as zeros, which then show as damage. If not
 * even the header can be read, the disk is what is broken, and the error is passed on: it may come back.
 */
export class SalvagedFile implements JournalFile {
  readonly #file: JournalFile;
  unreadablePages = 0;

  constructor(file: JournalFile) {
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

  write(source: Buffer, position: number): number {
    return this.#file.write(source, position);
  }

  sync(): void {
    this.#file.sync();
  }

  truncate(bytes: number): void {
    this.#file.truncate(bytes);
  }

  size(): number {
    return this.#file.size();
  }

  close(): void {
    this.#file.close();
  }
}
