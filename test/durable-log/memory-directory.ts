import type { AppendedFile, LogDirectory } from '../../src/durable-log/log-directory.ts';

interface Content {
  bytes: Buffer;
  /** How much of it a loss of power would leave. */
  synced: number;
}

type Operation = 'create' | 'write' | 'sync' | 'rename';

/** A directory in memory that knows what a crash would leave of it, and fails or hangs when it is told to. */
export class MemoryDirectory implements LogDirectory {
  readonly path = 'a directory in memory';
  readonly files = new Map<string, Content>();
  /** What every call that writes throws. */
  failure: Error | undefined;
  /** Waited for by calls that write: they hang, or fail, as long as it does. */
  fault: ((operation: Operation) => Promise<void> | undefined) | undefined;
  /** Calls that write wait for it. */
  #gate: Promise<void> = Promise.resolve();
  #open: (() => void) | undefined;
  syncs = 0;
  locked = false;

  /** Holds up all calls that write from now on. */
  hang(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  goOn(): void {
    this.#open?.();
  }

  /** Puts a file in place, durably. */
  put(name: string, bytes: Buffer): void {
    this.files.set(name, { bytes: Buffer.from(bytes), synced: bytes.length });
  }

  /** What is there after a loss of power: what was synced, and `share` of the rest. */
  afterCrash(share = 0): MemoryDirectory {
    const after = new MemoryDirectory();
    for (const [name, { bytes, synced }] of this.files) {
      after.put(name, bytes.subarray(0, synced + Math.floor((bytes.length - synced) * share)));
    }
    return after;
  }

  /** The same, here and now. */
  powerLoss(): void {
    for (const file of this.files.values()) file.bytes = file.bytes.subarray(0, file.synced);
  }

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  lock(): Promise<void> {
    this.locked = true;
    return Promise.resolve();
  }

  unlock(): void {
    this.locked = false;
  }

  list(): Promise<{ readonly name: string; readonly bytes: number }[]> {
    const names = [...this.files.keys()].sort();
    return Promise.resolve(names.map((name) => ({ name, bytes: this.#content(name).bytes.length })));
  }

  read(name: string): Promise<Buffer> {
    return Promise.resolve(Buffer.from(this.#content(name).bytes));
  }

  async create(name: string): Promise<AppendedFile> {
    await this.#obstacle('create');
    if (this.files.has(name)) throw new Error(`EEXIST: ${name}`);
    const content = { bytes: Buffer.alloc(0), synced: 0 };
    this.files.set(name, content);
    return {
      write: async (bytes) => {
        await this.#obstacle('write');
        content.bytes = Buffer.concat([content.bytes, bytes]);
      },
      sync: async () => {
        const { length } = content.bytes;
        await this.#obstacle('sync');
        content.synced = length;
        this.syncs++;
      },
      close: () => Promise.resolve(),
    };
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#obstacle('rename');
    this.files.set(to, this.#content(from));
    this.files.delete(from);
  }

  remove(name: string): Promise<void> {
    this.files.delete(name);
    return Promise.resolve();
  }

  #content(name: string): Content {
    const content = this.files.get(name);
    if (content === undefined) throw new Error(`no file ${name}`);
    return content;
  }

  async #obstacle(operation: Operation): Promise<void> {
    await this.#gate;
    if (this.failure !== undefined) throw this.failure;
    await this.fault?.(operation);
  }
}
