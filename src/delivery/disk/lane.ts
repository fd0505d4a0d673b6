import { WaitingLine } from '../../core/waiting-line.ts';
import type { SerializedRecord } from '../../core/record.ts';
import type { Position } from './journal-port.ts';
import type { Bottleneck, PartitionedSink } from '../record-sink.ts';

/**
 * Records that must reach Kafka in order: those of one partition, of a topic whose records have no key, or of a topic
 * whose partitions are not known yet.
 *
 * While it is `direct`, records go to the producer at once. When the producer has no room, it is not: records go to
 * the end of the journal and are read back from there, until nothing of it stands between the two.
 */
export class Lane implements Bottleneck {
  readonly topic: string;
  readonly partition: number;
  direct: boolean;
  /** Records appended to be read back, and not on the disk yet. */
  pending = 0;
  /** The last of those that are. */
  last: Position = -1;
  /** The reader had to leave it behind: the first of its records that was not sent. */
  skippedFrom: Position | undefined;
  /** Records that were given to the producer, and those of them that have their result; both only grow. */
  sent = 0;
  settled = 0;
  /** `sent` at the last looks, oldest first. */
  readonly #marks: number[] = [];
  /** A record of it has been with the producer for longer than it should. */
  slow = false;
  /** Of those with the producer, what is on no disk. */
  uncopied = 0;
  /** Copies of them are on their way to the disk, and nothing newer may go before: new records wait. */
  copying = false;
  /** It will be woken when the disk has room. */
  awaitsDisk = false;
  /** Of records that were read back: what they take in the producer, bytes. */
  replayedBytes = 0;
  /** Something of it was acknowledged since the last look: Kafka takes its records. */
  moved = false;
  /** Waits for the producer to have room; or for what was read back to get acknowledged, of which it has enough. */
  awaitsRoom = false;
  windowFull = false;
  /** New records wait, for as long as it takes the last ones to come back from the disk: then it is direct again. */
  closing = false;
  /** Monotonic milliseconds: not to be closed again before. */
  closeAgainMs = 0;
  /** Lanes that its records went by while the topic had other partitions. */
  ancestors: readonly Lane[] = [];
  readonly #waiters = new WaitingLine();
  #waking = false;
  #refused = false;

  constructor(topic: string, partition: number, direct: boolean) {
    this.topic = topic;
    this.partition = partition;
    this.direct = direct;
  }

  get inFlight(): number {
    return this.sent - this.settled;
  }

  /** `sent` as it was so many looks ago. */
  mark(looks: number): number {
    this.#marks.push(this.sent);
    return this.#marks.length > looks ? (this.#marks.shift() as number) : 0;
  }

  /** A device waits while the lane is closing, or copying, or for the disk. */
  wait(callback: () => void, isGone?: () => boolean): void {
    this.#refused = this.#waking;
    this.#waiters.push(callback, isGone);
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** Calls those that wait, in order, until one is refused again. */
  wake(): void {
    if (this.#waking) return;
    this.#waking = true;
    try {
      for (let turns = this.#waiters.length; turns > 0 && !this.#refused; turns--) {
        this.#waiters.shift()?.();
      }
    } finally {
      this.#waking = false;
      this.#refused = false;
    }
  }

  /** Everything that was to be read back stands in front of `position`, and nothing of it was left behind. */
  isReadUpTo(position: Position): boolean {
    return (
      this.skippedFrom === undefined &&
      this.pending === 0 &&
      this.last < position &&
      this.ancestors.every((lane) => lane.pending === 0 && lane.last < position)
    );
  }
}

/** The lanes of one topic. */
interface TopicLanes {
  readonly topic: string;
  /** 0: unknown, and all its records go one way. */
  partitionCount: number;
  /** By partition, behind the one for records that any partition may take. */
  lanes: Lane[];
}

/** Which lane a record belongs to. As many as there are partitions of topics in use. */
export class Lanes {
  readonly #sink: PartitionedSink;
  readonly #topics = new Map<string, TopicLanes>();
  /** Most streams have runs of one topic. */
  #lastTopic: TopicLanes | undefined;
  /** Those that are not direct. */
  readonly indirect = new Set<Lane>();
  /** Records of a former process are still to be read: whose they are is not known. */
  recovering: boolean;

  constructor(sink: PartitionedSink, recovering: boolean) {
    this.#sink = sink;
    this.recovering = recovering;
  }

  of(record: SerializedRecord): Lane {
    let topic = this.#lastTopic;
    if (topic?.topic !== record.topic) topic = this.#topic(record.topic);
    const count = this.#sink.partitionCount(topic.topic);
    if (count !== topic.partitionCount) this.#repartition(topic, count);
    // Of a topic that isn't known, -2: the lane of any partition is the only one.
    const index = Math.max(0, this.#sink.partitionOf(record) + 1);
    return (topic.lanes[index] ??= this.#open(topic.topic, index - 1));
  }

  *all(): Generator<Lane> {
    for (const { lanes } of this.#topics.values()) for (const lane of Object.values(lanes)) yield lane;
  }

  #topic(name: string): TopicLanes {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = { topic: name, partitionCount: this.#sink.partitionCount(name), lanes: [] };
      this.#topics.set(name, topic);
    }
    this.#lastTopic = topic;
    return topic;
  }

  #open(topic: string, partition: number): Lane {
    const lane = new Lane(topic, partition, !this.recovering);
    if (!lane.direct) this.indirect.add(lane);
    return lane;
  }

  /**
   * The topic has other partitions than before, and keys have moved: whatever is to be read back may now belong to
   * any of its lanes. What was sent is claimed, and is not read again.
   */
  #repartition(topic: TopicLanes, partitionCount: number): void {
    const before = Object.values(topic.lanes);
    topic.partitionCount = partitionCount;
    topic.lanes = [];
    const behind = before.filter((lane) => !lane.direct);
    const skips = behind.flatMap(({ skippedFrom }) => skippedFrom ?? []);
    for (let partition = -1; behind.length > 0 && partition < partitionCount; partition++) {
      const lane = new Lane(topic.topic, partition, false);
      if (skips.length > 0) lane.skippedFrom = Math.min(...skips);
      lane.ancestors = [...behind, ...behind.flatMap(({ ancestors }) => ancestors)].filter(
        ({ pending, last }) => pending > 0 || last >= 0,
      );
      topic.lanes[partition + 1] = lane;
      this.indirect.add(lane);
    }
    for (const lane of before) {
      this.indirect.delete(lane);
      lane.closing = false;
      lane.wake();
    }
  }
}
