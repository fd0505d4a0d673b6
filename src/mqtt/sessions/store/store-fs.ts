import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** A file that is written from its beginning to its end. */
export interface StoreFile {
  /** Appends all of it. */
  write(bytes: Buffer): Promise<void>;
  /** Resolves when everything written is on stable storage. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** What the session store needs of a directory: small enough that a test can own it, and every fault in it. */
export interface StoreDirectory {
  /** As people know it. */
  readonly path: string;
  /** Makes the directory, and takes it for this process until {@link unlock}. */
  lock(): Promise<void>;
  unlock(): void;
  list(): Promise<string[]>;
  read(name: string): Promise<Buffer>;
  /** Makes the file, or empties it. */
  create(name: string): Promise<StoreFile>;
  rename(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Resolves when creations, renames and removals are on stable storage. */
  sync(): Promise<void>;
}

/** A directory of the machine. */
export class NodeStoreDirectory implements StoreDirectory {
  readonly path: string;
  readonly #lock: (path: string) => () => void;
  #unlock: (() => void) | undefined;

  /** `lock` takes a directory for this process and returns how to give it back; or throws, saying who has it. */
  constructor(path: string, lock: (path: string) => () => void) {
    this.path = path;
    this.#lock = lock;
  }

  async lock(): Promise<void> {
    await mkdir(this.path, { recursive: true });
    this.#unlock = this.#lock(this.path);
  }

  unlock(): void {
    this.#unlock?.();
  }

  list(): Promise<string[]> {
    return readdir(this.path);
  }

  read(name: string): Promise<Buffer> {
    return readFile(join(this.path, name));
  }

  async create(name: string): Promise<StoreFile> {
    const file = await open(join(this.path, name), 'w');
    return {
      write: async (bytes) => {
        for (let written = 0; written < bytes.length;) {
          const { bytesWritten } = await file.write(bytes, written);
          written += bytesWritten;
        }
      },
      sync: () => file.datasync(),
      close: () => file.close(),
    };
  }

  rename(from: string, to: string): Promise<void> {
    return rename(join(this.path, from), join(this.path, to));
  }

  remove(name: string): Promise<void> {
    return rm(join(this.path, name), { force: true });
  }

  async sync(): Promise<void> {
    const directory = await open(this.path, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }
}
