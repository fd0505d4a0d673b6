import type { SerializedRecord } from '../../core/record.ts';
import { Bottleneck } from '../batches/bottleneck.ts';
import { PartitionQueue } from '../batches/partition-queue.ts';
import type { ProducerConfig } from '../config/config-table.ts';
import type { ProducerError } from '../errors.ts';
import { BuiltInPartitioner, partitionForKey } from './partitioner.ts';
import type { Partitioner, PartitioningOptions, PartitionView } from './partitioner.ts';
import type { PartitionLeader } from './port.ts';

/** The record has no partition of its own. */
const ANY_PARTITION = -1;
const UNKNOWN_PARTITION = -2;

export interface TopicOptions extends PartitioningOptions {
  readonly config: Pick<ProducerConfig, 'batchSizeBytes' | 'partitionerAdaptive' | 'partitionerIgnoreKeys'>;
  /** See {@link Bottleneck}. */
  readonly progress: () => number;
  /** In place of the default partitioner. */
  readonly partitioner: Partitioner | undefined;
}

/** How many former ids a topic remembers. Few are enough: brokers are behind by moments. */
const FORMER_IDS = 8;

/**
 * The topic had `partitionCount` partitions before; what they held when it got more, as the number of records
 * that must have their results before a key that moved may be sent to its new partition.
 */
interface Growth {
  readonly partitionCount: number;
  readonly settledAt: readonly number[];
}

/** A topic that records are sent to: its partitions as metadata names them, and what is wrong with it. */
export class Topic implements PartitionView {
  readonly name: string;
  /** Where records wait until the topic is known and usable. */
  readonly bottleneck: Bottleneck;
  /** By index; empty until metadata is there. */
  readonly partitions: PartitionQueue[] = [];
  /** Why nothing can be sent to it at present; undefined when all is well, or nothing is known yet. */
  fault: ProducerError | undefined;
  readonly #options: TopicOptions;
  readonly #builtIn: BuiltInPartitioner;
  #topicId: string | undefined;
  /** Ids of the last topics that had this name before. */
  #formerIds: readonly string[] = [];
  #growths: Growth[] = [];

  constructor(name: string, options: TopicOptions) {
    this.name = name;
    this.bottleneck = new Bottleneck('metadata', options.progress);
    this.#options = options;
    this.#builtIn = new BuiltInPartitioner(options);
  }

  get usable(): boolean {
    return this.fault === undefined && this.partitions.length > 0;
  }

  get partitionCount(): number {
    return this.partitions.length;
  }

  hasLeader(partition: number): boolean {
    return (this.partitions[partition]?.leaderId ?? -1) !== -1;
  }

  /**
   * Takes over what a broker says of the partitions. An answer older than what we know is passed over (KIP-320);
   * one about a topic of the same name that was before ours (KIP-516) is, too: that broker is behind. If it is
   * about a topic that we have not heard of, leader epochs and sequences start anew.
   *
   * @returns partitions that don't exist any more: the topic was created anew with fewer
   */
  update(topicId: string | undefined, leaders: readonly PartitionLeader[]): readonly PartitionQueue[] {
    if (topicId !== undefined && this.#formerIds.includes(topicId)) return [];
    const former = this.#topicId;
    const isNewTopic = former !== undefined && topicId !== undefined && topicId !== former;
    this.#topicId = topicId ?? former;
    let removed: readonly PartitionQueue[] = [];
    if (isNewTopic) {
      this.#formerIds = [former, ...this.#formerIds].slice(0, FORMER_IDS);
      removed = this.#startAnew(leaders.length);
    } else if (this.partitions.length > 0 && leaders.length > this.partitions.length) {
      const settledAt = this.partitions.map((queue) => queue.appendedRecords);
      this.#growths.push({ partitionCount: this.partitions.length, settledAt });
    }
    leaders.forEach(({ leaderId, leaderEpoch }, index) => {
      const queue = (this.partitions[index] ??= new PartitionQueue(this.name, index, this.#options.progress));
      if (leaderEpoch !== -1 && leaderEpoch < queue.leaderEpoch) return;
      queue.leaderId = leaderId;
      queue.leaderEpoch = leaderEpoch;
    });
    return removed;
  }

  #startAnew(partitionCount: number): readonly PartitionQueue[] {
    this.#growths = [];
    for (const queue of this.partitions) {
      queue.leaderId = -1;
      queue.leaderEpoch = -1;
      queue.restartSequence();
    }
    return this.partitions.splice(partitionCount);
  }

  /** The partition for a record that doesn't name one; with a custom partitioner it may be out of range. */
  partitionFor(record: SerializedRecord, recordBytes: number): number {
    const { partitioner } = this.#options;
    if (partitioner !== undefined) return partitioner.partition(record, this);
    if (this.#sticks(record)) return this.#builtIn.next(this.partitions, recordBytes);
    return partitionForKey(record.key as Uint8Array, this.partitions.length);
  }

  /**
   * The partition that a record with this key goes to, whatever else happens: {@link ANY_PARTITION} where it is
   * chosen record by record, {@link UNKNOWN_PARTITION} before metadata is there.
   */
  fixedPartition(record: SerializedRecord): number {
    if (this.partitions.length === 0) return UNKNOWN_PARTITION;
    if (this.#options.partitioner !== undefined || this.#sticks(record)) return ANY_PARTITION;
    return partitionForKey(record.key as Uint8Array, this.partitions.length);
  }

  /** The partition chosen for the record had no room: where any will do, the next try goes to another. */
  hadNoRoom(record: SerializedRecord): void {
    if (this.#options.partitioner === undefined && this.#sticks(record))
      this.#builtIn.change(this.partitions);
  }

  /**
   * What the record must wait for because the topic got more partitions and its key belongs to another one now:
   * the records before it, in the old partition. Otherwise it could be read before them.
   */
  heldBack(record: SerializedRecord): Bottleneck | undefined {
    if (this.#growths.length === 0) return undefined;
    this.#growths = this.#growths.filter(({ settledAt }) =>
      settledAt.some((records, index) => !this.#hasSettled(index, records)),
    );
    const { key } = record;
    if (key === null || this.#sticks(record) || this.#options.partitioner !== undefined) return undefined;
    const now = partitionForKey(key, this.partitions.length);
    for (const { partitionCount, settledAt } of this.#growths) {
      const before = partitionForKey(key, partitionCount);
      if (before === now || this.#hasSettled(before, settledAt[before] as number)) continue;
      return (this.partitions[before] as PartitionQueue).bottleneck;
    }
    return undefined;
  }

  #hasSettled(index: number, records: number): boolean {
    return (this.partitions[index] as PartitionQueue).settledRecords >= records;
  }

  #sticks({ key }: SerializedRecord): boolean {
    return key === null || this.#options.config.partitionerIgnoreKeys;
  }
}
