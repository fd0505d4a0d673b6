import type { PartitionQueue } from '../batches/partition-queue.ts';

export interface StickyOptions {
  /** How much goes to one partition before another is chosen, bytes (batch.size). */
  readonly batchSizeBytes: number;
  /** Prefer partitions with few batches waiting (partitioner.adaptive.partitioning.enable). */
  readonly adaptive: boolean;
  /** Whether a broker has not taken anything for partitioner.availability.timeout.ms. */
  readonly isUnavailable: (brokerId: number) => boolean;
  /** From 0 to 1. */
  readonly random: () => number;
}

/**
 * Where records without a key go: to one partition until it has had a batch's worth, then to another, chosen at
 * random with odds by the length of its queue (KIP-794; Java: BuiltInPartitioner). Fewer, fuller batches than
 * with a partition a record, and as evenly spread.
 */
export class StickyPartition {
  readonly #options: StickyOptions;
  #current = -1;
  #bytes = 0;

  constructor(options: StickyOptions) {
    this.#options = options;
  }

  /** The partition for a record of `recordBytes`. */
  next(partitions: readonly PartitionQueue[], recordBytes: number): number {
    if (this.#isDue(partitions, recordBytes)) this.change(partitions);
    this.#bytes += recordBytes;
    return this.#current;
  }

  /**
   * A partition is left when it has had a batch's worth, at the end of a batch: a batch that lingers half full is
   * not left behind for another one that would do the same. At twice that size it is left in any case.
   */
  #isDue(partitions: readonly PartitionQueue[], recordBytes: number): boolean {
    const { batchSizeBytes } = this.#options;
    if (this.#bytes < batchSizeBytes) return this.#current === -1;
    if (this.#bytes >= 2 * batchSizeBytes) return true;
    const open = partitions[this.#current]?.open;
    return open === undefined || open.endPosition + recordBytes > open.buffer.length;
  }

  /** Chooses another partition (by chance the same): the present one has had enough, or has no room. */
  change(partitions: readonly PartitionQueue[]): void {
    this.#bytes = 0;
    this.#current = this.#choose(this.#candidates(partitions));
  }

  /** The partitions with a leader whose broker is available; if there is none, those with a leader; else all. */
  #candidates(partitions: readonly PartitionQueue[]): readonly PartitionQueue[] {
    const led = partitions.filter(({ leaderId }) => leaderId !== -1);
    if (led.length === 0) return partitions;
    const available = led.filter(({ leaderId }) => !this.#options.isUnavailable(leaderId));
    return available.length === 0 ? led : available;
  }

  /** At random; with odds of (longest queue + 1 - own queue), so that a quick broker's partitions are chosen more often. */
  #choose(candidates: readonly PartitionQueue[]): number {
    const { adaptive, random } = this.#options;
    const lengths = candidates.map(({ waiting }) => (adaptive ? waiting.length : 0));
    const most = Math.max(...lengths);
    const odds = lengths.map((length) => most + 1 - length);
    let ticket = random() * odds.reduce((sum, odd) => sum + odd, 0);
    for (const [i, odd] of odds.entries()) {
      ticket -= odd;
      if (ticket < 0) return (candidates[i] as PartitionQueue).index;
    }
    return (candidates.at(-1) as PartitionQueue).index;
  }
}
