import type { StoreDirectory, StoreFile } from '../../../../src/mqtt/sessions/store/store-fs.ts';

interface Content {
  bytes: Buffer;
  /** How much of it a loss of power would leave. */
  synced: number;
}

/** A directory in memory that knows what a crash would leave of it, and fails when it is told to. */
export class MemoryDirectory implements StoreDirectory {
  readonly path = 'a directory in memory';
  readonly files = new Map<string, Content>();
  /** Names as of the last sync of the directory, and what each name means. */
  #durable = new Map<string, Content>();
  /** What every write and sync throws. */
  failure: Error | undefined;
  /** Writes and syncs wait for it. */
  #gate: Promise<void> = Promise.resolve();
  #open: (() => void) | undefined;
  syncs = 0;
  locked = false;

  /** Holds up all writes and syncs from now on. */
  hang(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  goOn(): void {
    this.#open?.();
  }

  /** What is there after a loss of power: what was synced, and `share` of the rest. */
  afterCrash(share = 0): MemoryDirectory {
    const after = new MemoryDirectory();
    for (const [name, { bytes, synced }] of this.#durable) {
      const end = synced + Math.floor((bytes.length - synced) * share);
      const content = { bytes: Buffer.from(bytes.subarray(0, end)), synced: end };
      after.files.set(name, content);
      after.#durable.set(name, content);
    }
    return after;
  }

  /** Puts a file in place, durably. */
  put(name: string, bytes: Buffer): void {
    const content = { bytes: Buffer.from(bytes), synced: bytes.length };
    this.files.set(name, content);
    this.#durable.set(name, content);
  }

  lock(): Promise<void> {
    this.locked = true;
    return Promise.resolve();
  }

  unlock(): void {
    this.locked = false;
  }

  list(): Promise<string[]> {
    return Promise.resolve([...this.files.keys()]);
  }

  read(name: string): Promise<Buffer> {
    return Promise.resolve(Buffer.from(this.#content(name).bytes));
  }

  async create(name: string): Promise<StoreFile> {
    await this.#obstacle();
    const content = { bytes: Buffer.alloc(0), synced: 0 };
    this.files.set(name, content);
    return {
      write: async (bytes) => {
        await this.#obstacle();
        content.bytes = Buffer.concat([content.bytes, bytes]);
      },
      sync: async () => {
        const { length } = content.bytes;
        await this.#obstacle();
        content.synced = length;
        this.syncs++;
      },
      close: () => Promise.resolve(),
    };
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#obstacle();
    this.files.set(to, this.#content(from));
    this.files.delete(from);
  }

  remove(name: string): Promise<void> {
    this.files.delete(name);
    return Promise.resolve();
  }

  async sync(): Promise<void> {
    await this.#obstacle();
    this.#durable = new Map(this.files);
  }

  #content(name: string): Content {
    const content = this.files.get(name);
    if (content === undefined) throw new Error(`no file ${name}`);
    return content;
  }

  async #obstacle(): Promise<void> {
    await this.#gate;
    if (this.failure !== undefined) throw this.failure;
  }
}
