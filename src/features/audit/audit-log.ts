import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';
import type { Cancel, Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { Metric } from '../../core/metric.ts';
import type { LogDirectory } from '../../durable-log/log-directory.ts';
import { LogFile } from '../../durable-log/log-file.ts';
import { type AuditGap, BlockWriter, digestOf, entriesRecord, gapRecord } from './audit-block.ts';

export interface AuditLogOptions {
  readonly directory: LogDirectory;
  /** Of all segments together; the oldest are removed for it. */
  readonly maxBytes: number;
  readonly segmentBytes: number;
  /** Memory for entries that are not on the disk yet. */
  readonly bufferBytes: number;
  /** How long an entry waits at most before it is written and synced. */
  readonly syncIntervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What became of a batch of records; one object for all of its records. */
export interface AuditedResult {
  readonly topic: string;
  readonly partition: number;
  /** Of the batch's first record; negative: unknown. */
  readonly baseOffset: bigint;
  record(index: number): { readonly key: Uint8Array | null; readonly value: Uint8Array | null };
}

const compress = promisify(zstdCompress);
const COMPRESSION = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
const LOG_EVERY_MS = 60_000;

/**
 * Writes down where in Kafka each acknowledged record lies, for a later comparison. An entry costs no promise and no
 * system call: entries gather in a buffer, and one write and one fdatasync at a time take a buffer full to the disk,
 * off the path of the messages. A disk that does not keep up, or fails, slows no device: entries that find no
 * room are left out, and that they were is said in the log, in the metrics, and in the audit log itself.
 */
export class AuditLog {
  readonly #options: AuditLogOptions;
  #filling: BlockWriter;
  /** Behind it; undefined while it is being written. */
  #spare: BlockWriter | undefined;
  #timer: Cancel | undefined;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  #segment: LogFile | undefined;
  #segmentNumber = 0;
  #gap: AuditGap | undefined;
  #failure: string | undefined;
  #loggedAtMs = Number.NEGATIVE_INFINITY;
  #entriesSynced = 0;
  #entriesLost = 0;
  #bytesWritten = 0;

  /** Of the last result: records of a batch come one after the other. */
  #result: AuditedResult | undefined;
  #baseOffset = -1;
  #timeMs = 0;

  constructor(options: AuditLogOptions) {
    this.#options = options;
    const bytes = Math.floor(options.bufferBytes / 2);
    this.#filling = new BlockWriter(bytes);
    this.#spare = new BlockWriter(bytes);
  }

  /** Why nothing can be written at present; undefined: all is well. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Notes one record of the batch. To be called while the batch tells its records, in their order. */
  add(result: AuditedResult, index: number): void {
    if (result !== this.#result) {
      this.#result = result;
      this.#baseOffset = Number(result.baseOffset);
      this.#timeMs = this.#options.clock.wallMs();
    }
    const { key, value } = result.record(index);
    const offset = this.#baseOffset < 0 ? -1 : this.#baseOffset + index;
    const digest = digestOf(key, value);
    if (!this.#filling.add(this.#timeMs, result.topic, result.partition, offset, key, digest)) {
      this.#flush();
      if (!this.#filling.add(this.#timeMs, result.topic, result.partition, offset, key, digest)) {
        this.#leaveOut(this.#timeMs, this.#timeMs, 1);
      }
    }
    if (this.#timer === undefined) this.#setTimer();
  }

  #setTimer(): void {
    this.#timer = this.#options.clock.schedule(() => {
      this.#timer = undefined;
      this.#flush();
      // What comes while a write takes longer than the interval waits for the next one.
      if (this.#filling.count > 0 && !this.#closed) this.#setTimer();
    }, this.#options.syncIntervalMs);
  }

  /** Hands what is there to the disk, unless it is still busy with what was there before. */
  #flush(): void {
    const spare = this.#spare;
    if (spare === undefined || (this.#filling.count === 0 && this.#gap === undefined)) return;
    const full = this.#filling;
    this.#filling = spare;
    this.#spare = undefined;
    this.#writing = this.#write(full).finally(() => {
      full.clear();
      this.#spare = full;
    });
  }

  /** Never rejects: what can't be written is a gap. */
  async #write(block: BlockWriter): Promise<void> {
    const gap = this.#gap;
    this.#gap = undefined;
    try {
      const records = gap === undefined ? [] : [gapRecord(gap)];
      if (block.count > 0) records.push(entriesRecord(await compress(block.finish(), COMPRESSION)));
      await this.#append(records);
      this.#entriesSynced += block.count;
      if (this.#failure !== undefined) this.#options.logger.info({}, 'the audit log is written again');
      this.#failure = undefined;
    } catch (error) {
      await this.#abandonSegment();
      if (gap !== undefined) this.#mergeGap(gap);
      if (block.count > 0) this.#leaveOut(block.firstMs, block.lastMs, block.count);
      this.#failure = errorMessage(error);
      this.#warn(this.#failure);
    }
  }

  async #append(records: readonly Buffer[]): Promise<void> {
    if (this.#segment !== undefined && this.#segment.bytes >= this.#options.segmentBytes)
      await this.#endSegment();
    this.#segment ??= await this.#beginSegment();
    const before = this.#segment.bytes;
    // Only what is followed by its commit frame is judged.
    await this.#segment.appendSynced(records);
    this.#bytesWritten += this.#segment.bytes - before;
  }

  async #beginSegment(): Promise<LogFile> {
    const { directory, clock } = this.#options;
    await directory.prepare();
    const newest = await this.#makeRoom();
    // A clock that jumped back must not make the newest segment the first to be removed.
    const stampMs = newest === undefined ? clock.wallMs() : Math.max(clock.wallMs(), stampOf(newest) + 1);
    return LogFile.create(directory, segmentName(stampMs, process.pid, this.#segmentNumber++), AUDIT_KIND);
  }

  /** Removes the oldest segments, so that one more stays within max.bytes; resolves with the newest's name. */
  async #makeRoom(): Promise<string | undefined> {
    const { directory, maxBytes, segmentBytes, logger } = this.#options;
    const segments = (await directory.list()).filter(({ name }) => isSegment(name));
    let bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
    for (const segment of segments) {
      if (bytes + segmentBytes <= maxBytes) break;
      await directory.remove(segment.name);
      bytes -= segment.bytes;
      logger.debug({ segment: segment.name }, 'the oldest segment of the audit log was removed');
    }
    return segments.at(-1)?.name;
  }

  async #endSegment(): Promise<void> {
    const segment = this.#segment;
    this.#segment = undefined;
    await segment?.close();
  }

  /**
   * What was written last may be half there: the next frame begins a file of its own. A file that can't be written to
   * may not close either; its descriptor is gone in any case.
   */
  #abandonSegment(): Promise<void> {
    return this.#endSegment().catch(() => undefined);
  }

  #leaveOut(fromMs: number, toMs: number, entries: number): void {
    this.#entriesLost += entries;
    this.#mergeGap({ fromMs, toMs, entries });
    this.#warn('the disk does not keep up');
  }

  #mergeGap({ fromMs, toMs, entries }: AuditGap): void {
    const gap = this.#gap ?? { fromMs, toMs, entries: 0 };
    this.#gap = {
      fromMs: Math.min(gap.fromMs, fromMs),
      toMs: Math.max(gap.toMs, toMs),
      entries: gap.entries + entries,
    };
  }

  #warn(reason: string): void {
    const { clock, logger } = this.#options;
    if (clock.monotonicMs() - this.#loggedAtMs < LOG_EVERY_MS) return;
    this.#loggedAtMs = clock.monotonicMs();
    const fields = { reason, leftOut: this.#entriesLost };
    logger.error(fields, 'entries are missing in the audit log; what they are about will not be judged');
  }

  /** Takes what is there to the disk, and ends. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.();
    await this.#writing;
    this.#flush();
    await this.#writing;
    await this.#abandonSegment();
  }

  metrics(): Metric[] {
    const leftOut = 'Entries that the audit log lacks, because its disk failed or did not keep up.';
    const rows: [name: string, help: string, read: () => number][] = [
      ['entries_total', 'Entries of the audit log that are on the disk.', () => this.#entriesSynced],
      ['entries_left_out_total', leftOut, () => this.#entriesLost],
      ['bytes_total', 'Bytes written to the audit log.', () => this.#bytesWritten],
      [
        'writing',
        '1 while a write or sync of the audit log is under way.',
        () => Number(this.#spare === undefined),
      ],
    ];
    return rows.map(([name, help, read]) => {
      const kind = name.endsWith('_total') ? 'counter' : 'gauge';
      return { name: `sluice_audit_${name}`, kind, help, read };
    });
  }
}

/** Its files; version 1 was that of 0.1.0 (durable-log/first-format.ts). */
export const AUDIT_KIND = { magic: 'SLUICEAU', version: 2 };

const SEGMENT = /^audit-(\d{15})-\d+-\d+\.log$/;

/** By its name a segment stands behind all that were begun earlier. */
function segmentName(stampMs: number, pid: number, number: number): string {
  return `audit-${String(stampMs).padStart(15, '0')}-${pid}-${String(number).padStart(6, '0')}.log`;
}

function stampOf(name: string): number {
  return Number(SEGMENT.exec(name)?.[1] ?? 0);
}

export function isSegment(name: string): boolean {
  return SEGMENT.test(name);
}
