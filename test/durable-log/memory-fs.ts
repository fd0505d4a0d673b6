import { type DirectoryLock, DirectoryLockedError } from '../../src/durable-log/directory-lock.ts';
import type { FileSystem, OpenFile } from '../../src/durable-log/file-system.ts';

export type Operation =
  'open' | 'read' | 'write' | 'sync' | 'truncate' | 'rename' | 'remove' | 'list' | 'syncDirectory';

export class FsError extends Error {
  readonly code: string;
  constructor(code: string) {
    super(`${code}: injected`);
    this.code = code;
  }
}

interface Inode {
  /** What reads see. */
  cache: Buffer;
  /** What a loss of power leaves, for sure. */
  durable: Buffer;
  /** Writes since the last sync: each may or may not reach the disk by itself. */
  unsynced: { readonly position: number; readonly bytes: Buffer }[];
}

/**
 * A file system with a page cache that a crash can lose, and with faults where a test wants them. Names, too, are
 * durable only after syncDirectory.
 */
export class MemoryFs implements FileSystem {
  #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  readonly #locks = new Set<string>();
  readonly log: string[] = [];
  /** Directories whose disks are away: their paths lead to others. */
  readonly unplugged = new Set<string>();
  /** Throws, or returns how many bytes a write may take. */
  fault: (operation: Operation, path: string) => number | undefined = () => undefined;

  ensureDirectory(): void {}

  list(directory: string): string[] {
    this.fault('list', directory);
    return [...this.#names.keys()]
      .filter((path) => path.startsWith(`${directory}/`))
      .map((path) => path.slice(directory.length + 1));
  }

  open(path: string, mode: 'create' | 'write' | 'read'): OpenFile {
    this.fault('open', path);
    let inode = this.#names.get(path);
    if (inode === undefined) {
      if (mode !== 'create') throw new FsError('ENOENT');
      inode = { cache: Buffer.alloc(0), durable: Buffer.alloc(0), unsynced: [] };
      this.#names.set(path, inode);
    } else if (mode === 'create') {
      inode.cache = Buffer.alloc(0);
    }
    return this.#file(path, inode);
  }

  #file(path: string, inode: Inode): OpenFile {
    return {
      read: (target, position) => {
        this.fault('read', path);
        return inode.cache.copy(target, 0, position);
      },
      write: (source, position) => {
        const limit = this.fault('write', path) ?? source.length;
        const bytes = Buffer.from(source.subarray(0, limit));
        inode.cache = overwrite(inode.cache, bytes, position);
        inode.unsynced.push({ position, bytes });
        this.log.push(`write ${path}`);
        return bytes.length;
      },
      sync: () => {
        this.log.push(`sync ${path}`);
        this.fault('sync', path);
        inode.durable = Buffer.from(inode.cache);
        inode.unsynced = [];
      },
      truncate: (bytes) => {
        this.fault('truncate', path);
        inode.cache = Buffer.from(inode.cache.subarray(0, bytes));
      },
      size: () => inode.cache.length,
      close: () => {},
    };
  }

  rename(from: string, to: string): void {
    this.fault('rename', from);
    const inode = this.#names.get(from);
    if (inode === undefined) throw new FsError('ENOENT');
    this.#names.delete(from);
    this.#names.set(to, inode);
  }

  remove(path: string): void {
    this.fault('remove', path);
    this.#names.delete(path);
  }

  syncDirectory(directory: string): void {
    this.fault('syncDirectory', directory);
    for (const path of [...this.#durableNames.keys()]) {
      if (path.startsWith(`${directory}/`)) this.#durableNames.delete(path);
    }
    for (const [path, inode] of this.#names) {
      if (path.startsWith(`${directory}/`)) this.#durableNames.set(path, inode);
    }
  }

  lock(directory: string): DirectoryLock {
    if (this.#locks.has(directory)) throw new DirectoryLockedError(directory, undefined);
    this.#locks.add(directory);
    return {
      release: () => {
        this.#locks.delete(directory);
      },
      isThere: () => !this.unplugged.has(directory),
    };
  }

  /** kill -9: the page cache survives. */
  kill(): void {
    this.#locks.clear();
    this.fault = () => undefined;
  }

  /** Loss of power: of what was not synced, each write survives if `survives` says so, in part if it is torn. */
  powerLoss(survives: () => number): void {
    this.kill();
    for (const inode of new Set([...this.#names.values(), ...this.#durableNames.values()])) {
      let content = inode.durable;
      for (const { position, bytes } of inode.unsynced) {
        content = overwrite(content, bytes.subarray(0, Math.floor(survives() * bytes.length)), position);
      }
      inode.cache = Buffer.from(content);
      inode.durable = Buffer.from(content);
      inode.unsynced = [];
    }
    this.#names = new Map(this.#durableNames);
  }

  paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  content(path: string): Buffer {
    const inode = this.#names.get(path);
    if (inode === undefined) throw new Error(`no file ${path}`);
    return inode.cache;
  }

  /** Puts content in place, durably. */
  put(path: string, content: Buffer): void {
    const inode = { cache: Buffer.from(content), durable: Buffer.from(content), unsynced: [] };
    this.#names.set(path, inode);
    this.#durableNames.set(path, inode);
  }

  /** An independent copy of what is there now. */
  clone(): MemoryFs {
    const copy = new MemoryFs();
    for (const [path, inode] of this.#names) copy.put(path, inode.cache);
    return copy;
  }
}

function overwrite(content: Buffer, bytes: Buffer, position: number): Buffer {
  const result = Buffer.alloc(Math.max(content.length, bytes.length === 0 ? 0 : position + bytes.length));
  content.copy(result);
  bytes.copy(result, position);
  return result;
}
