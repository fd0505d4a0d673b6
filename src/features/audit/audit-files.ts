import { constants, promises } from 'node:fs';
import { join } from 'node:path';

/** A segment that is being written. */
export interface AuditFile {
  write(bytes: Buffer): Promise<void>;
  /** Resolves when everything written is on stable storage (fdatasync). */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** What the audit log needs of a directory: small, so that a test can own every fault in it. */
export interface AuditFiles {
  /** Makes the directory and those above it. */
  prepare(): Promise<void>;
  /** Creates a file that does not exist yet. */
  create(name: string): Promise<AuditFile>;
  list(): Promise<{ readonly name: string; readonly bytes: number }[]>;
  read(name: string): Promise<Buffer>;
  remove(name: string): Promise<void>;
}

/** A directory of this machine. Its files are readable by their owner alone. */
export class AuditDirectory implements AuditFiles {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async prepare(): Promise<void> {
    await promises.mkdir(this.#directory, { recursive: true, mode: 0o700 });
  }

  async create(name: string): Promise<AuditFile> {
    const file = await promises.open(this.#path(name), 'wx', 0o600);
    await this.#syncDirectory();
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

  async list(): Promise<{ readonly name: string; readonly bytes: number }[]> {
    const files = [];
    for (const name of (await promises.readdir(this.#directory)).sort()) {
      files.push({ name, bytes: (await promises.stat(this.#path(name))).size });
    }
    return files;
  }

  read(name: string): Promise<Buffer> {
    return promises.readFile(this.#path(name));
  }

  async remove(name: string): Promise<void> {
    await promises.rm(this.#path(name), { force: true });
  }

  /** A new file's name is durable only with this. */
  async #syncDirectory(): Promise<void> {
    const directory = await promises.open(this.#directory, constants.O_RDONLY);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}
