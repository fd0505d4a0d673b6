import type { Acknowledgements } from './acknowledgements.ts';
import type { IngressStats } from './stats.ts';
import type { Transport } from './transport.ts';

const SLAB_BYTES = 16 * 1024;

/** Writes the acknowledgements of many connections out of one piece of memory, with one write each. */
export class AckWriter {
  readonly #stats: IngressStats;
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #used = 0;

  constructor(stats: IngressStats) {
    this.#stats = stats;
  }

  write(acks: Acknowledgements, transport: Transport): void {
    const bytes = acks.readyBytes;
    if (bytes === 0 || transport.destroyed) return;
    if (this.#used + bytes > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
      this.#used = 0;
    }
    const start = this.#used;
    const end = acks.drain(this.#slab, start, start + bytes, this.#stats);
    transport.write(this.#slab.subarray(start, end));
    // The kernel takes a few bytes at once, as a rule; then the memory is free again. Otherwise it must stay.
    this.#used = transport.writableLength === 0 ? start : end;
  }
}
