import type { JournalFile, JournalFs } from './journal-fs.ts';
import { segmentPath, SPARE_NAME, type StoredSegment } from './segment-files.ts';

/**
 * So much of a file is given back a step; between the steps commits have their turn. To remove 64 MiB at once takes
 * 17 ms, nearly all of it for the pages in the page cache, and much longer where cores are short: as long would every
 * record wait that is to become durable meanwhile.
 */
const STEP_BYTES = 2 << 20;
/** Files whose removal is begun together: as many are kept open. */
export const REMOVED_TOGETHER = 16;

/**
 * What becomes of the files of segments that nobody needs any more: one a directory is kept for the next segment, the
 * others lose their names at once and give their space back piece by piece. A file without a name needs no
 * recovery: the kernel gives it back with the process.
 */
export class FinishedFiles {
  readonly #fs: JournalFs;
  /** Directories that have a spare file. */
  readonly #spares = new Set<string>();
  /** Files without a name, open because that is all that keeps them. */
  readonly #nameless: { readonly file: JournalFile; bytes: number }[] = [];

  constructor(fs: JournalFs) {
    this.#fs = fs;
  }

  /** Says which directories have a spare file from a former life. */
  found(spares: Iterable<string>): void {
    for (const directory of spares) this.#spares.add(directory);
  }

  /** Whether the directory had a spare file: it is the caller's now. */
  takeSpare(directory: string): boolean {
    return this.#spares.delete(directory);
  }

  /** Keeps the segment's file for the next one; false if there is one already, or the disk does not let us. */
  keepAsSpare(segment: StoredSegment): boolean {
    const { directory } = segment;
    if (this.#spares.has(directory)) return false;
    try {
      this.#fs.rename(segmentPath(segment), `${directory}/${SPARE_NAME}`);
      this.#spares.add(directory);
      return true;
    } catch {
      return false;
    }
  }

  /** Takes the file's name; its space follows with {@link giveBack}. False if the disk does not let us. */
  remove(path: string): boolean {
    const opened = this.#open(path);
    try {
      this.#fs.remove(path);
    } catch {
      if (opened !== undefined) close(opened.file);
      return false;
    }
    if (opened !== undefined) this.#nameless.push(opened);
    return true;
  }

  /** undefined: one that can't be opened is removed in one go. */
  #open(path: string): { readonly file: JournalFile; bytes: number } | undefined {
    let file: JournalFile | undefined;
    try {
      file = this.#fs.open(path, 'write');
      return { file, bytes: file.size() };
    } catch {
      if (file !== undefined) close(file);
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
      if (last.bytes > 0 && truncated(last.file, last.bytes)) continue;
      this.#nameless.pop();
      close(last.file);
    }
    return this.#nameless.length === 0;
  }

  /** Gives back all that was removed. */
  close(): void {
    for (const { file } of this.#nameless.splice(0)) close(file);
  }
}

function truncated(file: JournalFile, bytes: number): boolean {
  try {
    file.truncate(bytes);
    return true;
  } catch {
    return false;
  }
}

function close(file: JournalFile): void {
  try {
    file.close();
  } catch {
    // It has no name, and nobody reads it.
  }
}
