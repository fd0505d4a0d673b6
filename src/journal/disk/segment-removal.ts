import { FinishedFiles, REMOVED_TOGETHER } from './finished-files.ts';
import type { JournalFs } from './journal-fs.ts';
import { FINISHED_SUFFIX, segmentPath, type StoredSegment } from './segment-files.ts';

/**
 * Segments that nobody needs any more, until their removal is durable: a loss of power may bring a file back. A file is
 * removed when a checkpoint says that all of it is done; where none can be written, it is emptied, for its room, and
 * keeps a name that says so: a file that is simply gone is a loss, and a start reports it (missing-segments.ts).
 */
export class SegmentRemoval {
  readonly #fs: JournalFs;
  /** Whether the disk of a directory is there: what is not found on another is not removed. */
  readonly #isThere: (directory: string) => boolean;
  readonly #leaving = new Map<number, StoredSegment>();
  readonly #emptied = new Set<number>();
  readonly files: FinishedFiles;

  constructor(fs: JournalFs, isThere: (directory: string) => boolean) {
    this.#fs = fs;
    this.#isThere = isThere;
    this.files = new FinishedFiles(fs);
  }

  add(segment: StoredSegment): void {
    this.#leaving.set(segment.id, segment);
  }

  has(id: number): boolean {
    return this.#leaving.has(id);
  }

  segments(): readonly StoredSegment[] {
    return [...this.#leaving.values()];
  }

  /**
   * Removes files, a few at a time, and forgets a segment when its removal is durable. True: some are gone.
   * `maySpare`: the file may serve the next segment.
   */
  clearAway(maySpare: (segment: StoredSegment) => boolean): boolean {
    const removed = new Map<string, number[]>();
    for (const segment of this.#leaving.values()) {
      const { id, directory } = segment;
      const ids = removed.get(directory) ?? [];
      if (ids.length === REMOVED_TOGETHER || !this.#isThere(directory)) continue;
      if (!this.#release(segment, maySpare)) continue;
      ids.push(id);
      removed.set(directory, ids);
    }
    let isProgress = false;
    for (const [directory, ids] of removed) {
      try {
        this.#fs.syncDirectory(directory);
      } catch {
        // Tried again with the next checkpoint, which still says that they are done.
        continue;
      }
      for (const id of ids) {
        this.#leaving.delete(id);
        this.#emptied.delete(id);
      }
      isProgress = true;
    }
    return isProgress;
  }

  /** Removes a segment's file, or keeps it as the directory's spare; false if the disk does not let us. */
  #release(segment: StoredSegment, maySpare: (segment: StoredSegment) => boolean): boolean {
    const path = segmentPath(segment);
    if (this.#emptied.has(segment.id)) return this.files.remove(path + FINISHED_SUFFIX);
    return (maySpare(segment) && this.files.keepAsSpare(segment)) || this.files.remove(path);
  }

  /** Gives the room back, before a checkpoint says that it is not needed. */
  empty(): void {
    for (const segment of this.#leaving.values()) {
      if (this.#emptied.has(segment.id)) continue;
      const path = segmentPath(segment);
      try {
        this.#fs.rename(path, path + FINISHED_SUFFIX);
        this.#emptied.add(segment.id);
        const file = this.#fs.open(path + FINISHED_SUFFIX, 'write');
        try {
          file.truncate(0);
        } finally {
          file.close();
        }
      } catch {
        // Removed with the first checkpoint that can be written.
      }
    }
  }
}

/** A file that is left over is void by its successor's header, or done by the checkpoint. */
export function tryRemove(fs: JournalFs, path: string): boolean {
  try {
    fs.remove(path);
    return true;
  } catch {
    return false;
  }
}
