import type { Cancel, Clock } from '../../../core/clock.ts';
import { errorMessage } from '../../../core/errors.ts';
import type { Logger } from '../../../core/logger.ts';
import type { LogDirectory } from '../../../durable-log/log-directory.ts';
import { LogFile } from '../../../durable-log/log-file.ts';
import { encodeRecord, type StoreRecord } from './store-record.ts';

/** Where the changes of sessions and retained messages go. */
export interface SessionLog {
  /** Whether they outlive the process. */
  readonly durable: boolean;
  /** Takes note of a change that has been made in memory. */
  append(record: StoreRecord): void;
  /** Calls back when everything appended so far is on stable storage; never during the call. */
  whenSynced(callback: () => void): void;
}

/** Sessions that end with the process. */
export const memoryLog: SessionLog = {
  durable: false,
  append() {
    // Memory is all there is.
  },
  whenSynced(callback) {
    queueMicrotask(callback);
  },
};

/** Its files; version 1 was that of 0.1.0 (durable-log/first-format.ts). */
export const STORE_KIND = { magic: 'SLUICESS', version: 2 };

/** The file of a generation; each begins with a snapshot of all that the one before had. */
export const fileName = (generation: number): string => `sessions-${String(generation).padStart(8, '0')}.log`;

/** While its snapshot is not complete. */
export const temporaryName = (generation: number): string => `${fileName(generation)}.tmp`;

/** The generation of a file; undefined for other files. */
export function generationOf(name: string): number | undefined {
  const digits = /^sessions-(\d{8,})\.log$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Removes what `generation` replaces. */
export async function removeOlder(directory: LogDirectory, generation: number): Promise<void> {
  for (const { name } of await directory.list()) {
    const found = generationOf(name);
    if (found !== undefined && found < generation) await directory.remove(name);
  }
}

export interface StoreLogOptions {
  readonly directory: LogDirectory;
  /** The number of the latest file there. */
  readonly generation: number;
  /**
   * Everything that is kept, as records; read on while things change. Records that come together are as of one
   * moment, and are written together: a change between them must not be undone by those that follow.
   */
  readonly snapshot: () => Iterable<readonly StoreRecord[]>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Plain numbers, always up to date. */
export interface StoreLogStats {
  /** Of the file that is written to. */
  fileBytes: number;
  syncs: number;
  failures: number;
  /** Why nothing is on disk at the moment; undefined: all is well. */
  fault: string | undefined;
}

/** So much of a snapshot is made and written between two commits. */
const SNAPSHOT_SLICE_BYTES = 256 * 1024;
/** A file is replaced by a snapshot when it is so many times the last one, and has at least so many bytes. */
const REWRITE_FACTOR = 2;
const MIN_REWRITE_BYTES = 8 * 1024 * 1024;
const RETRY_MS = 1_000;

/** Changes that wait for a slow disk; beyond, they are dropped and a snapshot takes their place. */
const MAX_PENDING_BYTES = 32 * 1024 * 1024;

/** A snapshot on its way to be the next file. */
interface Rewrite {
  readonly file: LogFile;
  readonly generation: number;
  readonly records: Iterator<readonly StoreRecord[]>;
}

interface Waiter {
  /** Records that must be on disk. */
  readonly count: number;
  readonly callback: () => void;
}

/**
 * The log of sessions on disk. What is appended in one turn of the event loop, or during the sync before, is written
 * and synced together; one operation is on its way at a time, so that a hanging disk takes one thread of Node's four.
 *
 * A file begins with a snapshot of everything and goes on with the changes. When it has grown, the next file is
 * written beside it, slice by slice between the commits: changes go to both, so that whatever the old one alone has
 * was in memory when its slice was made. After a failed write or sync nothing is known of the file any more (a kernel
 * may drop what it could not write), so a new snapshot is the only way on then too; until it is there, whoever waits
 * for the disk waits.
 */
export class StoreLog implements SessionLog {
  readonly durable = true;
  readonly stats: StoreLogStats = { fileBytes: 0, syncs: 0, failures: 0, fault: undefined };
  readonly #options: StoreLogOptions;
  #generation: number;
  #current: LogFile | undefined;
  #rewrite: Rewrite | undefined;
  #snapshotBytes = 0;
  /** Encoded, and not in the current file yet; and not in the next one yet. */
  #pending: Buffer[] = [];
  #delta: Buffer[] = [];
  #pendingBytes = 0;
  /** Changes were dropped: the file that is written to is not worth continuing. */
  #overflown = false;
  /** Records appended so far, and how many of them are on disk. */
  #appended = 0;
  #synced = 0;
  readonly #waiting: Waiter[] = [];
  #running = false;
  #closing = false;
  #closed = false;
  #cancelRetry: Cancel | undefined;
  /** Nothing is under way any more, after {@link close}. */
  readonly #atRest = Promise.withResolvers<undefined>();

  constructor(options: StoreLogOptions) {
    this.#options = options;
    this.#generation = options.generation;
  }

  /** Writes the first snapshot. @throws what the directory throws */
  async open(): Promise<void> {
    while (this.#current === undefined) await this.#rewriteStep();
  }

  append(record: StoreRecord): void {
    if (this.#closed) return;
    this.#appended++;
    // Without a file, the snapshot that is to come has it.
    if ((this.#current === undefined && this.#rewrite === undefined) || this.#overflown) return;
    const body = encodeRecord(record);
    this.#pendingBytes += body.length;
    if (this.#pendingBytes > MAX_PENDING_BYTES) {
      this.#overflown = true;
      this.#dropPending();
      return;
    }
    if (this.#current !== undefined) this.#pending.push(body);
    if (this.#rewrite !== undefined) this.#delta.push(body);
    this.#start();
  }

  whenSynced(callback: () => void): void {
    if (this.#closed) return;
    this.#waiting.push({ count: this.#appended, callback });
    this.#start();
  }

  /** Has everything on disk and ends; gives up waiting for the disk when `deadline` resolves. */
  async close(deadline: Promise<void>): Promise<void> {
    this.#closing = true;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#start();
    await Promise.race([this.#atRest.promise, deadline]);
    this.#closed = true;
    if (!this.#running) await this.#current?.close();
    this.#options.directory.unlock();
  }

  #start(): void {
    if (this.#running || this.#cancelRetry !== undefined) return;
    this.#running = true;
    // What this turn of the event loop still appends comes along.
    setImmediate(() => {
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    try {
      this.#notify();
      while (this.#hasWork()) {
        if (this.#overflown) await this.#abandonFiles();
        if (this.#pending.length > 0) await this.#commit();
        if (this.#rewrite !== undefined || this.#isRewriteDue()) await this.#rewriteStep();
        this.#notify();
      }
      this.#recovered();
    } catch (error) {
      await this.#failed(error);
    }
    this.#running = false;
    if (this.#closing) this.#atRest.resolve(undefined);
    else if (this.#waiting.length > 0) this.#start();
  }

  #hasWork(): boolean {
    return this.#pending.length > 0 || this.#rewrite !== undefined || this.#overflown || this.#isRewriteDue();
  }

  #isRewriteDue(): boolean {
    if (this.#current === undefined) return true;
    const enoughBytes = Math.max(MIN_REWRITE_BYTES, REWRITE_FACTOR * this.#snapshotBytes);
    return !this.#closing && this.#current.bytes > enoughBytes;
  }

  /** One group of changes: written and synced. */
  async #commit(): Promise<void> {
    const current = this.#current;
    if (current === undefined) return;
    const count = this.#appended;
    const bodies = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    await current.append(bodies);
    await current.sync();
    this.stats.syncs++;
    this.stats.fileBytes = current.bytes;
    this.#synced = count;
  }

  /** One slice of the next file; with the last one it takes the current one's place. */
  async #rewriteStep(): Promise<void> {
    const rewrite = (this.#rewrite ??= await this.#beginRewrite());
    const delta = this.#delta;
    this.#delta = [];
    if (this.#current === undefined) this.#pendingBytes = 0;
    const count = this.#appended;
    const slice: Buffer[] = [];
    let isDone = false;
    for (let bytes = 0; bytes < SNAPSHOT_SLICE_BYTES && !isDone;) {
      const next = rewrite.records.next();
      isDone = next.done === true;
      for (const record of next.done === true ? [] : next.value) {
        const body = encodeRecord(record);
        slice.push(body);
        bytes += body.length;
      }
    }
    await rewrite.file.append([...delta, ...slice]);
    if (!isDone) return;
    const { directory } = this.#options;
    await rewrite.file.sync();
    await directory.rename(temporaryName(rewrite.generation), fileName(rewrite.generation));
    this.stats.syncs++;
    // What came during these waits stands in neither file as a whole: it is the new one's first group.
    const previous = this.#current;
    this.#current = rewrite.file;
    this.#generation = rewrite.generation;
    this.#rewrite = undefined;
    this.#pending = this.#delta;
    this.#delta = [];
    this.#synced = Math.max(this.#synced, count);
    this.#snapshotBytes = rewrite.file.bytes;
    this.stats.fileBytes = rewrite.file.bytes;
    await previous?.close();
    await removeOlder(directory, rewrite.generation);
  }

  async #beginRewrite(): Promise<Rewrite> {
    const generation = this.#generation + 1;
    const { directory, snapshot } = this.#options;
    const name = temporaryName(generation);
    // Of an attempt that failed.
    await directory.remove(name);
    const file = await LogFile.create(directory, name, STORE_KIND);
    return { file, generation, records: snapshot()[Symbol.iterator]() };
  }

  #notify(): void {
    let count = 0;
    while (count < this.#waiting.length && (this.#waiting[count] as Waiter).count <= this.#synced) count++;
    for (const { callback } of this.#waiting.splice(0, count)) {
      try {
        callback();
      } catch (error) {
        this.#options.logger.error({ reason: errorMessage(error) }, 'a session could not go on');
      }
    }
  }

  #dropPending(): void {
    this.#pending = [];
    this.#delta = [];
    this.#pendingBytes = 0;
  }

  async #abandonFiles(): Promise<void> {
    const files = [this.#current, this.#rewrite?.file];
    this.#current = undefined;
    this.#rewrite = undefined;
    this.#dropPending();
    this.#overflown = false;
    // Whether that fails is of no interest: they are not used any more.
    for (const file of files) await file?.close().catch(() => undefined);
  }

  async #failed(error: unknown): Promise<void> {
    const reason = errorMessage(error);
    this.stats.failures++;
    const what = "sessions can't be written to disk: whoever is to be told that something is kept waits";
    if (this.stats.fault === undefined) this.#options.logger.error({ reason }, what);
    this.stats.fault = reason;
    await this.#abandonFiles();
    if (this.#closing) return;
    this.#cancelRetry = this.#options.clock.schedule(() => {
      this.#cancelRetry = undefined;
      this.#start();
    }, RETRY_MS);
  }

  #recovered(): void {
    if (this.stats.fault === undefined) return;
    this.stats.fault = undefined;
    this.#options.logger.info({ failures: this.stats.failures }, 'sessions are written to disk again');
  }
}
