import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { compress, type Codec, type CompressionLevels } from './compression.ts';
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

interface Job {
  readonly batch: ProducerBatch;
  readonly done: () => void;
}

/**
 * Has batches compressed in libuv's thread pool, several at once, but never in so many of its threads that file
 * system calls would have to wait for them: half the pool is left to others. The rest wait, first come, first served.
 */
export class BatchCompressor {
  readonly #options: BatchCompressorOptions;
  readonly #compress: NonNullable<BatchCompressorOptions['compress']>;
  readonly #maxInPool: number;
  readonly #waiting: Job[] = [];
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
    if (type === 'none') {
      batch.compressed = { type, bytes: batch.records };
      return undefined;
    }
    return new Promise((done) => {
      this.#waiting.push({ batch, done });
      this.#fillPool(type);
    });
  }

  #fillPool(codec: Codec): void {
    while (this.#inPool < this.#maxInPool) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      this.#inPool++;
      void this.#run(codec, job);
    }
  }

  async #run(codec: Codec, { batch, done }: Job): Promise<void> {
    const { records } = batch;
    try {
      batch.compressed = { type: codec, bytes: await this.#compress(codec, this.#options.levels, records) };
    } catch (error) {
      this.#leaveAsItIs(batch, codec, error);
    }
    this.#inPool--;
    done();
    this.#fillPool(codec);
  }

  /** As good to Kafka and its consumers, only larger: better than a record that is late or lost. */
  #leaveAsItIs(batch: ProducerBatch, codec: Codec, error: unknown): void {
    batch.compressed = { type: 'none', bytes: batch.records };
    this.#warn(codec, error);
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
