import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';
import { compressFrame } from 'lz4-napi';
import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { CompressionType } from '../config/config-table.ts';
import type { ProducerBatch } from './producer-batch.ts';

export interface BatchCompressorOptions {
  readonly type: CompressionType;
  readonly levels: CompressionLevels;
  readonly nowMs: () => number;
  readonly logger: Logger;
  /** In place of the codecs, for tests. */
  readonly compress?: (codec: Codec, levels: CompressionLevels, records: Uint8Array) => Promise<Uint8Array>;
  /** Batches that may be in the pool at once; half of its threads. */
  readonly maxInPool?: number;
}

/** libuv's own default (uv_threadpool: UV_THREADPOOL_SIZE). */
const DEFAULT_POOL_THREADS = 4;

const WARNING_INTERVAL_MS = 10_000;

/**
 * Has batches compressed in libuv's thread pool, several at once, but never in so many of its threads that file
 * system calls would have to wait for them: half the pool is left to others. The rest wait, first come, first served.
 */
export class BatchCompressor {
  readonly #options: BatchCompressorOptions;
  readonly #compress: NonNullable<BatchCompressorOptions['compress']>;
  readonly #maxInPool: number;
  /** Those that wait, oldest first: each is called when a thread is its own. */
  readonly #waiting: (() => void)[] = [];
  #inPool = 0;
  #lastWarningMs = Number.NEGATIVE_INFINITY;

  constructor(options: BatchCompressorOptions) {
    this.#options = options;
    this.#compress = options.compress ?? compress;
    this.#maxInPool = options.maxInPool ?? halfOfPool();
  }

  /** More batches are there than its threads can take at once: the processor does not keep up. */
  get isBehind(): boolean {
    return this.#waiting.length > 0;
  }

  /**
   * Compresses the batch's records, unless that has been done: a retry sends the same bytes.
   * @returns undefined when there is nothing to wait for; the promise never rejects
   */
  compress(batch: ProducerBatch): Promise<void> | undefined {
    if (batch.compressed !== undefined) return undefined;
    const { type } = this.#options;
    if (type !== 'none') return this.#compressInPool(batch, type);
    batch.compressed = { type, bytes: batch.records };
    return undefined;
  }

  async #compressInPool(batch: ProducerBatch, type: Codec): Promise<void> {
    if (this.#inPool < this.#maxInPool) this.#inPool++;
    else {
      await new Promise<void>((hasThread) => {
        this.#waiting.push(hasThread);
      });
    }
    const { records } = batch;
    try {
      batch.compressed = { type, bytes: await this.#compress(type, this.#options.levels, records) };
    } catch (error) {
      // As good to Kafka and its consumers, only larger: better than a record that is late or lost.
      batch.compressed = { type: 'none', bytes: records };
      this.#warn(type, error);
    }
    // The thread goes to the batch that has waited longest.
    const next = this.#waiting.shift();
    if (next === undefined) this.#inPool--;
    else next();
  }

  #warn(codec: Codec, error: unknown): void {
    const { nowMs, logger } = this.#options;
    if (nowMs() - this.#lastWarningMs < WARNING_INTERVAL_MS) return;
    this.#lastWarningMs = nowMs();
    logger.warn(
      { codec, reason: errorMessage(error) },
      'batches can not be compressed; they are sent as they are',
    );
  }
}

function halfOfPool(): number {
  const threads = Number(process.env.UV_THREADPOOL_SIZE ?? DEFAULT_POOL_THREADS);
  return Math.max(1, Math.floor((Number.isFinite(threads) ? threads : DEFAULT_POOL_THREADS) / 2));
}

/** The compression types that change the bytes. */
export type Codec = Exclude<CompressionType, 'none'>;

/** The levels of the codecs that have any. */
export interface CompressionLevels {
  /** 1 to 9; -1: the library's choice. */
  readonly gzip: number;
  /** Negative: quicker than 1; up to 22. */
  readonly zstd: number;
}

/** Compresses the records of a batch: native code in a thread of libuv's pool, whatever the codec. */
export async function compress(
  codec: Codec,
  levels: CompressionLevels,
  records: Uint8Array,
): Promise<Uint8Array> {
  switch (codec) {
    case 'lz4':
      return compressFrame(records);
    case 'snappy': {
      // Loaded by the first batch: a native library takes 2 MB, and few producers use this one.
      const snappy = await import('snappy');
      return inSnappyStream(await snappy.compress(records));
    }
    case 'gzip':
      return gzipInPool(records, {
        level: levels.gzip === -1 ? constants.Z_DEFAULT_COMPRESSION : levels.gzip,
      });
    case 'zstd':
      return zstdInPool(records, {
        params: { [constants.ZSTD_c_compressionLevel]: levels.zstd },
        pledgedSrcSize: records.length,
      });
  }
}

const gzipInPool = promisify(gzip);
const zstdInPool = promisify(zstdCompress);

/** The header of snappy-java's stream: a magic, its version, and the least version that can read it. */
const XERIAL_HEADER = Buffer.from([0x82, ...Buffer.from('SNAPPY\0'), 0, 0, 0, 1, 0, 0, 0, 1]);

/**
 * Snappy as all Kafka clients have it: the stream format of snappy-java, blocks with their lengths. The whole batch
 * is one block: more blocks would each go to the pool and back, and a reader holds the whole batch anyway.
 */
function inSnappyStream(block: Buffer): Buffer {
  const length = Buffer.allocUnsafe(4);
  length.writeInt32BE(block.length);
  return Buffer.concat([XERIAL_HEADER, length, block]);
}
