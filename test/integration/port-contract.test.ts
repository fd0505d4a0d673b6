import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { encodeHeaders, NO_HEADERS } from '../../src/core/record.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { ClusterPort } from '../../src/kafka/connection/cluster-port.ts';
import { parseProducerConfig } from '../../src/producer/config/config.ts';
import type { BrokerPort } from '../../src/producer/cluster/port.ts';
import { Producer } from '../../src/producer/producer.ts';
import type { BatchResult } from '../../src/producer/batches/producer-batch.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTopic } from '../support/producer.ts';
import { RecordLoad } from '../support/record-load.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { createTopicsOn } from '../support/topics.ts';
import { until } from '../support/until.ts';

/* What the producer may expect of its port (BrokerPort), on a real Kafka. */

type Settings = Readonly<Record<string, unknown>>;

interface Started {
  readonly port: BrokerPort;
  readonly producer: Producer;
}

const shared = sharedKafka();

describe('the port to a cluster', () => {
  let topics = 0;
  let topic: string;
  let own: TestKafka | undefined;

  beforeEach(() => {
    topic = `port-${++topics}`;
  });

  afterEach(async () => {
    await own?.stop();
    own = undefined;
  });

  function start(bootstrapServers: string, settings: Settings = {}): Started {
    const { config, faults } = parseProducerConfig({
      'bootstrap.servers': bootstrapServers,
      'linger.ms': 5,
      ...settings,
    });
    expect(faults).toEqual([]);
    const port = new ClusterPort({ config, clock: systemClock, logger: silentLogger });
    return { port, producer: new Producer({ config, port, clock: systemClock, logger: silentLogger }) };
  }

  it.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'])(
    'brings every record to its partition, in the order of its key, compressed with %s',
    async (codec) => {
      await createTopic(shared.bootstrapServers, topic, { partitions: 4 });
      const { producer } = start(shared.bootstrapServers, { 'compression.type': codec });
      const load = new RecordLoad(producer, topic, 20);
      await load.run(5_000);
      expect(await producer.close(30_000)).toEqual([]);
      expect(load.acknowledged).toBe(5_000);
      const records = await readTopic(shared.bootstrapServers, topic);
      expect(records).toHaveLength(5_000);
      expect(load.judge(records)).toEqual([]);
      expect(new Set((await shared.tools.batches(topic, 0)).map((batch) => batch.compressCodec))).toEqual(
        new Set([codec]),
      );
    },
  );

  it('tells each record its partition and offset, in batches of more records than a request may have', async () => {
    await createTopic(shared.bootstrapServers, topic, { partitions: 2 });
    const { producer } = start(shared.bootstrapServers, { 'batch.size': 1_048_576, 'linger.ms': 100 });
    const results: { partition: number; offset: bigint }[] = [];
    const target = {
      recordCompleted(token: number, { error, partition, baseOffset }: BatchResult, index: number) {
        if (error === undefined) results[token] = { partition, offset: baseOffset + BigInt(index) };
      },
    };
    for (let token = 0; token < 5_000; token++) {
      const record = {
        topic,
        key: Buffer.from(`k${token % 7}`),
        value: Buffer.from(`v${token}`),
        timestampMs: Date.now(),
        headers: NO_HEADERS,
      };
      await until(() => producer.tryAppend(record, target, token) === undefined, {
        everyMs: 2,
        what: 'room',
      });
    }
    expect(await producer.close(30_000)).toEqual([]);
    expect(Math.max(...(await shared.tools.batches(topic, 0)).map(({ count }) => count))).toBeGreaterThan(
      500,
    );
    for (const { partition, offset, value } of await readTopic(shared.bootstrapServers, topic)) {
      expect({ partition, offset: BigInt(offset) }).toEqual(results[Number(value?.slice(1))]);
    }
  });

  it('keeps keys, tombstones, headers and timestamps', async () => {
    await createTopic(shared.bootstrapServers, topic, { config: { 'retention.ms': '-1' } });
    const { producer } = start(shared.bootstrapServers, { 'linger.ms': 50 });
    const headers = encodeHeaders([
      { key: 'trace', value: Buffer.from('a') },
      { key: 'trace', value: Buffer.from('b') },
      { key: 'empty', value: Buffer.alloc(0) },
    ]);
    const shapes = [
      { key: null, value: Buffer.from('no key'), timestampMs: Date.now(), headers: NO_HEADERS },
      { key: Buffer.from('k'), value: null, timestampMs: 981_173_106_000, headers },
      { key: Buffer.alloc(0), value: Buffer.alloc(0), timestampMs: 1, headers: NO_HEADERS },
    ];
    for (const shape of shapes) {
      const append = () => producer.tryAppend({ topic, ...shape }, { recordCompleted() {} }, 0) === undefined;
      await until(append, { everyMs: 5, what: 'the topic to be known' });
    }
    expect(await producer.close(30_000)).toEqual([]);
    const read = await readTopic(shared.bootstrapServers, topic);
    expect(read.map(({ key, value, timestampMs }) => ({ key, value, timestampMs }))).toEqual(
      shapes.map(({ key, value, timestampMs }) => ({
        key: key?.toString() ?? null,
        value: value?.toString() ?? null,
        timestampMs,
      })),
    );
    expect(read[1]!.headers).toMatchObject({
      trace: [Buffer.from('a'), Buffer.from('b')],
      empty: Buffer.alloc(0),
    });
  });

  it('fails the record that the broker refuses, and no other', async () => {
    await createTopic(shared.bootstrapServers, topic, { config: { 'max.message.bytes': '3000' } });
    const { producer } = start(shared.bootstrapServers, { 'linger.ms': 20 });
    const results: string[] = [];
    const target = {
      recordCompleted(token: number, { error }: BatchResult) {
        results.push(error === undefined ? String(token) : `${token}:${error.code}`);
      },
    };
    for (const [token, size] of [1_000, 1_000, 4_000, 1_000].entries()) {
      const record = {
        topic,
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
    expect(results).toEqual(['0', '1', '2:RECORD_TOO_LARGE', '3']);
  });

  it('sends nothing to be acknowledged with acks=0, and it arrives', async () => {
    await createTopic(shared.bootstrapServers, topic);
    const { producer } = start(shared.bootstrapServers, { acks: 0 });
    const load = new RecordLoad(producer, topic, 1);
    await load.run(10);
    await producer.flush();
    await until(async () => (await readTopic(shared.bootstrapServers, topic)).length === 10, {
      what: 'the records',
    });
    await producer.close(5_000);
  });

  it('names a topic that is missing, waits for it, and delivers once it is there', async () => {
    const { producer } = start(shared.bootstrapServers);
    const load = new RecordLoad(producer, topic, 3);
    const running = load.run(10);
    await until(() => producer.topicFaults().size > 0, { what: 'the fault to be known' });
    expect(producer.topicFaults().get(topic)?.code).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    await createTopic(shared.bootstrapServers, topic, { partitions: 2 });
    await running;
    expect(await producer.close(30_000)).toEqual([]);
    expect(load.judge(await readTopic(shared.bootstrapServers, topic))).toEqual([]);
  });

  it('says who can not be reached', async () => {
    const { producer, port } = start('127.0.0.1:1', { 'reconnect.backoff.ms': 10 });
    producer.prepare([topic]);
    await until(() => port.connectionState().lastFailure !== undefined, { what: 'a failed attempt' });
    expect(port.connectionState()).toMatchObject({ connectedBrokers: 0, securityFailures: [] });
    expect(port.connectionState().lastFailure).toContain('127.0.0.1:1');
    expect(port.connectionState().unreachableSinceMs).toBeTypeOf('number');
    expect(await producer.close(100)).toEqual([]);
  });

  it('loses nothing when the broker is killed in mid-stream and comes back, and keeps its order', async () => {
    own = await startKafka();
    await createTopic(own.bootstrapServers, topic, { partitions: 3 });
    const { producer, port } = start(own.bootstrapServers, {
      'delivery.timeout.ms': Infinity,
      'request.timeout.ms': 5_000,
      'compression.type': 'lz4',
    });
    const load = new RecordLoad(producer, topic, 20);
    const total = 30_000;
    const running = load.run(total);
    await until(() => load.acknowledged >= 5_000, { what: 'the first records', everyMs: 1 });
    await own.kill9();
    expect(load.acknowledged).toBeLessThan(total);
    await until(() => port.connectionState().connectedBrokers === 0, { what: 'the loss to be noticed' });
    await own.restart();
    await running;
    await producer.flush();
    expect(port.connectionState().lastFailure).toBeUndefined();
    expect(await producer.close(60_000)).toEqual([]);
    expect(load.acknowledged).toBe(total);

    const records = await readTopic(own.bootstrapServers, topic);
    expect(load.judge(records)).toEqual([]);
  }, 120_000);

  it('ends cleanly while nothing answers', async () => {
    own = await startKafka();
    await createTopic(own.bootstrapServers, topic);
    const { producer } = start(own.bootstrapServers, { 'delivery.timeout.ms': Infinity });
    const load = new RecordLoad(producer, topic, 1);
    await load.run(1);
    await producer.flush();
    own.pause();
    await load.run(2);
    const undelivered = await producer.close(200);
    own.continue();
    expect(undelivered).toEqual([{ topic, partition: 0, records: 1 }]);
    expect(load.errors).toEqual([expect.stringContaining('not delivered within 200 ms')]);
  });
});

async function createTopic(
  bootstrapServers: string,
  topic: string,
  { partitions = 1, config = {} }: { partitions?: number; config?: Record<string, string> } = {},
): Promise<void> {
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  await createTopicsOn(bootstrapServers, [{ topic, numPartitions: partitions, configEntries }]);
}
