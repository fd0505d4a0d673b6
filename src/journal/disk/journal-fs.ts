import type { DirectoryLock } from './directory-lock.ts';

/** An open file of the journal. Every call blocks and throws the operating system's error. */
export interface JournalFile {
  /** Reads up to `target.length` bytes at `position`; returns how many, 0 at the end of the file. */
  read(target: Buffer, position: number): number;
  /** Writes at `position`; returns how many bytes were written, which may be fewer than given. */
  write(source: Buffer, position: number): number;
  /** Returns when everything written is on stable storage (fdatasync). */
  sync(): void;
  truncate(bytes: number): void;
  size(): number;
  close(): void;
}

/** What the journal needs of a file system: small enough that a test can own it, and every fault in it. */
export interface JournalFs {
  /** Makes the directory and those above it. */
  ensureDirectory(directory: string): void;
  list(directory: string): string[];
  /** `create` makes the file or empties it; `write` opens an existing one for both directions. */
  open(path: string, mode: 'create' | 'write' | 'read'): JournalFile;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Makes creations, renames and removals in the directory durable. */
  syncDirectory(directory: string): void;
  /**
   * Takes the directory for this process, until the lock is released or the process is gone, by whatever death.
   *
   * @throws JournalLockedError if another process, or another journal of this one, has it
   */
  lock(directory: string): DirectoryLock;
}
