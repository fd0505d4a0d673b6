import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { encodeHeaders, NO_HEADERS } from '../../src/core/record.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { connectAdmin } from '../../src/kafka/clients/admin-client.ts';
import { ensureTopics } from '../../src/kafka/clients/topics.ts';
import { partitionForKey } from '../../src/producer/cluster/partitioner.ts';
import { futureLimitSetting } from '../support/kafka-release.ts';
import { readTopic, startProducer } from '../support/producer.ts';
import { RecordLoad } from '../support/record-load.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { createTopicsOn } from '../support/topics.ts';
import { until } from '../support/until.ts';

const kafka = sharedKafka();

/** Kafka's tools only know the settings of their own release, so this one is made with kafkajs. */
async function createTopicWith(topic: string, name: string, value: string): Promise<void> {
  const configEntries = [{ name, value }];
  await createTopicsOn(kafka.bootstrapServers, [{ topic, numPartitions: 1, configEntries }]);
}

describe('a producer on a real Kafka', () => {
  it.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'])(
    'writes idempotent batches that Kafka, its Java consumer and kafkajs find right, %s',
    async (codec) => {
      const topic = `producer-codec-${codec}`;
      await kafka.tools.createTopic(topic, { partitions: 4 });
      const producer = startProducer(kafka.bootstrapServers, { 'compression.type': codec, 'linger.ms': 10 });
      const load = new RecordLoad(producer, topic, 50);
      await load.run(20_000);
      expect(await producer.close(30_000)).toEqual([]);

      const records = await readTopic(kafka.bootstrapServers, topic);
      expect(load.judge(records)).toEqual([]);
      expect(load.acknowledged).toBe(20_000);
      const misplaced = records.filter(
        ({ key, partition }) => partitionForKey(Buffer.from(key!), 4) !== partition,
      );
      expect(misplaced).toEqual([]);

      const batches = (
        await Promise.all([0, 1, 2, 3].map((index) => kafka.tools.batches(topic, index)))
      ).flat();
      expect(batches.reduce((sum, { count }) => sum + count, 0)).toBe(20_000);
      const readByJava = await kafka.tools.consume(topic, 20_000);
      expect(new Set(readByJava)).toEqual(new Set(records.map(({ value }) => value)));
      expect(new Set(batches.map(({ compressCodec }) => compressCodec))).toEqual(new Set([codec]));
      expect(
        batches.every(({ isValid, magic, producerId }) => isValid && magic === 2 && producerId >= 0),
      ).toBe(true);
      for (const index of [0, 1, 2, 3]) {
        const sequences = await kafka.tools.batches(topic, index);
        sequences.reduce((expected, { baseSequence, lastSequence }) => {
          expect(baseSequence).toBe(expected);
          return lastSequence + 1;
        }, 0);
      }
    },
  );

  it('compresses several batches of a partition at once, and sends them in order however long each takes', async () => {
    const topic = 'producer-compression-order';
    await kafka.tools.createTopic(topic, { partitions: 1 });
    const producer = startProducer(kafka.bootstrapServers, {
      'compression.type': 'zstd',
      'compression.zstd.level': 12,
      'batch.size': 262_144,
      'linger.ms': 0,
      'max.in.flight.requests.per.connection': 5,
    });
    const send = (value: string) => producer.send({ topic, key: null, value: Buffer.from(value) });
    // Until the broker knows the producer, a partition has one batch in flight.
    await send('first');
    const numbers = Array.from({ length: 35_000 }, (_, i) => (i * 7_919).toString(36)).join();
    const sent: Promise<unknown>[] = [];
    const values = [numbers, 'b', 'c', 'd', 'e'];
    for (const value of values) {
      sent.push(send(value));
      // Without a pause: the first is to be with its compressor still when the others are given to it.
      while (producer.stats.requestTotal <= sent.length) await nextTurn();
    }
    await Promise.all(sent);
    await producer.close();
    const records = await readTopic(kafka.bootstrapServers, topic);
    expect(records.map(({ value }) => value)).toEqual(['first', ...values]);
    expect(producer.stats.recordRetryTotal).toBe(0);
  });

  it('keeps keys, tombstones, headers and timestamps, weeks apart in one batch', async () => {
    await kafka.tools.createTopic('producer-shapes', { config: { 'retention.ms': '-1' } });
    const producer = startProducer(kafka.bootstrapServers, { 'compression.type': 'lz4' });
    const now = Date.now();
    const headers = encodeHeaders([
      { key: 'one', value: Buffer.from('1') },
      { key: 'none', value: null },
    ]);
    const shapes = [
      { key: null, value: Buffer.from('no key'), timestampMs: now, headers: NO_HEADERS },
      { key: Buffer.from('k'), value: null, timestampMs: now - 40 * 86_400_000, headers },
      { key: Buffer.alloc(0), value: Buffer.alloc(0), timestampMs: now + 1_000, headers: NO_HEADERS },
    ];
    for (const shape of shapes) {
      const append = () =>
        producer.tryAppend({ topic: 'producer-shapes', ...shape }, { recordCompleted() {} }, 0) === undefined;
      await until(append, { everyMs: 5, what: 'the topic to be known' });
    }
    expect(await producer.close(30_000)).toEqual([]);
    const read = await readTopic(kafka.bootstrapServers, 'producer-shapes');
    expect(read.map(({ key, value, timestampMs }) => ({ key, value, timestampMs }))).toEqual([
      { key: null, value: 'no key', timestampMs: now },
      { key: 'k', value: null, timestampMs: now - 40 * 86_400_000 },
      { key: '', value: '', timestampMs: now + 1_000 },
    ]);
    expect(read[1]!.headers.one).toEqual(Buffer.from('1'));
    expect(await kafka.tools.batches('producer-shapes', 0)).toHaveLength(1);
  });

  it('fails only the record that the broker refuses, and keeps the order of the others, with batches in flight', async () => {
    await createTopicWith('producer-record-errors', futureLimitSetting(), '3600000');
    const producer = startProducer(kafka.bootstrapServers, { 'linger.ms': 1, 'batch.size': 2_048 });
    const results: string[] = [];
    const target = {
      recordCompleted(token: number, { error }: { error: { code: string } | undefined }) {
        results.push(error === undefined ? String(token) : `${token}:${error.code}`);
      },
    };
    for (let token = 0; token < 1_000; token++) {
      const timestampMs = Date.now() + (token === 500 ? 10 * 3_600_000 : 0);
      const record = {
        topic: 'producer-record-errors',
        key: null,
        value: Buffer.from(String(token)),
        timestampMs,
        headers: NO_HEADERS,
      };
      await until(() => producer.tryAppend(record, target, token) === undefined, {
        everyMs: 2,
        what: 'room',
      });
    }
    expect(await producer.close(30_000)).toEqual([]);
    const expected = Array.from({ length: 1_000 }, (_, token) => String(token));
    expect(results).toEqual(expected.with(500, '500:INVALID_TIMESTAMP'));
    const read = await readTopic(kafka.bootstrapServers, 'producer-record-errors');
    expect(read.map(({ value }) => value)).toEqual(expected.toSpliced(500, 1));
  });

  it('splits a batch that is over max.message.bytes, and refuses only the record that is over it alone', async () => {
    await kafka.tools.createTopic('producer-too-large', { config: { 'max.message.bytes': '3000' } });
    const producer = startProducer(kafka.bootstrapServers, { 'linger.ms': 20 });
    const results: string[] = [];
    const target = {
      recordCompleted(token: number, { error }: { error: { code: string } | undefined }) {
        results.push(error === undefined ? String(token) : `${token}:${error.code}`);
      },
    };
    for (const [token, size] of [1_000, 1_000, 1_000, 4_000, 1_000, 1_000].entries()) {
      const record = {
        topic: 'producer-too-large',
        key: null,
        value: Buffer.alloc(size, 'x'),
        timestampMs: Date.now(),
        headers: NO_HEADERS,
      };
      await until(() => producer.tryAppend(record, target, token) === undefined, {
        everyMs: 2,
        what: 'room',
      });
    }
    expect(await producer.close(30_000)).toEqual([]);
    expect(results).toEqual(['0', '1', '2', '3:RECORD_TOO_LARGE', '4', '5']);
    expect(producer.stats.batchSplitTotal).toBeGreaterThan(0);
  });

  it('waits for a topic that is created later, and names it meanwhile', async () => {
    const producer = startProducer(kafka.bootstrapServers);
    const load = new RecordLoad(producer, 'producer-later', 3);
    const running = load.run(10);
    await until(() => producer.topicFaults().size > 0, { what: 'the fault to be known' });
    expect(producer.topicFaults().get('producer-later')?.code).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    await kafka.tools.createTopic('producer-later', { partitions: 2 });
    await running;
    expect(await producer.close(30_000)).toEqual([]);
    expect(producer.topicFaults().size).toBe(0);
    expect(load.acknowledged).toBe(10);
  });

  it('tells who can not be reached, and gives up at close with the list of what is lost', async () => {
    const producer = startProducer('127.0.0.1:1', { 'reconnect.backoff.ms': 10 });
    const load = new RecordLoad(producer, 'nowhere', 1);
    const running = load.run(1);
    await until(() => producer.connectionState().lastFailure !== undefined, { what: 'a failed attempt' });
    expect(producer.connectionState()).toMatchObject({ connectedBrokers: 0 });
    expect(producer.connectionState().lastFailure).toContain('127.0.0.1:1');
    expect(await producer.close(100)).toEqual([]);
    await expect(running).rejects.toMatchObject({ code: 'PRODUCER_CLOSED' });
  });
});

describe('topics', () => {
  it('are created or taken as they are, and one that can not be had does not keep the others from being there', async () => {
    const admin = await connectAdmin({
      bootstrapServers: kafka.bootstrapServers.split(','),
      clientId: 'test',
      logger: silentLogger,
    });
    try {
      const specs = [
        { topic: 'topics-plain', partitions: 3, config: { 'retention.ms': '60000' } },
        { topic: 'topics-three-replicas', partitions: 1, replicationFactor: 3 },
        { topic: 'topics/bad name', partitions: 1 },
      ];
      const shape = { topic: 'topics-plain', partitions: 3, replicationFactor: 1, minInsyncReplicas: 1 };
      const states = async (create: boolean) =>
        (await ensureTopics(admin, specs, create)).map((status) =>
          'shape' in status ? status.shape : status.code,
        );
      expect(await states(false)).toEqual(Array(3).fill('UNKNOWN_TOPIC_OR_PARTITION'));
      expect(await states(true)).toEqual([shape, 'INVALID_REPLICATION_FACTOR', 'INVALID_TOPIC_EXCEPTION']);
      expect(await ensureTopics(admin, [{ ...specs[0]!, partitions: 9 }], true)).toEqual([
        { topic: 'topics-plain', state: 'exists', shape },
      ]);
    } finally {
      await admin.close();
    }
  });
});
