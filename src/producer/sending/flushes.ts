import type { PartitionQueue } from '../batches/partition-queue.ts';
import type { RecordAccumulator } from '../batches/record-accumulator.ts';

interface Flush {
  /** For each partition, how many records must have their results. */
  readonly targets: Map<PartitionQueue, number>;
  readonly resolve: () => void;
}

/** Who waits until partitions have passed on the results of what they held. */
export class Flushes {
  readonly #accumulator: RecordAccumulator;
  readonly #wakeup: () => void;
  readonly #flushes = new Set<Flush>();

  constructor(accumulator: RecordAccumulator, wakeup: () => void) {
    this.#accumulator = accumulator;
    this.#wakeup = wakeup;
  }

  /** Sends without lingering what has been appended; resolves when all of it has its result, good or bad. */
  flush(): Promise<void> {
    const targets = new Map<PartitionQueue, number>();
    for (const queue of this.#accumulator.active) targets.set(queue, queue.appendedRecords);
    if (targets.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#flushes.add({ targets, resolve });
      this.#accumulator.beginFlush();
      this.#wakeup();
    });
  }

  /** The partition has passed on results. */
  readonly onSettled = (queue: PartitionQueue): void => {
    for (const flush of this.#flushes) {
      if (queue.settledRecords < (flush.targets.get(queue) ?? Number.POSITIVE_INFINITY)) continue;
      flush.targets.delete(queue);
      if (flush.targets.size > 0) continue;
      this.#flushes.delete(flush);
      this.#accumulator.endFlush();
      flush.resolve();
    }
  };
}
