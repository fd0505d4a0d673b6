import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SluiceError } from '../core/errors.ts';

const SQLITE_BUSY = 5;
/**
 * Two that come at the same moment stand in each other's way, and without a second try both would be refused. Whoever
 * has the lock keeps it much longer than this.
 */
const BUSY_TIMEOUT_MS = 200;

/** Another process has the directory. */
export class DirectoryLockedError extends SluiceError {
  /** Who has it, as that process wrote it down; undefined: not known. */
  readonly owner: string | undefined;

  constructor(directory: string, owner: string | undefined, options?: ErrorOptions) {
    super('DIRECTORY_LOCKED', `${directory} is in use by ${owner ?? 'another process'}`, options);
    this.owner = owner;
  }
}

/** A directory that this process has for itself. */
export interface DirectoryLock {
  readonly release: () => void;
  /**
   * Whether its path still leads to it. Where a disk was unplugged, the path leads nowhere, or to the empty directory
   * that it was mounted on: what is written there would be out of sight when the disk is back.
   */
  isThere(): boolean;
}

/**
 * Locks a directory for as long as this process lives.
 *
 * A file with a pid in it is not a lock: after a kill -9 it stays, pids are used again, and a pid says nothing in
 * another container. What the kernel itself releases when a process dies is a lock on an open file (fcntl), and
 * the one way to it that Node has without an add-on is its own SQLite: an exclusive transaction on a database
 * that is never written to.
 *
 * @throws DirectoryLockedError if somebody else has it; what the system says if it can't be locked at all
 */
export function lockDirectory(directory: string): DirectoryLock {
  const lockFile = join(directory, 'lock');
  const ownerFile = join(directory, 'lock-owner');
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(lockFile, { timeout: BUSY_TIMEOUT_MS });
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) {
      throw new DirectoryLockedError(directory, readOwner(ownerFile), { cause: error });
    }
    throw error;
  }
  let owner: string | undefined =
    `process ${process.pid} on ${hostname()} (since ${new Date().toISOString()})`;
  try {
    writeFileSync(ownerFile, `${owner}\n`);
  } catch {
    owner = undefined;
    // It only makes the other's error message better; a full disk must not keep anybody from starting.
  }
  const held = database;
  return {
    release: () => held.close(),
    isThere: () => (owner === undefined ? existsSync(lockFile) : readOwner(ownerFile) === owner),
  };
}

function readOwner(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}
