import { pause } from '../../core/clock.ts';
import { ProducerError } from '../../producer/errors.ts';
import { KafkaError, KafkaErrorCode } from '../../producer/cluster/kafka-errors.ts';
import type { TopicMetadata } from '../../producer/cluster/port.ts';
import { ClusterPort, type PortOptions } from './cluster-port.ts';
import { EARLIEST, fetchRecords, LATEST, listOffset } from '../protocol/requests.ts';
import { readBatches, type StoredRecord } from '../protocol/record-batch-reader.ts';
import type { AuthenticatedChannel } from './authenticated-channel.ts';

/** Of the configuration, addresses and timeouts of connections are used. */
export interface TopicReaderOptions extends PortOptions {
  /** How long one request is repeated while no broker answers it; default 30 s. */
  readonly patienceMs?: number;
}

/** Where a partition's log begins and ends: offsets from `begin` on, and below `end`. */
export interface LogBounds {
  readonly begin: number;
  readonly end: number;
}

export interface TopicLogs {
  /** What tells it from a topic of the same name that was deleted before; undefined with brokers before Kafka 2.8. */
  readonly id: string | undefined;
  readonly partitions: readonly LogBounds[];
}

/** A part of a partition's log: offsets from `from` on, and below `to`. */
export interface LogRange {
  readonly topic: string;
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

const FETCH_WAIT_MS = 250;
const FETCH_BYTES = 1_048_576;
const PAUSE_MS = 100;
const PATIENCE_MS = 30_000;
const OFFSET_OUT_OF_RANGE = 1;

/**
 * Reads parts of topics, from offset to offset. It joins no group and commits nothing, so that it leaves nothing
 * behind, and needs no right but to read. Records of transactions that were aborted come too.
 */
export class TopicReader {
  readonly #options: TopicReaderOptions;
  readonly #port: ClusterPort;
  readonly #topics = new Map<string, TopicMetadata>();

  constructor(options: TopicReaderOptions) {
    this.#options = options;
    this.#port = new ClusterPort(options);
  }

  /** What there is to read; undefined where there is no such topic. */
  async describe(topic: string): Promise<TopicLogs | undefined> {
    const found = await this.#retrying(() => this.#look(topic));
    if (found === undefined) return undefined;
    const partitions = await Promise.all(
      found.partitions.map(async (_, partition) => ({
        begin: await this.#offset(topic, partition, EARLIEST),
        end: await this.#offset(topic, partition, LATEST),
      })),
    );
    return { id: found.topicId, partitions };
  }

  /** The first offset of the partition whose record is of this time or later; undefined: there is none. */
  async offsetAt(topic: string, partition: number, timestampMs: number): Promise<number | undefined> {
    const offset = await this.#offset(topic, partition, BigInt(timestampMs));
    return offset < 0 ? undefined : offset;
  }

  #offset(topic: string, partition: number, timestamp: bigint): Promise<number> {
    return this.#askLeader(topic, partition, (channel) => listOffset(channel, topic, partition, timestamp));
  }

  /**
   * The records of a range, some at a time, in order. What Kafka has deleted meanwhile, or compacted, is not
   * there; the range ends early where the log does.
   */
  async *read({ topic, partition, from, to }: LogRange): AsyncGenerator<readonly StoredRecord[]> {
    let offset = from;
    while (offset < to) {
      const position = offset;
      const fetched = await this.#askLeader(topic, partition, async (channel) => {
        const options = { topic, partition, offset: position, waitMs: FETCH_WAIT_MS, maxBytes: FETCH_BYTES };
        try {
          return await fetchRecords(channel, options);
        } catch (error) {
          if (error instanceof KafkaError && error.errorCode === OFFSET_OUT_OF_RANGE) return undefined;
          throw error;
        }
      });
      if (fetched === undefined) {
        const begin = await this.#offset(topic, partition, EARLIEST);
        if (begin <= offset) return; // behind the end: the log has become shorter
        offset = begin;
        continue;
      }
      const { records, nextOffset } = await readBatches(topic, partition, fetched.records, offset);
      const wanted = records.filter((record) => record.offset < to);
      if (wanted.length > 0) yield wanted;
      if (nextOffset === offset && offset >= fetched.highWatermark) return;
      offset = nextOffset;
    }
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    await this.#port.close();
  }

  /** Learns the leaders of the topic's partitions; undefined: it doesn't exist. */
  async #look(topic: string): Promise<TopicMetadata | undefined> {
    const { brokers, topics } = await this.#port.fetchMetadata([topic]);
    this.#port.setBrokers(brokers);
    const [found] = topics;
    const errorCode = found?.errorCode ?? KafkaErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    if (found === undefined || errorCode === KafkaErrorCode.UNKNOWN_TOPIC_OR_PARTITION) return undefined;
    if (found.errorCode !== KafkaErrorCode.NONE) throw new KafkaError(found.errorCode, `topic ${topic}`);
    this.#topics.set(topic, found);
    return found;
  }

  #askLeader<T>(
    topic: string,
    partition: number,
    ask: (channel: AuthenticatedChannel) => Promise<T>,
  ): Promise<T> {
    const place = `${topic}-${partition}`;
    return this.#retrying(async () => {
      const known = this.#topics.get(topic) ?? (await this.#look(topic));
      const leader = known?.partitions[partition]?.leaderId;
      if (leader === undefined) throw new KafkaError(KafkaErrorCode.UNKNOWN_TOPIC_OR_PARTITION, place);
      try {
        if (leader === -1) throw new KafkaError(KafkaErrorCode.LEADER_NOT_AVAILABLE, place);
        return await this.#port.ask(leader, ask);
      } catch (error) {
        // Whatever went wrong: the next attempt looks for the leader anew.
        this.#topics.delete(topic);
        throw error;
      }
    });
  }

  async #retrying<T>(attempt: () => Promise<T>): Promise<T> {
    const { clock, patienceMs = PATIENCE_MS } = this.#options;
    const endMs = clock.monotonicMs() + patienceMs;
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        const mayPass = error instanceof ProducerError && error.retriable;
        if (!mayPass || clock.monotonicMs() >= endMs) throw error;
      }
      await pause(clock, PAUSE_MS);
    }
  }
}
