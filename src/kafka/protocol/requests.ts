import { KafkaError, KafkaErrorCode } from '../../producer/cluster/kafka-errors.ts';
import type { ClusterMetadata, ProducerIdAndEpoch } from '../../producer/cluster/port.ts';
import { int16, int32, int64, int8, ProtocolReader, ProtocolWriter } from './protocol-bytes.ts';
import type { ApiVersion } from './api-versions.ts';
import type { Wire } from '../connection/wire.ts';

/** Metadata 7 to 12: the brokers, and the named topics. Never creates a topic. */
export async function fetchMetadata(
  wire: Pick<Wire, 'request'>,
  api: ApiVersion,
  topics: readonly string[],
): Promise<ClusterMetadata> {
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
  return readMetadata(new ProtocolReader(await wire.request(api, body), api.responseTags), version);
}

function readMetadata(reader: ProtocolReader, version: number): ClusterMetadata {
  reader.int32(); // throttle_time_ms
  const brokers = reader.array(() => {
    const broker = { nodeId: reader.int32(), host: reader.string(), port: reader.int32() };
    reader.nullableString(); // rack
    reader.tags();
    return broker;
  });
  const clusterId = reader.nullableString();
  reader.int32(); // controller_id
  const topics = reader.array(() => {
    const errorCode = reader.int16();
    const name = reader.string();
    const topicId = version >= 10 ? reader.uuid() : undefined;
    reader.boolean(); // is_internal
    const partitions = reader.array(() => readPartition(reader));
    if (version >= 8) reader.int32(); // topic_authorized_operations
    reader.tags();
    partitions.sort((a, b) => a.index - b.index);
    return { name, errorCode, topicId, partitions };
  });
  return { clusterId, brokers, topics };
}

function readPartition(reader: ProtocolReader): { index: number; leaderId: number; leaderEpoch: number } {
  reader.int16(); // error_code: without a leader, leader_id is -1
  const partition = { index: reader.int32(), leaderId: reader.int32(), leaderEpoch: reader.int32() };
  reader.array(() => reader.int32()); // replica_nodes
  reader.array(() => reader.int32()); // isr_nodes
  reader.array(() => reader.int32()); // offline_replicas
  reader.tags();
  return partition;
}

/** InitProducerId 3 and up, without a transactional id. */
export async function initProducerId(
  wire: Pick<Wire, 'request'>,
  api: ApiVersion,
): Promise<ProducerIdAndEpoch> {
  const write = new ProtocolWriter(api.requestTags);
  const transactionTimeoutMs = 0x7fff_ffff;
  const body = [
    write.string(null),
    int32(transactionTimeoutMs),
    int64(-1n), // no producer id yet
    int16(-1),
    write.noTags(),
  ];
  const reader = new ProtocolReader(await wire.request(api, body), api.responseTags);
  reader.int32(); // throttle_time_ms
  const errorCode = reader.int16();
  if (errorCode !== KafkaErrorCode.None) throw new KafkaError(errorCode, 'the request for a producer id');
  return { producerId: reader.int64(), epoch: reader.int16() };
}
