import type { SerializedRecord } from '../../core/record.ts';
import { Bottleneck } from './bottleneck.ts';
import { BatchState, nextSequence } from './producer-batch.ts';
import type { BatchOutcome, ProducerBatch, RecordTarget, TopicPartition } from './producer-batch.ts';

/** A batch of a partition. */
export type QueuedBatch = ProducerBatch<PartitionQueue>;

const MAX_EPOCH = 0x7fff;

/**
 * One partition's batches, oldest first, in two lists: `sent` has been in flight at least once, `waiting` never
 * was. A batch that must go again keeps its place in `sent`, so that order needs no sorting, and results are
 * passed on from the front only.
 *
 * Sequence numbers and epoch belong to the partition alone (the broker keeps them by partition too, KIP-360),
 * so that a new start of one partition's sequence concerns no other.
 */
export class PartitionQueue implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  /** Where records wait while this partition holds its share of buffer.memory. */
  readonly bottleneck: Bottleneck;
  /** -1: unknown, or there is none at present. */
  leaderId = -1;
  leaderEpoch = -1;
  /** Bytes of the batches in both lists. */
  bytes = 0;

  readonly sent: QueuedBatch[] = [];
  readonly waiting: QueuedBatch[] = [];
  /** Records whose targets have been told, or are about to be; only grows. */
  settledRecords = 0;
  /** Flushes that wait for so many settled records, fewest first. */
  readonly #flushes: { readonly records: number; readonly resolve: () => void }[] = [];

  producerId = -1n;
  producerEpoch = -1;
  #nextSequence = 0;
  #restartSequence = false;
  #acknowledged = false;

  constructor(topic: string, partition: number, progress: () => number) {
    this.topic = topic;
    this.partition = partition;
    this.bottleneck = new Bottleneck('partition', progress);
  }

  get isEmpty(): boolean {
    return this.sent.length === 0 && this.waiting.length === 0;
  }

  /** The batch that takes records, if there is one. */
  get open(): QueuedBatch | undefined {
    const last = this.waiting.at(-1);
    return last?.state === BatchState.Open ? last : undefined;
  }

  get hasInFlight(): boolean {
    return this.sent.some(({ state }) => state === BatchState.InFlight);
  }

  /** The batches without a result, oldest first. */
  unfinished(): QueuedBatch[] {
    return [...this.sent, ...this.waiting].filter(({ state }) => state !== BatchState.Done);
  }

  /**
   * The batch that may go next; undefined if there is none, or while the partition is muted: all its room in flight
   * is taken, or what is in flight must be answered first, so that order is kept.
   */
  next(maxInFlight: number): QueuedBatch | undefined {
    // A new epoch starts when no batch of the old one is in flight. The broker would refuse such a batch behind one
    // of the new epoch, or worse, take it before that one.
    if (this.#restartSequence && this.hasInFlight) return undefined;
    let inFlight = 0;
    for (const batch of this.sent) {
      if (batch.state === BatchState.InFlight) inFlight++;
      // A retry goes alone and first; others behind it would be refused as out of order.
      else if (batch.state === BatchState.Retry) return inFlight === 0 ? batch : undefined;
    }
    // Before the broker has acknowledged a batch of this epoch, it may have no state for us. It then takes any
    // sequence: if it refuses the first batch alone, a second one would stand before it.
    const limit = this.#acknowledged ? maxInFlight : 1;
    return inFlight < limit ? this.waiting[0] : undefined;
  }

  /** Records without a result, oldest first, as views on their batch. */
  *unacknowledged(): Generator<{ record: SerializedRecord; target: RecordTarget; token: number }> {
    for (const batch of this.unfinished()) {
      let index = 0;
      for (const record of batch) {
        yield { record: { topic: this.topic, ...record }, ...batch.waiter(index) };
        index++;
      }
    }
  }

  /** Records appended; only grows. */
  get appendedRecords(): number {
    let records = this.settledRecords;
    for (const batch of this.sent) records += batch.recordCount;
    for (const batch of this.waiting) records += batch.recordCount;
    return records;
  }

  /** Moves the batch that {@link next} returned into flight. */
  take(batch: QueuedBatch): void {
    if (batch.state !== BatchState.Retry) {
      this.waiting.shift();
      this.sent.push(batch);
    }
    batch.state = BatchState.InFlight;
    batch.unanswered = true;
  }

  /** Gives the batch its one final result. One that was never sent moves to where results are passed on from. */
  finish(batch: QueuedBatch, outcome: BatchOutcome): void {
    const index = this.waiting.indexOf(batch);
    if (index !== -1) this.sent.push(...this.waiting.splice(index, 1));
    batch.finish(outcome);
  }

  /** Takes finished batches from the front, up to the first that is not finished. */
  takeFinished(): QueuedBatch[] {
    const oldest = this.sent.findIndex(({ state }) => state !== BatchState.Done);
    const finished = this.sent.splice(0, oldest === -1 ? this.sent.length : oldest);
    for (const { recordCount } of finished) this.settledRecords += recordCount;
    return finished;
  }

  /** Resolves when all that has been appended so far is settled. */
  whenSettled(): Promise<void> {
    return new Promise((resolve) => {
      this.#flushes.push({ records: this.appendedRecords, resolve });
    });
  }

  /** Records were settled: those who waited for no more of them go on. */
  endFlushes(): void {
    while ((this.#flushes[0]?.records ?? Number.POSITIVE_INFINITY) <= this.settledRecords) {
      this.#flushes.shift()?.resolve();
    }
  }

  /** Puts batches that carry the same records in the place of one. */
  replace(batch: QueuedBatch, parts: readonly QueuedBatch[]): void {
    this.sent.splice(this.sent.indexOf(batch), 1, ...parts);
  }

  /** Gives the batch its place in the partition's sequence; one that has it keeps it. */
  assignSequence(batch: QueuedBatch): void {
    if (batch.hasSequence) return;
    batch.producerId = this.producerId;
    batch.producerEpoch = this.producerEpoch;
    batch.baseSequence = this.#nextSequence;
    this.#nextSequence = nextSequence(this.#nextSequence, batch.recordCount);
  }

  /** The broker has a batch of the present epoch, and so keeps our sequence. */
  acknowledged(batch: QueuedBatch): void {
    if (batch.producerEpoch === this.producerEpoch) this.#acknowledged = true;
  }

  /** Whether no earlier batch of this partition lacks its result. */
  isOldest(batch: QueuedBatch): boolean {
    return this.sent.find(({ state }) => state !== BatchState.Done) === batch;
  }

  /**
   * The broker's sequence and ours don't fit any more (a batch that had a place in it failed, or the broker lost
   * its state): the next batch starts a new epoch at sequence 0, as soon as nothing is in flight.
   */
  restartSequence(): void {
    // Without a producer id there is no sequence.
    if (this.producerId !== -1n) this.#restartSequence = true;
  }

  /** A new epoch is due, and nothing of the old one is on its way any more. */
  get needsNewEpoch(): boolean {
    return this.#restartSequence && !this.hasInFlight;
  }

  /** True when the next epoch can't be had without another producer id. */
  get epochsExhausted(): boolean {
    return this.producerEpoch >= MAX_EPOCH;
  }

  /** Starts at sequence 0 under this producer id and epoch; what has to go again gets new places in the same order. */
  startSequences(producerId: bigint, producerEpoch: number): void {
    this.producerId = producerId;
    this.producerEpoch = producerEpoch;
    this.#nextSequence = 0;
    this.#restartSequence = false;
    this.#acknowledged = false;
    for (const batch of this.unfinished()) batch.baseSequence = -1;
  }
}
