import type { ProducerBatch } from '../../producer/batches/producer-batch.ts';
import { encodeBatch } from '../../producer/batches/record-batch.ts';
import type { PartitionResponse, ProduceResponse } from '../../producer/cluster/port.ts';
import { int16, int32, ProtocolReader, ProtocolWriter } from './protocol-bytes.ts';
import type { ApiVersion } from './api-versions.ts';

export interface ProduceOptions {
  /** 0, 1, or -1 for all in-sync replicas. */
  readonly acks: number;
  /** How long the broker may wait for its followers, milliseconds. */
  readonly timeoutMs: number;
}

/** A Produce request of version 7 to 12 (Kafka protocol guide, Produce API), one record batch a partition. */
export function encodeProduceRequest(
  api: ApiVersion,
  batches: readonly ProducerBatch[],
  options: ProduceOptions,
): Uint8Array[] {
  const write = new ProtocolWriter(api.requestTags);
  const byTopic = Map.groupBy(batches, (batch) => batch.queue.topic);
  const body: Uint8Array[] = [
    write.string(null), // transactional_id
    int16(options.acks),
    int32(options.timeoutMs),
    write.length(byTopic.size),
  ];
  for (const [topic, ofTopic] of byTopic) {
    body.push(write.string(topic), write.length(ofTopic.length));
    for (const batch of ofTopic) {
      const { header, records } = encodeBatch(batch);
      body.push(int32(batch.queue.partition), write.length(header.length + records.length));
      body.push(header, records, write.noTags());
    }
    body.push(write.noTags());
  }
  body.push(write.noTags());
  return body;
}

/** The answer to a request with these batches, every partition's own result kept apart. */
export function parseProduceResponse(
  api: ApiVersion,
  bytes: Buffer,
  batches: readonly ProducerBatch[],
): ProduceResponse {
  const reader = new ProtocolReader(bytes, api.responseTags);
  const answers = new Map<string, PartitionResponse>();
  reader.array(() => {
    const topic = reader.string();
    reader.array(() => {
      answers.set(`${reader.int32()}/${topic}`, readPartition(reader, api.version));
    });
    reader.tags();
  });
  const throttleTimeMs = reader.int32();
  let endpoints: ProduceResponse['endpoints'] = [];
  reader.tags({
    0: () => {
      endpoints = reader.array(() => readBroker(reader));
    },
  });
  const partitions = batches.map(({ queue }) => answers.get(`${queue.partition}/${queue.topic}`));
  return { partitions, endpoints, throttleTimeMs };
}

/** A broker, as Metadata and Produce have it. */
export function readBroker(reader: ProtocolReader) {
  const broker = { nodeId: reader.int32(), host: reader.string(), port: reader.int32() };
  reader.nullableString(); // rack
  reader.tags();
  return broker;
}

/** One partition's answer, behind its index. */
export function readPartition(reader: ProtocolReader, version: number): PartitionResponse {
  const errorCode = reader.int16();
  const baseOffset = reader.int64();
  const logAppendTimeMs = Number(reader.int64());
  reader.int64(); // log_start_offset
  const recordFaults = version < 8 ? [] : reader.array(() => readRecordFault(reader));
  const errorMessage = version < 8 ? null : reader.nullableString();
  let currentLeader: PartitionResponse['currentLeader'];
  reader.tags({
    0: () => {
      currentLeader = { leaderId: reader.int32(), leaderEpoch: reader.int32() };
      reader.tags();
    },
  });
  return { errorCode, baseOffset, logAppendTimeMs, recordFaults, errorMessage, currentLeader };
}

function readRecordFault(reader: ProtocolReader): PartitionResponse['recordFaults'][number] {
  const fault = { index: reader.int32(), message: reader.nullableString() };
  reader.tags();
  return fault;
}

/** What stands for the answer that a request with acks=0 never gets. */
export function unacknowledged(batches: readonly ProducerBatch[]): ProduceResponse {
  const partition: PartitionResponse = {
    errorCode: 0,
    baseOffset: -1n,
    logAppendTimeMs: -1,
    recordFaults: [],
    errorMessage: null,
    currentLeader: undefined,
  };
  return { partitions: batches.map(() => partition), endpoints: [], throttleTimeMs: 0 };
}
