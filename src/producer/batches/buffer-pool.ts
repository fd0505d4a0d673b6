import { Bottleneck } from './bottleneck.ts';

/**
 * The memory for records that are not yet delivered: `buffer.memory` bytes, handed out in pieces. Pieces of
 * `batch.size` are pooled: allocating and clearing 128 KiB costs more than filling it with records.
 *
 * Bounded are the batches themselves. A batch in flight has a compressed copy besides, of at most
 * max.in.flight.requests.per.connection x max.request.size a broker.
 */
export class BufferPool {
  /** Where records wait that found no memory. */
  readonly bottleneck: Bottleneck;
  readonly totalBytes: number;
  readonly #pooledBytes: number;
  readonly #pool: Buffer[] = [];
  #usedBytes = 0;

  constructor(totalBytes: number, pooledBytes: number, progress: () => number) {
    this.totalBytes = totalBytes;
    this.#pooledBytes = Math.min(pooledBytes, totalBytes);
    this.bottleneck = new Bottleneck('memory', progress);
  }

  /** Bytes that no batch holds. */
  get availableBytes(): number {
    return this.totalBytes - this.#usedBytes;
  }

  /** Somebody waits for memory: batches go out without lingering. */
  get exhausted(): boolean {
    return this.bottleneck.waiting > 0;
  }

  /** A buffer of exactly `bytes`, or undefined when there is no room, or others have been waiting for it. */
  tryAllocate(bytes: number): Buffer | undefined {
    if (this.bottleneck.waiting > 0 && !this.bottleneck.waking) return undefined;
    if (this.#usedBytes + bytes > this.totalBytes) return undefined;
    return this.allocate(bytes);
  }

  /** A buffer of exactly `bytes`, past the limit if need be: for a batch that is split, whose memory is freed next. */
  allocate(bytes: number): Buffer {
    this.#usedBytes += bytes;
    const pooled = bytes === this.#pooledBytes ? this.#pool.pop() : undefined;
    return pooled ?? Buffer.allocUnsafeSlow(bytes);
  }

  /**
   * Takes a buffer back. Nobody is woken: the caller does that once its own state is consistent.
   * @param reusable false while somebody may still read it, e.g. a request that waits for its socket
   */
  free(buffer: Buffer, reusable = true): void {
    this.#usedBytes -= buffer.length;
    if (reusable && buffer.length === this.#pooledBytes) this.#pool.push(buffer);
  }
}
