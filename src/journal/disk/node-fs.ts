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
import { lockJournal } from './directory-lock.ts';
import type { JournalFile, JournalFs } from './journal-fs.ts';

class NodeFile implements JournalFile {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  read(target: Buffer, position: number): number {
    return readSync(this.#fd, target, 0, target.length, position);
  }

  write(source: Buffer, position: number): number {
    return writeSync(this.#fd, source, 0, source.length, position);
  }

  sync(): void {
    fdatasyncSync(this.#fd);
  }

  truncate(bytes: number): void {
    ftruncateSync(this.#fd, bytes);
  }

  size(): number {
    return fstatSync(this.#fd).size;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

const FLAGS = { create: 'w+', write: 'r+', read: 'r' } as const;

/** The machine's own file system. The files are readable by their owner alone: they hold devices' data. */
export const nodeFs: JournalFs = {
  ensureDirectory: (directory) => {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  },
  list: (directory) => readdirSync(directory),
  open: (path, mode) => new NodeFile(openSync(path, FLAGS[mode], 0o600)),
  rename: renameSync,
  remove: (path) => {
    rmSync(path, { force: true });
  },
  syncDirectory: (directory) => {
    const fd = openSync(directory, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  },
  lock: lockJournal,
};
