import { encodeHeader, type LogKind, newSeed } from './file-header.ts';
import { COMMIT_FRAME_BYTES, type FrameSeed, GroupWriter, recordFrames } from './frame.ts';
import type { AppendedFile, LogDirectory } from './log-directory.ts';
import { LogScanner } from './log-scanner.ts';

/** A log in a file of its own, written by the event loop, group by group. After a call that failed only {@link close}. */
export class LogFile {
  readonly #file: AppendedFile;
  readonly #writer: GroupWriter;
  /** Of the file. */
  bytes: number;
  #records = 0;

  private constructor(file: AppendedFile, seed: FrameSeed, bytes: number) {
    this.#file = file;
    this.#writer = new GroupWriter(seed, undefined);
    this.bytes = bytes;
  }

  static async create(directory: LogDirectory, name: string, kind: LogKind): Promise<LogFile> {
    const file = await directory.create(name);
    const seed = newSeed();
    const header = encodeHeader(kind, seed);
    await file.write(header);
    return new LogFile(file, seed, header.length);
  }

  /** Writes records as one group. Not yet durable. */
  async append(records: readonly Buffer[]): Promise<void> {
    if (records.length > 0) await this.#file.write(this.#encode(records));
  }

  /** Makes records durable as one group; only then its commit frame follows, so that a reader sees none before. */
  async appendSynced(records: readonly Buffer[]): Promise<void> {
    const group = this.#encode(records);
    const end = group.length - COMMIT_FRAME_BYTES;
    await this.#file.write(group.subarray(0, end));
    await this.#file.sync();
    // It need not be synced itself: it can't be there too early.
    await this.#file.write(group.subarray(end));
  }

  #encode(records: readonly Buffer[]): Buffer {
    const plain = recordFrames(records);
    const bytes = plain.length - COMMIT_FRAME_BYTES;
    const group = { bytes, records: records.length, firstNumber: this.#records };
    const encoded = this.#writer.encode(plain, group, this.bytes, 0);
    this.bytes += encoded.length;
    this.#records += records.length;
    return encoded;
  }

  /** Resolves when everything written is on stable storage. */
  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** What stands in a file at one place. */
export interface LogPart {
  readonly records: readonly Buffer[];
  /** A commit frame closes them. */
  readonly committed: boolean;
  /** Bytes in front of them, or between them, that can't be what was written. */
  readonly damagedBytes?: number;
  /** Bytes at the end of the file that are no whole record: an unfinished write. */
  readonly tornBytes?: number;
}

/** Goes through a file that was read whole. The records are views on it or on copies of its parts. */
export function* readGroups(bytes: Buffer, seed: FrameSeed): Generator<LogPart> {
  const source = { read: (target: Buffer, position: number) => bytes.copy(target, 0, position) };
  const limits = { endOffset: bytes.length, records: undefined };
  const scanner = new LogScanner(source, seed, undefined, limits);
  for (let group; (group = scanner.next()) !== undefined;) {
    const { runs, committed, damage } = group;
    const records = runs.buffers.map((_, index) => runs.body(index));
    yield { records, committed, damagedBytes: damage?.bytes ?? 0 };
  }
  const tornBytes = bytes.length - scanner.offset;
  if (tornBytes > 0) yield { records: [], committed: false, tornBytes };
}
