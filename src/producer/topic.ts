import { Bottleneck } from './bottleneck.ts';
import type { ProducerError } from './errors.ts';
import { partitionForKey } from './murmur2.ts';
import { PartitionQueue } from './partition-queue.ts';
import type { PartitionLeader } from './port.ts';

/** A topic that records are sent to: its partitions as metadata names them, and what is wrong with it. */
export class Topic {
  readonly name: string;
  /** Where records wait until the topic is known and usable. */
  readonly bottleneck: Bottleneck;
  /** By index; empty until metadata is there. */
  readonly partitions: PartitionQueue[] = [];
  /** Why nothing can be sent to it at present; undefined when all is well, or nothing is known yet. */
  fault: ProducerError | undefined;
  #topicId: string | undefined;
  readonly #progress: () => number;
  #sticky = -1;
  #stickyBytes = 0;

  constructor(name: string, progress: () => number) {
    this.name = name;
    this.bottleneck = new Bottleneck(progress);
    this.#progress = progress;
  }

  get usable(): boolean {
    return this.fault === undefined && this.partitions.length > 0;
  }

  /**
   * Takes over what a broker says of the partitions. An answer older than what we know is passed over (KIP-320),
   * unless it is about another topic of the same name: then leader epochs and sequences start anew.
   */
  update(topicId: string | undefined, leaders: readonly PartitionLeader[]): void {
    const isNewTopic = this.#topicId !== undefined && topicId !== undefined && topicId !== this.#topicId;
    this.#topicId = topicId ?? this.#topicId;
    if (isNewTopic) {
      for (const queue of this.partitions) {
        queue.leaderId = -1;
        queue.leaderEpoch = -1;
        queue.restartSequence();
      }
    }
    leaders.forEach(({ leaderId, leaderEpoch }, index) => {
      const queue = (this.partitions[index] ??= new PartitionQueue(this.name, index, this.#progress));
      if (leaderEpoch !== -1 && leaderEpoch < queue.leaderEpoch) return;
      queue.leaderId = leaderId;
      queue.leaderEpoch = leaderEpoch;
    });
  }

  /** Java's choice: murmur2 of the key, or without one the partition that the topic sticks to for `stickyBytes`. */
  partitionFor(
    key: Uint8Array | null,
    recordBytes: number,
    stickyBytes: number,
    random: () => number,
  ): number {
    if (key !== null) return partitionForKey(key, this.partitions.length);
    if (this.#sticky === -1 || this.#stickyBytes >= stickyBytes) this.changeSticky(random);
    this.#stickyBytes += recordBytes;
    return this.#sticky;
  }

  /** Records without a key go to another partition from now on, one with a leader if there is any. */
  changeSticky(random: () => number): void {
    const count = this.partitions.length;
    this.#stickyBytes = 0;
    const first = Math.floor(random() * count);
    for (let i = 0; i < count; i++) {
      const index = (first + i) % count;
      if (this.partitions[index]?.leaderId !== -1 && (index !== this.#sticky || count === 1)) {
        this.#sticky = index;
        return;
      }
    }
    this.#sticky = first;
  }
}
