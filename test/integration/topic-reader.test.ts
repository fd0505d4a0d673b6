import { randomUUID } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { decodeHeaders } from '../../src/core/record.ts';
import { createAdmin } from '../../src/kafka/clients/kafkajs.ts';
import type { StoredRecord } from '../../src/kafka/protocol/record-batch-reader.ts';
import { PLAINTEXT } from '../../src/kafka/security/security.ts';
import { TopicReader } from '../../src/kafka/connection/topic-reader.ts';
import { parseProducerConfig } from '../../src/producer/config/config.ts';
import { readTopic, startProducer } from '../support/producer.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { createTopicsOn } from '../support/topics.ts';

const kafka = sharedKafka();
const bootstrapServers = kafka.bootstrapServers.split(',');
const reader = new TopicReader({
  config: parseProducerConfig({ 'bootstrap.servers': kafka.bootstrapServers }).config,
  security: PLAINTEXT,
  clock: systemClock,
  logger: silentLogger,
});

afterAll(() => reader.close());

async function newTopic(): Promise<string> {
  const topic = `reader-${randomUUID()}`;
  await createTopicsOn(kafka.bootstrapServers, [{ topic, numPartitions: 1 }]);
  return topic;
}

async function fill(topic: string, codec: string, count: number): Promise<void> {
  const producer = startProducer(kafka.bootstrapServers, {
    'compression.type': codec,
    'batch.size': 2_000,
    'linger.ms': 5,
  });
  const sends = Array.from({ length: count }, (_, n) =>
    producer.send({
      topic,
      partition: 0,
      key: n % 3 === 0 ? null : Buffer.from(`key-${n}`),
      value: n % 5 === 0 ? null : Buffer.from(`value-${n}`.repeat(n % 7)),
      timestamp: 1_700_000_000_000 + n * 1_000,
      headers: n % 2 === 0 ? [] : [{ key: 'n', value: Buffer.from(String(n)) }],
    }),
  );
  await Promise.all(sends);
  await producer.close();
}

async function all(topic: string, from: number, to: number): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  for await (const some of reader.read({ topic, partition: 0, from, to })) records.push(...some);
  return records;
}

describe('reading a part of a topic', () => {
  it.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'])('gives what kafkajs reads, %s', async (codec) => {
    const topic = await newTopic();
    await fill(topic, codec, 1_000);
    expect(await reader.describe(topic)).toMatchObject({ partitions: [{ begin: 0, end: 1_000 }] });
    const records = await all(topic, 0, 1_000);
    const judged = await readTopic(kafka.bootstrapServers, topic);
    expect(
      records.map(({ offset, timestampMs, key, value, headers }) => ({
        partition: 0,
        offset,
        timestampMs,
        key: key?.toString() ?? null,
        value: value?.toString() ?? null,
        headers: Object.fromEntries(decodeHeaders(headers).map((header) => [header.key, header.value])),
      })),
    ).toEqual(judged);

    expect((await all(topic, 100, 137)).map(({ offset }) => offset)).toEqual(
      Array.from({ length: 37 }, (_, i) => 100 + i),
    );
  });

  it('ends where the log ends, and begins where it begins since records were deleted', async () => {
    const topic = await newTopic();
    await fill(topic, 'lz4', 50);
    const admin = createAdmin({ bootstrapServers, clientId: 'test', logger: silentLogger });
    await admin.connect();
    // kafkajs deletes only from topics that it has looked at.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '20' }] });
    await admin.disconnect();
    expect(await reader.describe(topic)).toMatchObject({ partitions: [{ begin: 20, end: 50 }] });
    const records = await all(topic, 0, 1_000);
    expect(records.map(({ offset }) => offset)).toEqual(Array.from({ length: 30 }, (_, i) => 20 + i));
    expect(await all(topic, 60, 70)).toEqual([]);
  });

  it('finds the first record of a time', async () => {
    const topic = await newTopic();
    await fill(topic, 'lz4', 20);
    expect(await reader.offsetAt(topic, 0, 1_700_000_000_000 + 7_000)).toBe(7);
    expect(await reader.offsetAt(topic, 0, 1_700_000_000_000 + 6_500)).toBe(7);
    expect(await reader.offsetAt(topic, 0, 1_800_000_000_000)).toBeUndefined();
  });

  it('knows which topics there are not', async () => {
    expect(await reader.describe(`absent-${randomUUID()}`)).toBeUndefined();
  });
});
