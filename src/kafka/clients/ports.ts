import { SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { Header } from '../../core/record.ts';
import type { ClientSecurity } from '../security/security.ts';

/*
 * What the gateway needs of a Kafka client beside its own producer: administration, and membership in consumer groups.
 * Whoever uses them knows these interfaces alone. Everything that they reject with is a BrokerSecurityError or a
 * KafkaClientError.
 */

/** Where the cluster is, and who we say we are. */
export interface KafkaClientOptions {
  /** `host:port`, at least one. */
  readonly bootstrapServers: readonly string[];
  readonly clientId: string;
  readonly logger: Logger;
  /** Left out, connections are in the clear and without a login. */
  readonly security?: ClientSecurity;
  /** How often a request is repeated before the client gives up; default 5. */
  readonly retries?: number;
  /** How long a connection or an answer may take; default 5 s for the one, 30 s for the other. */
  readonly timeoutMs?: number;
}

/**
 * The cluster did not do what it was asked for. `code` is the protocol's name of its error, for example
 * TOPIC_AUTHORIZATION_FAILED, or KAFKA_CLIENT where no broker gave one.
 */
export class KafkaClientError extends SluiceError {}

/** A topic that somebody wants to send to. */
export interface TopicSpec {
  readonly topic: string;
  readonly partitions: number;
  /** Left out, the cluster's default. */
  readonly replicationFactor?: number | undefined;
  /** Topic settings under Kafka's own names, e.g. `retention.ms`. */
  readonly config?: Readonly<Record<string, string>>;
}

export interface TopicLayout {
  readonly topic: string;
  readonly partitions: number;
  /** The smallest of its partitions. */
  readonly replicationFactor: number;
}

/** Offsets from `begin` on, and below `end`. */
export interface PartitionBounds {
  readonly partition: number;
  readonly begin: number;
  readonly end: number;
}

export interface GroupMember {
  readonly memberId: string;
  readonly clientId: string;
  readonly host: string;
}

/** Administration of a cluster, connected. */
export interface AdminPort {
  describeCluster(): Promise<{
    readonly clusterId: string;
    readonly brokers: readonly { readonly host: string; readonly port: number }[];
  }>;
  /** The names of all topics that we may see. */
  listTopics(): Promise<string[]>;
  /** Rejects if one of them isn't there. */
  describeTopics(topics: readonly string[]): Promise<TopicLayout[]>;
  /** One of the topic's settings by Kafka's own name; undefined: it has no such setting. */
  topicConfig(topic: string, setting: string): Promise<string | undefined>;
  /** Resolves when its partitions have leaders. False: it was there already. */
  createTopic(spec: TopicSpec): Promise<boolean>;
  deleteTopics(topics: readonly string[]): Promise<void>;
  /** Of every partition. */
  logBounds(topic: string): Promise<PartitionBounds[]>;
  /** Deletes the partition's records below the offset. */
  deleteRecords(topic: string, partition: number, below: number): Promise<void>;
  groupMembers(groupId: string): Promise<GroupMember[]>;
  /** Never rejects, and takes a few seconds at most. */
  close(): Promise<void>;
}

/** A record as Kafka holds it. */
export interface ConsumedRecord {
  readonly offset: bigint;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly Header[];
}

/** Records that lie behind each other in a partition. */
export interface FetchedRecords {
  readonly topic: string;
  readonly partition: number;
  /** At least one. */
  readonly records: readonly ConsumedRecord[];
  /** Where to go on behind the last of them. */
  readonly nextOffset: bigint;
  /** The end of the partition's log. */
  readonly endOffset: bigint;
  /** To be called now and then by a listener that takes long, so that the group does not forget us. */
  readonly heartbeat: () => Promise<void>;
}

export interface ConsumerListener {
  /**
   * We are a member, with these partitions of each topic: at first, and again after each rebalance. What has not been
   * committed comes again. What this throws ends the membership.
   */
  joined(memberId: string, partitions: Readonly<Record<string, readonly number[]>>): void;
  /**
   * Returns how many records were taken, from the front. If some were not, the partition is paused, and they come again
   * after {@link ConsumerPort.resume}.
   */
  records(fetched: FetchedRecords): number | Promise<number>;
  /** The group has heard of us. */
  heartbeat?(): void;
}

export interface ConsumerOptions extends KafkaClientOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  /** Where to begin if the group has committed nothing: with the oldest record, or else with the next one. */
  readonly fromBeginning: boolean;
  /** After so long without a heartbeat the group forgets its member. Brokers allow no less than 6 s. */
  readonly sessionMs: number;
  /** How long a fetch without records waits at the broker, and with it the way out. */
  readonly fetchWaitMs: number;
  /** Of one fetch, and four times what a partition may have of it; left out, 10 MiB. */
  readonly fetchBytes?: number;
  /** All partitions are given to the member that was there first, and none to others. */
  readonly isSoleMember?: boolean;
  /** Asked after a failure that may pass: whether to join again. Left out, the membership is over. */
  readonly rejoins?: () => boolean;
}

/** One membership in a consumer group. Offsets are committed only by {@link commit}. */
export interface ConsumerPort {
  /** Joins the group and reads. Called once; resolves after {@link close}, and rejects when the membership is over. */
  run(listener: ConsumerListener): Promise<void>;
  /** Goes on from this offset. */
  seek(topic: string, partition: number, offset: bigint): void;
  /** Fetches nothing of the topic for now. */
  pause(topic: string): void;
  resume(topic: string, partition: number): void;
  /** By partition, where the group goes on. */
  commit(topic: string, offsets: ReadonlyMap<number, bigint>): Promise<void>;
  /** Leaves the group. Never rejects, and takes a few seconds at most. */
  close(): Promise<void>;
}
