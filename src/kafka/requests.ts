import { UnsupportedBrokerError } from '../producer/errors.ts';
import { KafkaError, KafkaErrorCode } from '../producer/kafka-errors.ts';
import type { ClusterMetadata, ProducerIdAndEpoch } from '../producer/port.ts';
import {
  compactLength,
  compactString,
  int16,
  int32,
  int64,
  int8,
  NO_TAGS,
  ProtocolReader,
} from './protocol-bytes.ts';
import type { ApiVersion, Wire } from './wire.ts';

/** The APIs we speak, with the versions that our code can encode: all of them flexible (KIP-482). */
const API = {
  produce: { key: 0, name: 'Produce', least: 9, most: 12 },
  metadata: { key: 3, name: 'Metadata', least: 9, most: 12 },
  initProducerId: { key: 22, name: 'InitProducerId', least: 3, most: 4 },
} as const;

export type ApiName = keyof typeof API;

/** ApiVersions 3. Its response header never has tags, so that any client can read it. */
const API_VERSIONS: ApiVersion = { key: 18, version: 3, requestTags: true, responseTags: false };

/** Which version of each API a broker and we both speak. */
export class NegotiatedVersions {
  readonly #ranges: ReadonlyMap<number, readonly [least: number, most: number]>;
  readonly #broker: string;

  constructor(broker: string, ranges: ReadonlyMap<number, readonly [number, number]>) {
    this.#broker = broker;
    this.#ranges = ranges;
  }

  /** @throws UnsupportedBrokerError that names both sides' versions */
  of(name: ApiName): ApiVersion {
    const ours = API[name];
    const [least, most] = this.#ranges.get(ours.key) ?? [-1, -1];
    const version = Math.min(most, ours.most);
    if (version < Math.max(least, ours.least)) {
      throw new UnsupportedBrokerError(
        `broker ${this.#broker} speaks ${ours.name} in versions ${least} to ${most}; ` +
          `versions ${ours.least} to ${ours.most} are supported (Kafka 2.8 and up)`,
      );
    }
    return { key: ours.key, version, requestTags: true, responseTags: true };
  }
}

/** Asks a broker which versions it speaks (ApiVersions 3). */
export async function fetchApiVersions(wire: Wire, broker: string): Promise<NegotiatedVersions> {
  const body = [compactString('sluice'), compactString('1'), NO_TAGS];
  const reader = new ProtocolReader(await wire.request(API_VERSIONS, body));
  const errorCode = reader.int16();
  if (errorCode !== KafkaErrorCode.None) {
    throw new UnsupportedBrokerError(
      `broker ${broker} is older than Kafka 2.8 (ApiVersions error ${errorCode})`,
    );
  }
  const ranges = new Map<number, readonly [number, number]>();
  reader.array(() => {
    ranges.set(reader.int16(), [reader.int16(), reader.int16()]);
    reader.tags();
  });
  return new NegotiatedVersions(broker, ranges);
}

/** Metadata 9 to 12: the brokers, and the named topics. Never creates a topic. */
export async function fetchMetadata(
  wire: Wire,
  api: ApiVersion,
  topics: readonly string[],
): Promise<ClusterMetadata> {
  const { version } = api;
  const noTopicId = version >= 10 ? [int64(0n), int64(0n)] : [];
  const body = [
    compactLength(topics.length),
    ...topics.flatMap((topic) => [...noTopicId, compactString(topic), NO_TAGS]),
    int8(0), // allow_auto_topic_creation
    ...(version <= 10 ? [int8(0)] : []), // include_cluster_authorized_operations
    int8(0), // include_topic_authorized_operations
    NO_TAGS,
  ];
  return readMetadata(new ProtocolReader(await wire.request(api, body)), version);
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
    reader.int32(); // topic_authorized_operations
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
export async function initProducerId(wire: Wire, api: ApiVersion): Promise<ProducerIdAndEpoch> {
  const transactionTimeoutMs = 0x7fff_ffff;
  const body = [
    compactString(null),
    int32(transactionTimeoutMs),
    int64(-1n), // no producer id yet
    int16(-1),
    NO_TAGS,
  ];
  const reader = new ProtocolReader(await wire.request(api, body));
  reader.int32(); // throttle_time_ms
  const errorCode = reader.int16();
  if (errorCode !== KafkaErrorCode.None) throw new KafkaError(errorCode, 'the request for a producer id');
  return { producerId: reader.int64(), epoch: reader.int16() };
}
