import type { SerializedRecord } from '../../core/record.ts';
import type { PartitionQueue } from '../batches/partition-queue.ts';
import type { ProducerConfig } from '../config/config-table.ts';

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

/**
 * The 32-bit murmur2 hash of Kafka's Java client (org.apache.kafka.common.utils.Utils.murmur2), which decides
 * a key's partition for every client in the field.
 *
 * @returns a signed 32-bit integer, as Java's
 */
export function murmur2(data: Uint8Array): number {
  const length = data.length;
  const m = 0x5bd1e995;
  let h = 0x9747b28c ^ length;
  const whole = length & ~3;
  for (let i = 0; i < whole; i += 4) {
    let k =
      (data[i] as number) |
      ((data[i + 1] as number) << 8) |
      ((data[i + 2] as number) << 16) |
      ((data[i + 3] as number) << 24);
    k = Math.imul(k, m);
    k ^= k >>> 24;
    h = Math.imul(h, m) ^ Math.imul(k, m);
  }
  const rest = length & 3;
  if (rest === 3) h ^= (data[whole + 2] as number) << 16;
  if (rest >= 2) h ^= (data[whole + 1] as number) << 8;
  if (rest >= 1) h = Math.imul(h ^ (data[whole] as number), m);
  h ^= h >>> 13;
  h = Math.imul(h, m);
  return h ^ (h >>> 15);
}

/** The partition of a key in a topic of `partitionCount` partitions (Java: BuiltInPartitioner.partitionForKey). */
export function partitionForKey(key: Uint8Array, partitionCount: number): number {
  return (murmur2(key) & 0x7fff_ffff) % partitionCount;
}

/** What decides where records without a key go. */
export interface PartitioningOptions {
  readonly config: Pick<ProducerConfig, 'batchSizeBytes' | 'partitionerAdaptive'>;
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
export class BuiltInPartitioner {
  readonly #options: PartitioningOptions;
  #current = -1;
  #bytes = 0;

  constructor(options: PartitioningOptions) {
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
    const { batchSizeBytes } = this.#options.config;
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
    const { config, random } = this.#options;
    const lengths = candidates.map(({ waiting }) => (config.partitionerAdaptive ? waiting.length : 0));
    const most = Math.max(...lengths);
    const odds = lengths.map((length) => most + 1 - length);
    let ticket = random() * odds.reduce((sum, odd) => sum + odd, 0);
    for (const [i, odd] of odds.entries()) {
      ticket -= odd;
      if (ticket < 0) return (candidates[i] as PartitionQueue).partition;
    }
    return (candidates.at(-1) as PartitionQueue).partition;
  }
}

interface Moments {
  /** When something was last ready to be sent to the broker; monotonic milliseconds. */
  readyMs: number;
  /** When the broker could last be sent to. */
  drainedMs: number;
}

/** For how long brokers have had something to take and not been able to (Java: NodeLatencyStats). */
export class BrokerAvailability {
  readonly #timeoutMs: number;
  readonly #moments = new Map<number, Moments>();

  /** @param timeoutMs partitioner.availability.timeout.ms; 0: every broker is available */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** There is something to be sent to the broker, and it can, or can't, be sent now. */
  note(brokerId: number, nowMs: number, canSend: boolean): void {
    if (this.#timeoutMs === 0) return;
    const moments = this.#moments.get(brokerId) ?? { readyMs: nowMs, drainedMs: nowMs };
    moments.readyMs = nowMs;
    if (canSend) moments.drainedMs = nowMs;
    this.#moments.set(brokerId, moments);
  }

  readonly isUnavailable = (brokerId: number): boolean => {
    const moments = this.#moments.get(brokerId);
    return moments !== undefined && moments.readyMs - moments.drainedMs > this.#timeoutMs;
  };
}
