import type { SerializedRecord } from '../../core/record.ts';

/** A topic, as a partitioner sees it. */
export interface PartitionView {
  readonly name: string;
  /** At least 1. */
  readonly partitionCount: number;
  /** Whether the partition can be sent to at present; a record for one that has no leader waits. */
  hasLeader(partition: number): boolean;
}

/**
 * Chooses the partition of each record that doesn't name one, in place of the default: Java's `Partitioner`.
 * It is asked again when the chosen partition had no room, so that choices are not deliveries.
 */
export interface Partitioner {
  /**
   * @param record in serialized form, to be read during the call only
   * @returns from 0 to `topic.partitionCount - 1`; anything else fails the record
   */
  partition(record: Readonly<SerializedRecord>, topic: PartitionView): number;
}

/** One partition after the other, whatever the key: Java's RoundRobinPartitioner. Those without a leader are left out. */
export class RoundRobinPartitioner implements Partitioner {
  readonly #next = new Map<string, number>();

  partition(_record: Readonly<SerializedRecord>, topic: PartitionView): number {
    const { name, partitionCount } = topic;
    const first = (this.#next.get(name) ?? 0) % partitionCount;
    let chosen = first;
    for (let i = 0; i < partitionCount; i++) {
      const candidate = (first + i) % partitionCount;
      if (!topic.hasLeader(candidate)) continue;
      chosen = candidate;
      break;
    }
    this.#next.set(name, chosen + 1);
    return chosen;
  }
}
