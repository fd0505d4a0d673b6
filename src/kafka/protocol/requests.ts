import { KafkaError, KafkaErrorCode } from '../../producer/cluster/kafka-errors.ts';
import type { ClusterMetadata, ProducerIdAndEpoch } from '../../producer/cluster/port.ts';
import type { NegotiatedSender } from './api-versions.ts';
import { readBroker } from './produce.ts';
import { ProtocolReader, ProtocolWriter, int16, int32, int64, int8 } from './protocol-bytes.ts';

/** Metadata 7 to 12: the brokers, and the named topics. Never creates a topic. */
export async function fetchMetadata(
  broker: NegotiatedSender,
  topics: readonly string[],
): Promise<ClusterMetadata> {
  const api = broker.versions.of('metadata');
  const { version } = api;
  const write = new ProtocolWriter(api.requestTags);
  const noTopicId = version >= 10 ? [int64(0n), int64(0n)] : [];
  const body = [
    write.length(topics.length),
    ...topics.flatMap((topic) => [...noTopicId, write.string(topic), write.noTags()]),
    int8(0), // allow_auto_topic_creation
    ...(version >= 8 && version <= 10 ? [int8(0)] : []), // include_cluster_authorized_operations
    ...(version >= 8 ? [int8(0)] : []), // include_topic_authorized_operations
    write.noTags(),
  ];
  return readMetadata(new ProtocolReader(await broker.request(api, body), api.responseTags), version);
}

function readMetadata(reader: ProtocolReader, version: number): ClusterMetadata {
  reader.int32(); // throttle_time_ms
  const brokers = reader.array(() => readBroker(reader));
  reader.nullableString(); // cluster_id
  reader.int32(); // controller_id
  const topics = reader.array(() => {
    const errorCode = reader.int16();
    const name = reader.string();
    const topicId = version >= 10 ? reader.uuid() : undefined;
    reader.boolean(); // is_internal
    const partitions = reader.array(() => readLeader(reader));
    if (version >= 8) reader.int32(); // topic_authorized_operations
    reader.tags();
    partitions.sort((a, b) => a.index - b.index);
    return { name, errorCode, topicId, partitions };
  });
  return { brokers, topics };
}

function readLeader(reader: ProtocolReader) {
  reader.int16(); // error_code: without a leader, leader_id is -1
  const partition = { index: reader.int32(), leaderId: reader.int32(), leaderEpoch: reader.int32() };
  reader.array(() => reader.int32()); // replica_nodes
  reader.array(() => reader.int32()); // isr_nodes
  reader.array(() => reader.int32()); // offline_replicas
  reader.tags();
  return partition;
}

/** InitProducerId 3 and up, without a transactional id. */
export async function initProducerId(broker: NegotiatedSender): Promise<ProducerIdAndEpoch> {
  const api = broker.versions.of('initProducerId');
  const write = new ProtocolWriter(api.requestTags);
  const transactionTimeoutMs = 0x7fff_ffff;
  const noProducerYet = [int64(-1n), int16(-1)];
  const body = [write.string(null), int32(transactionTimeoutMs), ...noProducerYet, write.noTags()];
  const reader = new ProtocolReader(await broker.request(api, body), api.responseTags);
  reader.int32(); // throttle_time_ms
  const errorCode = reader.int16();
  if (errorCode !== KafkaErrorCode.NONE) throw new KafkaError(errorCode, 'the request for a producer id');
  return { producerId: reader.int64(), epoch: reader.int16() };
}

/** Where a log begins or ends (ListOffsets' special timestamps). */
export const LATEST = -1n;
export const EARLIEST = -2n;

const NO_REPLICA = int32(-1);
const READ_UNCOMMITTED = int8(0);
const NO_EPOCH = int32(-1);

/**
 * ListOffsets 2 to 6, for one partition: the first offset whose record is of this time or later, or one of
 * {@link LATEST} and {@link EARLIEST}; -1 if there is none.
 * @throws KafkaError
 */
export async function listOffset(
  broker: NegotiatedSender,
  topic: string,
  partition: number,
  timestamp: bigint,
): Promise<number> {
  const api = broker.versions.of('listOffsets');
  const write = new ProtocolWriter(api.requestTags);
  const body = [
    NO_REPLICA,
    READ_UNCOMMITTED,
    write.length(1),
    write.string(topic),
    write.length(1),
    int32(partition),
    ...(api.version >= 4 ? [NO_EPOCH] : []),
    int64(timestamp),
    write.noTags(),
    write.noTags(),
    write.noTags(),
  ];
  const reader = new ProtocolReader(await broker.request(api, body), api.responseTags);
  reader.int32(); // throttle_time_ms
  const found = ofOnePartition(reader, () => {
    const errorCode = reader.int16();
    reader.int64(); // timestamp
    const offset = Number(reader.int64());
    if (api.version >= 4) reader.int32(); // leader_epoch
    return { errorCode, offset };
  });
  return checked(found, topic, partition, 'the request for an offset').offset;
}

export interface FetchOptions {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** How long the broker may wait for the first record. */
  readonly waitMs: number;
  /** A first batch that is larger comes whole nevertheless (KIP-74). */
  readonly maxBytes: number;
}

/** Fetch 7 to 12, for one partition, outside of any fetch session (KIP-227). */
export async function fetchRecords(broker: NegotiatedSender, options: FetchOptions) {
  const { topic, partition, offset, waitMs, maxBytes } = options;
  const api = broker.versions.of('fetch');
  const { version } = api;
  const write = new ProtocolWriter(api.requestTags);
  const body = [
    NO_REPLICA,
    int32(waitMs),
    int32(1), // min_bytes
    int32(maxBytes),
    READ_UNCOMMITTED,
    int32(0), // session_id
    int32(-1), // session_epoch: no session
    write.length(1),
    write.string(topic),
    write.length(1),
    int32(partition),
    ...(version >= 9 ? [NO_EPOCH] : []),
    int64(BigInt(offset)),
    ...(version >= 12 ? [NO_EPOCH] : []), // last_fetched_epoch
    int64(-1n), // log_start_offset
    int32(maxBytes),
    write.noTags(),
    write.noTags(),
    write.length(0), // forgotten_topics_data
    ...(version >= 11 ? [write.string('')] : []), // rack_id
    write.noTags(),
  ];
  const reader = new ProtocolReader(await broker.request(api, body), api.responseTags);
  reader.int32(); // throttle_time_ms
  const errorCode = reader.int16();
  if (errorCode !== KafkaErrorCode.NONE) throw new KafkaError(errorCode, `a fetch from ${topic}`);
  reader.int32(); // session_id
  const found = ofOnePartition(reader, () => readFetched(reader, version));
  return checked(found, topic, partition, 'a fetch');
}

function readFetched(reader: ProtocolReader, version: number) {
  const errorCode = reader.int16();
  const highWatermark = Number(reader.int64());
  reader.int64(); // last_stable_offset
  reader.int64(); // log_start_offset
  reader.array(() => {
    reader.int64(); // producer_id
    reader.int64(); // first_offset
    reader.tags();
  });
  if (version >= 11) reader.int32(); // preferred_read_replica
  return { errorCode, highWatermark, records: reader.bytes() };
}

/** What a response says of the one partition that was asked for. */
function ofOnePartition<T>(reader: ProtocolReader, read: () => T): T | undefined {
  const [ofTopic] = reader.array(() => {
    reader.string(); // topic
    const [answer] = reader.array(() => {
      reader.int32(); // partition
      const answered = read();
      reader.tags();
      return answered;
    });
    reader.tags();
    return answer;
  });
  return ofTopic;
}

function checked<T extends { readonly errorCode: number }>(
  answer: T | undefined,
  topic: string,
  partition: number,
  what: string,
): T {
  if (answer === undefined) throw new RangeError('the response names no partition');
  if (answer.errorCode === KafkaErrorCode.NONE) return answer;
  throw new KafkaError(answer.errorCode, `${what} of ${topic}-${partition}`);
}
