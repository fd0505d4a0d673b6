import {
  discard,
  type FileSystem,
  type OpenFile,
  tryRemove,
  tryTruncate,
  withFile,
} from '../../durable-log/file-system.ts';
import { FINISHED_SUFFIX, segmentPath, SPARE_NAME, type StoredSegment } from './segment-file.ts';

/**
 * So much of a file is given back a step; between the steps commits have their turn. To remove 64 MiB at once takes
 * 17 ms, nearly all of it for the pages in the page cache, and much longer where cores are short: as long would every
 * record wait that is to become durable meanwhile.
 */
const STEP_BYTES = 2 << 20;
/** Files whose removal is begun together: as many are kept open. */
const REMOVED_TOGETHER = 16;

/**
 * What becomes of the files of segments that nobody needs any more: one a directory is kept for the next segment, the
 * others lose their names at once and give their space back piece by piece. A file without a name needs no
 * recovery: the kernel gives it back with the process.
 */
export class FinishedFiles {
  readonly #fs: FileSystem;
  /** Directories that have a spare file. */
  readonly spares = new Set<string>();
  /** Files without a name, open because that is all that keeps them. */
  readonly #nameless: { readonly file: OpenFile; bytes: number }[] = [];

  constructor(fs: FileSystem) {
    this.#fs = fs;
  }

  /** Keeps the segment's file for the next one; false if there is one already, or the disk does not let us. */
  keepAsSpare(segment: StoredSegment): boolean {
    const { directory } = segment;
    if (this.spares.has(directory)) return false;
    try {
      this.#fs.rename(segmentPath(segment), `${directory}/${SPARE_NAME}`);
      this.spares.add(directory);
      return true;
    } catch {
      return false;
    }
  }

  /** Takes the file's name; its space follows with {@link giveBack}. False if the disk does not let us. */
  remove(path: string): boolean {
    const opened = this.#open(path);
    const removed = tryRemove(this.#fs, path);
    if (opened === undefined) return removed;
    if (removed) this.#nameless.push(opened);
    else discard(opened.file);
    return removed;
  }

  /** undefined: one that can't be opened is removed in one go. */
  #open(path: string): { readonly file: OpenFile; bytes: number } | undefined {
    let file: OpenFile | undefined;
    try {
      file = this.#fs.open(path, 'write');
      return { file, bytes: file.size() };
    } catch {
      discard(file);
      return undefined;
    }
  }

  /** Gives back a piece of what was removed; true when nothing is left of it. */
  giveBack(): boolean {
    for (let left = STEP_BYTES; left > 0;) {
      const last = this.#nameless.at(-1);
      if (last === undefined) return true;
      const piece = Math.min(left, last.bytes);
      left -= piece;
      last.bytes -= piece;
      if (last.bytes > 0 && tryTruncate(last.file, last.bytes)) continue;
      this.#nameless.pop();
      discard(last.file);
    }
    return this.#nameless.length === 0;
  }

  /** Gives back all that was removed. */
  close(): void {
    for (const { file } of this.#nameless.splice(0)) discard(file);
  }
}

/**
 * Segments that nobody needs any more, until their removal is durable: a loss of power may bring a file back. A file is
 * removed when a checkpoint says that all of it is done; where none can be written, it is emptied, for its room, and
 * keeps a name that says so: a file that is simply gone is a loss, and a start reports it (recovery.ts).
 */
export class SegmentRemoval {
  readonly #fs: FileSystem;
  /** Whether the disk of a directory is there: what is not found on another is not removed. */
  readonly #isThere: (directory: string) => boolean;
  readonly #emptied = new Set<number>();
  readonly leaving = new Map<number, StoredSegment>();
  readonly files: FinishedFiles;

  constructor(fs: FileSystem, isThere: (directory: string) => boolean) {
    this.#fs = fs;
    this.#isThere = isThere;
    this.files = new FinishedFiles(fs);
  }

  /**
   * Removes files, a few at a time, and forgets a segment when its removal is durable. True: some are gone.
   * `maySpare`: the file may serve the next segment.
   */
  clearAway(maySpare: (segment: StoredSegment) => boolean): boolean {
    const removed = new Map<string, number[]>();
    for (const segment of this.leaving.values()) {
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
        this.leaving.delete(id);
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
    for (const segment of this.leaving.values()) {
      if (this.#emptied.has(segment.id)) continue;
      const path = segmentPath(segment);
      try {
        this.#fs.rename(path, path + FINISHED_SUFFIX);
        this.#emptied.add(segment.id);
        withFile(this.#fs, path + FINISHED_SUFFIX, 'write', (file) => file.truncate(0));
      } catch {
        // Removed with the first checkpoint that can be written.
      }
    }
  }
}
