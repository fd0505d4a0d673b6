import type { Metric } from '../../core/metric.ts';
import type { SerializedRecord } from '../../core/record.ts';
import { WaitingLine } from '../../core/waiting-line.ts';
import type { Bottleneck, PartitionedSink, Position } from '../ports.ts';

/** Which way a lane's new records take. */
export type LaneState =
  /** To the producer at once. */
  | 'direct'
  /** None: they wait. What the producer alone has is being copied to the disk, and must stand there in front of them. */
  | 'copying'
  /** To the end of the journal, from where they are read back. */
  | 'indirect'
  /** None: they wait a moment, until the last ones have come back from the disk and Kafka has them. */
  | 'closing'
  /** None: its topic has other partitions now, and other lanes. */
  | 'retired';

/** All that can happen to a lane, and why it does. ARCHITECTURE.md has the picture; a test compares the two. */
export const TRANSITIONS: Readonly<Record<LaneState, Readonly<Partial<Record<LaneState, string>>>>> = {
  direct: {
    copying: 'Kafka is away or slow, and the producer alone has records',
    indirect: 'the producer has no room, and all records are on the disk',
    retired: 'other partitions',
  },
  copying: {
    direct: 'the disk takes no copy',
    indirect: 'all are copied, or Kafka was sooner',
    retired: 'other partitions',
  },
  indirect: {
    closing: 'little is left on the disk',
    direct: 'nothing is left on the disk',
    retired: 'other partitions',
  },
  closing: {
    direct: 'nothing is left on the disk',
    indirect: 'the last records did not come back in time',
    retired: 'other partitions',
  },
  retired: {},
};

/**
 * What one lane has in the producer of records that were read back, bytes: enough for five batches in flight, and
 * little enough for live records of other contracts not to stand long behind it.
 */
const REPLAY_WINDOW_BYTES = 640 << 10;

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
  #state: LaneState;
  /** All lanes that are by way of the disk; kept by the state. */
  readonly #indirect: Set<Lane>;

  /** Records that were given to the producer, and those of them that have their result; both only grow. */
  #sent = 0;
  #settled = 0;
  /** `sent` at the last looks, oldest first. */
  readonly #marks: number[] = [];
  #isSlow = false;
  /** Of those with the producer, what is on no disk. */
  #uncopied = 0;
  /** Of those that were read back: what they take in the producer, bytes. */
  #replayedBytes = 0;
  /** Something of it was acknowledged since somebody asked whether it may close: Kafka takes its records. */
  #hasMoved = false;

  /** Records on their way to the disk that are to be read back. */
  #pending = 0;
  /** The last of those that are there. */
  #last: Position = -1;
  /** The first of its records that the reader had to leave behind. */
  #skippedFrom: Position | undefined;
  /** Lanes that its records went by while the topic had other partitions. */
  #ancestors: readonly Lane[] = [];

  /** It will be woken when the producer has room; when the disk has. */
  #awaitsRoom = false;
  #awaitsDisk = false;
  /** Monotonic milliseconds: not to be closed again before. */
  #closeAgainMs = 0;
  readonly #waiters = new WaitingLine();
  #isWaking = false;
  #wasRefused = false;

  constructor(topic: string, partition: number, state: 'direct' | 'indirect', indirect: Set<Lane>) {
    this.topic = topic;
    this.partition = partition;
    this.#state = state;
    this.#indirect = indirect;
    if (state === 'indirect') indirect.add(this);
  }

  get state(): LaneState {
    return this.#state;
  }

  /** The only place where the state changes. */
  #transition(to: LaneState): void {
    if (TRANSITIONS[this.#state][to] === undefined) {
      throw new Error(`a lane does not become ${to} when it is ${this.#state}`);
    }
    this.#state = to;
    if (to === 'direct' || to === 'retired') this.#indirect.delete(this);
    else this.#indirect.add(this);
  }

  /** New records go by way of the disk, as soon as what the producer alone has is copied. */
  leaveDirect(): void {
    this.#hasMoved = false;
    this.#transition(this.#uncopied > 0 ? 'copying' : 'indirect');
  }

  /** The disk takes none of the copies, and it need not. */
  stayDirect(): void {
    this.#transition('direct');
  }

  /** Nothing is left to be copied. */
  copied(): void {
    if (this.#state === 'copying') this.#transition('indirect');
    this.wake();
  }

  /** New records wait until nothing is left on the disk; see {@link reopen}. */
  close(): void {
    this.#transition('closing');
  }

  /** Something still is left: new records go on by way of the disk, and it is not closed again before that time. */
  reopen(closeAgainMs: number): void {
    this.#closeAgainMs = closeAgainMs;
    this.#transition('indirect');
    this.wake();
  }

  /** Nothing of it stands between the disk and Kafka any more. */
  becomeDirect(): void {
    if (this.inFlight > 0) throw new Error('a lane is direct only when all that was read back is in Kafka');
    this.#ancestors = [];
    this.#transition('direct');
    this.wake();
  }

  /** Its topic has other partitions: what waits for it belongs to others now. */
  retire(): void {
    this.#transition('retired');
    this.wake();
  }

  /** Behind what is left of lanes that are retired, from the first record on that was left behind of any. */
  follow(lanes: readonly Lane[]): void {
    this.#ancestors = [...lanes, ...lanes.flatMap((lane) => lane.#ancestors)].filter(
      (lane) => lane.#pending > 0 || lane.#last >= 0,
    );
    const skips = lanes.flatMap((lane) => lane.#skippedFrom ?? []);
    if (skips.length > 0) this.#skippedFrom = Math.min(...skips);
  }

  /** New records must wait. */
  get holdsBack(): boolean {
    return this.#state === 'copying' || this.#state === 'closing';
  }

  get inFlight(): number {
    return this.#sent - this.#settled;
  }

  get uncopied(): number {
    return this.#uncopied;
  }

  /** The producer has a record; `isAlone`: and no disk has, or is to have it. */
  recordSent(isAlone: boolean): void {
    this.#sent++;
    if (isAlone) this.#uncopied++;
  }

  /** A record that was read back takes so much in the producer; below 0: no more. */
  recordReplayed(bytes: number): void {
    this.#replayedBytes += bytes;
  }

  /** The disk takes a copy of what the producer alone had. */
  recordCopied(): void {
    this.#uncopied--;
  }

  /** The producer has the result of a record: see {@link recordSent}. */
  recordSettled(wasAlone: boolean): void {
    this.#settled++;
    if (wasAlone) this.#uncopied--;
    this.#hasMoved = true;
  }

  /** A record is on its way to the disk, and is to be read back from there. */
  recordJournaling(): void {
    this.#pending++;
  }

  /** It is there. */
  recordJournaled(position: Position): void {
    this.#pending--;
    this.#last = position;
  }

  /** As much of it is in the producer as may be of records that were read back. */
  get isReplayWindowFull(): boolean {
    return this.#replayedBytes >= REPLAY_WINDOW_BYTES;
  }

  /** Notices whether a record has been with the producer for longer than so many looks. */
  look(looks: number): void {
    this.#marks.push(this.#sent);
    const then = this.#marks.length > looks ? (this.#marks.shift() as number) : 0;
    this.#isSlow = this.#settled < then;
  }

  get isSlow(): boolean {
    return this.#isSlow;
  }

  get isLeftBehind(): boolean {
    return this.#skippedFrom !== undefined;
  }

  /** The first of its records that was left behind, if there may be room for it. */
  get sweepFrom(): Position | undefined {
    return this.#awaitsRoom || this.isReplayWindowFull ? undefined : this.#skippedFrom;
  }

  /** The reader goes on without it: its record there is the first that was not sent. */
  leaveBehind(position: Position): void {
    this.#skippedFrom = position;
  }

  /** What was left behind has been fetched. */
  catchUp(): void {
    this.#skippedFrom = undefined;
  }

  /** Everything that was to be read back stands in front of `position`, is in Kafka, and nothing was left behind. */
  isDrained(position: Position): boolean {
    return (
      this.#state !== 'copying' &&
      this.inFlight === 0 &&
      this.#skippedFrom === undefined &&
      this.#isReadUpTo(position) &&
      this.#ancestors.every((lane) => lane.#isReadUpTo(position))
    );
  }

  #isReadUpTo(position: Position): boolean {
    return this.#pending === 0 && this.#last < position;
  }

  /** The last records will be back soon: what was read back gets to Kafka, and closing was not in vain just now. */
  mayClose(nowMs: number): boolean {
    if (this.#state !== 'indirect' || this.#skippedFrom !== undefined) return false;
    const takes = !this.#isSlow && (this.#hasMoved || this.inFlight === 0);
    this.#hasMoved = false;
    return takes && nowMs >= this.#closeAgainMs;
  }

  /** For people: by way of the disk, `spilling`: none gets through at present; `draining`: they do. */
  get way(): 'direct' | 'spilling' | 'draining' {
    if (this.#state === 'direct') return 'direct';
    return this.#skippedFrom !== undefined || this.#awaitsRoom ? 'spilling' : 'draining';
  }

  /** Those that wait are woken when the producer has room for it; `first` has its turn before them. */
  awaitRoom(bottleneck: Bottleneck, first: () => void): void {
    if (this.#awaitsRoom) return;
    this.#awaitsRoom = true;
    bottleneck.wait(() => {
      this.#awaitsRoom = false;
      first();
      this.wake();
    });
  }

  /** Those that wait are woken when the disk has room. */
  awaitDisk(bottleneck: Bottleneck): void {
    if (this.#awaitsDisk) return;
    this.#awaitsDisk = true;
    bottleneck.wait(() => {
      this.#awaitsDisk = false;
      this.wake();
    });
  }

  /** A device waits while the lane holds back, or for the disk. */
  wait(callback: () => void, isGone?: () => boolean): void {
    this.#wasRefused = this.#isWaking;
    this.#waiters.push(callback, isGone);
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** Calls those that wait, in order, until one is refused again. */
  wake(): void {
    if (this.#isWaking) return;
    this.#isWaking = true;
    try {
      for (let turns = this.#waiters.length; turns > 0 && !this.#wasRefused; turns--) {
        this.#waiters.shift()?.();
      }
    } finally {
      this.#isWaking = false;
      this.#wasRefused = false;
    }
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
  /** Those by way of the disk. */
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
    return (topic.lanes[index] ??= this.#open(topic.topic, index - 1, this.recovering));
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

  #open(topic: string, partition: number, isIndirect: boolean): Lane {
    return new Lane(topic, partition, isIndirect ? 'indirect' : 'direct', this.indirect);
  }

  /**
   * The topic has other partitions than before, and keys have moved: whatever is to be read back may now belong to
   * any of its lanes. What was sent is claimed, and is not read again.
   */
  #repartition(topic: TopicLanes, partitionCount: number): void {
    const before = Object.values(topic.lanes);
    topic.partitionCount = partitionCount;
    topic.lanes = [];
    const behind = before.filter(({ state }) => state !== 'direct');
    for (let partition = -1; behind.length > 0 && partition < partitionCount; partition++) {
      const lane = this.#open(topic.topic, partition, true);
      lane.follow(behind);
      topic.lanes[partition + 1] = lane;
    }
    for (const lane of before) lane.retire();
  }

  metrics(): readonly Metric[] {
    return [
      {
        name: 'sluice_lanes',
        help: 'Partitions by the way that records of journal contracts take to them: direct, spilling to the disk, draining from it.',
        kind: 'gauge',
        labelNames: ['topic', 'state'],
        read: () => {
          const alike = Map.groupBy(this.all(), ({ topic, way }) => `${topic} ${way}`);
          return [...alike.values()].flatMap(([first, ...rest]) =>
            first === undefined
              ? []
              : { labels: { topic: first.topic, state: first.way }, value: 1 + rest.length },
          );
        },
      },
    ];
  }
}
