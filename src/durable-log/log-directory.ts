import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type DirectoryLock, lockDirectory } from './directory-lock.ts';

/** A file that is written from its beginning to its end. */
export interface AppendedFile {
  /** Appends all of it. */
  write(bytes: Buffer): Promise<void>;
  /** Resolves when everything written is on stable storage (fdatasync). */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/**
 * What a log that lives on the event loop needs of a directory: small enough that a test can own it, and every fault
 * in it. Names are on stable storage when a call that makes or changes one resolves.
 */
export interface LogDirectory {
  /** As people know it. */
  readonly path: string;
  /** Makes the directory and those above it. */
  prepare(): Promise<void>;
  /**
   * Makes the directory, and takes it for this process until {@link unlock}.
   * @throws DirectoryLockedError if somebody else has it; what the system says if it can't be locked at all
   */
  lock(): Promise<void>;
  unlock(): void;
  /** By name. */
  list(): Promise<readonly { readonly name: string; readonly bytes: number }[]>;
  read(name: string): Promise<Buffer>;
  /** Creates a file that does not exist yet. */
  create(name: string): Promise<AppendedFile>;
  /** Puts a file in the place of another, or of none, in one step. */
  rename(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
}

/** A directory of this machine. What is in it is readable by its owner alone: it is devices' data. */
export class NodeLogDirectory implements LogDirectory {
  readonly path: string;
  #lock: DirectoryLock | undefined;

  constructor(path: string) {
    this.path = path;
  }

  async prepare(): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 });
  }

  async lock(): Promise<void> {
    await this.prepare();
    this.#lock = lockDirectory(this.path);
  }

  unlock(): void {
    this.#lock?.release();
  }

  async list(): Promise<readonly { readonly name: string; readonly bytes: number }[]> {
    const files = [];
    for (const name of (await readdir(this.path)).sort()) {
      files.push({ name, bytes: (await stat(join(this.path, name))).size });
    }
    return files;
  }

  read(name: string): Promise<Buffer> {
    return readFile(join(this.path, name));
  }

  async create(name: string): Promise<AppendedFile> {
    const file = await open(join(this.path, name), 'wx', 0o600);
    await this.#sync();
    return {
      write: async (bytes) => {
        for (let written = 0; written < bytes.length;) {
          written += (await file.write(bytes, written)).bytesWritten;
        }
      },
      sync: () => file.datasync(),
      close: () => file.close(),
    };
  }

  async rename(from: string, to: string): Promise<void> {
    await rename(join(this.path, from), join(this.path, to));
    await this.#sync();
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.path, name), { force: true });
  }

  /** Names are durable only with this. */
  async #sync(): Promise<void> {
    const directory = await open(this.path, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }
}
