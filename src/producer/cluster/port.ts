import type { ProducerBatch } from '../batches/producer-batch.ts';

/** A broker as metadata names it. */
export interface BrokerEndpoint {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

/** A partition's leader; `leaderId` is -1 while there is none. */
export interface PartitionLeader {
  readonly leaderId: number;
  /** -1 when the broker doesn't tell. */
  readonly leaderEpoch: number;
}

/** What metadata says of one topic. */
export interface TopicMetadata {
  readonly name: string;
  /** 0, or the protocol's error code for the topic. */
  readonly errorCode: number;
  /** Tells a topic from one that is created later under the same name; undefined when the broker doesn't tell. */
  readonly topicId: string | undefined;
  /** By partition index, dense; empty when `errorCode` is not 0. */
  readonly partitions: readonly PartitionLeader[];
}

export interface ClusterMetadata {
  readonly brokers: readonly BrokerEndpoint[];
  /** One entry for each topic that was asked for. */
  readonly topics: readonly TopicMetadata[];
}

export interface ProducerIdAndEpoch {
  readonly producerId: bigint;
  readonly epoch: number;
}

/** A record that the broker names as the reason for refusing its batch (KIP-467). */
export interface RecordFault {
  /** Index of the record in the batch. */
  readonly index: number;
  readonly message: string | null;
}

/** The broker's answer for one batch (Kafka protocol guide, Produce response). */
export interface PartitionResponse {
  readonly errorCode: number;
  /** -1 when unknown. */
  readonly baseOffset: bigint;
  /** Milliseconds since 1970-01-01 UTC; -1 unless the topic uses LogAppendTime. */
  readonly logAppendTimeMs: number;
  readonly recordFaults: readonly RecordFault[];
  readonly errorMessage: string | null;
  /** The partition's new leader, when the broker knows one (Produce 10 and up, KIP-951). */
  readonly currentLeader: PartitionLeader | undefined;
}

export interface ProduceResponse {
  /** In the order of the request's batches; undefined where the broker's answer left one out. */
  readonly partitions: readonly (PartitionResponse | undefined)[];
  /** Brokers named along with new leaders (KIP-951); may be unknown to us. */
  readonly endpoints: readonly BrokerEndpoint[];
  /** How long the broker wants us to pause, milliseconds (client quotas). */
  readonly throttleTimeMs: number;
}

/** The connections to a cluster, as a person asks about them. */
export interface ConnectionState {
  /** Those whose connection was ended for want of traffic count too. */
  readonly connectedBrokers: number;
  /** `host:port (why)` of the last failed attempt; undefined once one succeeded. */
  readonly lastFailure: string | undefined;
  /** Brokers that don't trust us, or we them, and why: other brokers being reachable doesn't help. */
  readonly securityFailures: readonly string[];
  /** Monotonic milliseconds since when no broker has been reachable; undefined while one is. */
  readonly unreachableSinceMs: number | undefined;
}

/**
 * The cluster, as the producer sees it. The unit is a closed {@link ProducerBatch}, whose encoded form is
 * what the wire protocol wants.
 * Every rejection is a ProducerError.
 */
export interface BrokerPort {
  /** Called whenever {@link isReady} may have changed for some broker. */
  onReadinessChange: (() => void) | undefined;
  /** Replaces what is known of the brokers' addresses. */
  setBrokers(brokers: readonly BrokerEndpoint[]): void;
  /**
   * Whether a request to this broker can leave now. If not, a connection is being made, or will be as soon as
   * its backoff is over; {@link onReadinessChange} follows.
   */
  isReady(brokerId: number): boolean;
  /** Asks any broker, preferring connected ones, falling back to the bootstrap servers. */
  fetchMetadata(topics: readonly string[]): Promise<ClusterMetadata>;
  initProducerId(): Promise<ProducerIdAndEpoch>;
  /**
   * Sends one Produce request. Calls to the same broker reach the wire in the order in which they were made.
   * Rejects when no answer came: whether the batches were appended is then unknown.
   */
  produce(brokerId: number, batches: readonly ProducerBatch[]): Promise<ProduceResponse>;
  connectionState(): ConnectionState;
  /** Batches wait to be compressed: the processor does not keep up. Callers that can should send less for a moment. */
  readonly isBehind: boolean;
  /** Ends all connections; what is in flight is rejected. */
  close(): Promise<void>;
}
