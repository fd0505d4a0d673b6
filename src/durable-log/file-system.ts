import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { type DirectoryLock, lockDirectory } from './directory-lock.ts';

/** A file that is read. Every call blocks and throws the operating system's error. */
export interface ReadableFile {
  /** Reads up to `target.length` bytes at `position`; returns how many, 0 at the end of the file. */
  read(target: Buffer, position: number): number;
  size(): number;
  close(): void;
}

/** A file that is written too. */
export interface OpenFile extends ReadableFile {
  /** Writes at `position`; returns how many bytes were written, which may be fewer than given. */
  write(source: Buffer, position: number): number;
  /** Returns when everything written is on stable storage (fdatasync). */
  sync(): void;
  truncate(bytes: number): void;
}

/**
 * What a log needs of a file system, in blocking calls: for a thread of its own. Small enough that a test can own it, and
 * every fault in it. log-directory.ts has the same for the event loop.
 */
export interface FileSystem {
  /** Makes the directory and those above it. */
  ensureDirectory(directory: string): void;
  list(directory: string): string[];
  /** `create` makes the file or empties it; `write` opens an existing one for both directions. */
  open(path: string, mode: keyof typeof FLAGS): OpenFile;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Makes creations, renames and removals in the directory durable. */
  syncDirectory(directory: string): void;
  /**
   * Takes the directory for this process, until the lock is released or the process is gone, by whatever death.
   *
   * @throws DirectoryLockedError if another process, or another owner in this one, has it
   */
  lock(directory: string): DirectoryLock;
}

/** Writes all of `bytes`, in as many writes as it takes. Throws what the file throws, or when nothing gets written. */
export function writeFully(file: OpenFile, bytes: Buffer, position: number): void {
  let written = 0;
  while (written < bytes.length) {
    const count = file.write(bytes.subarray(written), position + written);
    // The operating system wrote nothing and named no reason.
    if (count <= 0) throw Object.assign(new Error('a write made no progress'), { code: 'EIO' });
    written += count;
  }
}

/** Reads up to `bytes` from `position`; shorter only where the file ends. */
export function readFully(file: ReadableFile, position: number, bytes: number): Buffer {
  const target = Buffer.alloc(bytes);
  return target.subarray(0, fill(file, target, position));
}

/** Reads from `position` on until the target is full or the file ends; returns how many bytes. */
export function fill(file: Pick<ReadableFile, 'read'>, target: Buffer, position: number): number {
  let filled = 0;
  while (filled < target.length) {
    const count = file.read(target.subarray(filled), position + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}

/** Opens a file for as long as `use` runs. */
export function withFile<T>(
  fs: FileSystem,
  path: string,
  mode: keyof typeof FLAGS,
  use: (file: OpenFile) => T,
): T {
  const file = fs.open(path, mode);
  try {
    return use(file);
  } finally {
    file.close();
  }
}

/** Closes a file that nothing depends on any more: whether that fails is of no interest. */
export function discard(file: ReadableFile | undefined): void {
  try {
    file?.close();
  } catch {
    // Its descriptor is gone in any case.
  }
}

/** Cuts a file for its room; false if the disk does not let us. */
export function tryTruncate(file: OpenFile, bytes: number): boolean {
  try {
    file.truncate(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Removes a file whose stay does no harm; false if the disk does not let us. */
export function tryRemove(fs: FileSystem, path: string): boolean {
  try {
    fs.remove(path);
    return true;
  } catch {
    return false;
  }
}

const openFile = (fd: number): OpenFile => ({
  read: (target, position) => readSync(fd, target, 0, target.length, position),
  write: (source, position) => writeSync(fd, source, 0, source.length, position),
  sync: () => fdatasyncSync(fd),
  truncate: (bytes) => ftruncateSync(fd, bytes),
  size: () => fstatSync(fd).size,
  close: () => closeSync(fd),
});

const FLAGS = { create: 'w+', write: 'r+', read: 'r' } as const;

/** The machine's own file system. The files are readable by their owner alone: they hold devices' data. */
export const nodeFs: FileSystem = {
  ensureDirectory: (directory) => {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  },
  list: (directory) => readdirSync(directory),
  open: (path, mode) => openFile(openSync(path, FLAGS[mode], 0o600)),
  rename: renameSync,
  remove: (path) => rmSync(path, { force: true }),
  syncDirectory: (directory) => {
    const fd = openSync(directory, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  },
  lock: lockDirectory,
};
