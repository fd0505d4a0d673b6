import { describe, expect, it } from 'vitest';
import { silentLogger, type Logger } from '../../../src/core/logger.ts';
import type { RecordMetadata } from '../../../src/core/record.ts';
import { parseProducerConfig } from '../../../src/producer/config/config.ts';
import { MaxBlockTimeoutError, ProducerError } from '../../../src/producer/errors.ts';
import { partitionForKey } from '../../../src/producer/cluster/partitioner.ts';
import { Producer, type ProducerOptions } from '../../../src/producer/producer.ts';
import { JsonSerializer } from '../../../src/producer/serializers/json.ts';
import type { Serializer } from '../../../src/producer/serializers/serializer.ts';
import { StringSerializer } from '../../../src/producer/serializers/text.ts';
import { ManualClock } from '../../testbed/fleet/manual-clock.ts';
import { defer, ScriptedPort, settled } from '../scripted-port.ts';

/** A producer of texts on a scripted cluster whose topic `t` has two partitions. */
function setUp(
  settings: Readonly<Record<string, unknown>> = {},
  options: Partial<ProducerOptions<string, string>> = {},
) {
  const clock = new ManualClock();
  const port = new ScriptedPort();
  port.setTopic('t', [1, 1]);
  const { config, faults } = parseProducerConfig({
    'bootstrap.servers': 'scripted:1',
    'linger.ms': 0,
    ...settings,
  });
  expect(faults).toEqual([]);
  const producer = new Producer<string, string>({
    config,
    port,
    clock,
    logger: silentLogger,
    random: () => 0,
    defer,
    keySerializer: new StringSerializer(),
    valueSerializer: new StringSerializer(),
    ...options,
  });
  const pass = async (ms: number) => {
    clock.advance(ms);
    await settled();
  };
  return { clock, port, producer, pass };
}

const outcomeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'delivered',
    (error: unknown) => (error as ProducerError).code,
  );

describe('a send', () => {
  it('a send resolves with where Kafka put the record, and the sizes that it has', async () => {
    const { port, producer, pass } = setUp();
    const first = producer.send({ topic: 't', partition: 1, key: 'k1', value: 'äb', timestamp: 17 });
    const second = producer.send({ topic: 't', partition: 1, value: null });
    await pass(0);
    await port.last().answer({ baseOffset: 41n });
    expect(await first).toEqual({
      topic: 't',
      partition: 1,
      offset: 41n,
      timestamp: 17,
      serializedKeySize: 2,
      serializedValueSize: 3,
    });
    expect(await second).toMatchObject({ offset: 42n, serializedKeySize: -1, serializedValueSize: -1 });
  });

  it("a send tells the broker's time on a topic with LogAppendTime, and no offset where the broker knows none", async () => {
    const { port, producer, pass } = setUp();
    const sent = producer.send({ topic: 't', value: 'a' });
    await pass(0);
    await port.last().answer({ baseOffset: -1n, logAppendTimeMs: 99 });
    expect(await sent).toMatchObject({ offset: -1n, timestamp: 99 });
  });

  it('a send calls back in the order of the sends, with metadata or an error, and never before it returned', async () => {
    const { port, producer, pass } = setUp();
    const heard: string[] = [];
    let returned = false;
    for (const value of ['a', 'b', 'c']) {
      producer.send({ topic: 't', partition: 0, value }, (error, metadata) => {
        expect(metadata).toMatchObject({ topic: 't', partition: 0 });
        expect(returned).toBe(true);
        heard.push(error === undefined ? `${value}@${metadata.offset}` : `${value}:${error.code}`);
      });
    }
    producer.send({ topic: 't', partition: 0, value: 'x'.repeat(2_000_000) }, (error) => {
      expect(returned).toBe(true);
      heard.push(`huge:${error?.code ?? ''}`);
    });
    returned = true;
    await pass(0);
    await port.last().answer({ baseOffset: 7n });
    expect(heard).toEqual(['huge:RECORD_TOO_LARGE', 'a@7', 'b@8', 'c@9']);
  });

  it('a send goes to the partition of its key, as in Java, unless it names one', async () => {
    const { port, producer, pass } = setUp();
    const keys = Array.from({ length: 20 }, (_, i) => `key-${i}`);
    for (const key of keys) void producer.send({ topic: 't', key, value: key });
    await pass(0);
    for (const { partition, values } of port.last().batches) {
      for (const key of values) expect(partitionForKey(Buffer.from(key), 2)).toBe(partition);
    }
    expect(port.last().batches.flatMap(({ values }) => values)).toHaveLength(20);
  });

  it('a send carries headers, repeated keys and null values included', async () => {
    const { producer, pass, port } = setUp();
    const headers = [
      { key: 'a', value: Buffer.from('1') },
      { key: 'a', value: null },
    ];
    void producer.send({ topic: 't', value: 'v', headers });
    await pass(0);
    await port.last().answer();
    expect(producer.stats.recordSendTotal).toBe(1);
  });

  it('a send that its serializer refuses fails with the reason, and those around it go on', async () => {
    const { port, producer, pass } = setUp();
    const sends = ['a', 17 as unknown as string, 'b'].map((value) =>
      outcomeOf(producer.send({ topic: 't', partition: 0, value })),
    );
    await pass(0);
    expect(port.last().values).toBe('a b');
    await port.last().answer();
    expect(await Promise.all(sends)).toEqual(['delivered', 'SERIALIZATION_FAILED', 'delivered']);
  });

  it('a send is refused after close', async () => {
    const { producer } = setUp();
    await producer.close();
    await expect(producer.send({ topic: 't', value: 'a' })).rejects.toMatchObject({
      code: 'PRODUCER_CLOSED',
    });
  });
});

describe('a send that nobody awaits', () => {
  it('a send that nobody awaits may fail without harm: it is counted, and logged once in a while', async () => {
    const logged: object[] = [];
    const logger: Logger = { ...silentLogger, warn: (fields) => logged.push(fields) };
    const { producer, pass } = setUp({}, { logger });
    for (let i = 0; i < 3; i++) void producer.send({ topic: 't', value: 'x'.repeat(2_000_000) });
    await pass(0);
    expect(producer.mistakes.get('SEND_FAILED_UNOBSERVED')).toBe(3);
    expect(logged).toMatchObject([{ code: 'SEND_FAILED_UNOBSERVED', reason: 'RECORD_TOO_LARGE' }]);
  });

  it('a send that fails is no mistake when somebody handles its failure', async () => {
    const { producer, pass } = setUp();
    const failed = outcomeOf(producer.send({ topic: 't', value: 'x'.repeat(2_000_000) }));
    await pass(0);
    expect(await failed).toBe('RECORD_TOO_LARGE');
    expect(producer.mistakes.size).toBe(0);
  });
});

describe('a send that must wait', () => {
  it('a send that must wait for metadata goes in its turn: none of its topic overtakes another', async () => {
    const { port, producer, pass } = setUp();
    port.metadataFailure = new ProducerError('X', 'no broker');
    const sends = ['a', 'b', 'c'].map((value) => producer.send({ topic: 't', partition: 0, value }));
    await pass(0);
    expect(producer.isBlocked).toBe(true);
    const unblocked = producer.unblocked();
    port.metadataFailure = undefined;
    await pass(2_000);
    await unblocked;
    expect(producer.isBlocked).toBe(false);
    expect(port.last().values).toBe('a b c');
    await port.last().answer();
    await Promise.all(sends);
  });

  it('a send that must wait for a topic that does not exist fails after max.block.ms with an error that says so', async () => {
    const { producer, pass } = setUp({ 'max.block.ms': 3_000 });
    let error: unknown;
    producer.send({ topic: 'absent', value: 'a' }, (failure) => {
      error = failure;
    });
    await pass(2_999);
    expect(error).toBeUndefined();
    await pass(1);
    expect(error).toBeInstanceOf(MaxBlockTimeoutError);
    expect(error).toMatchObject({ blockedBy: 'metadata', code: 'MAX_BLOCK_TIMEOUT', retriable: true });
    expect((error as Error).message).toContain("topic 'absent'");
    expect((error as Error).message).toContain('UNKNOWN_TOPIC_OR_PARTITION');
    expect(producer.isBlocked).toBe(false);
  });

  it('a send that must wait fails at once when only the owner of the topic can help', async () => {
    const { port, producer, pass } = setUp();
    port.setTopicError('secret', 29);
    const outcome = outcomeOf(producer.send({ topic: 'secret', value: 'a' }));
    await pass(0);
    expect(await outcome).toBe('TOPIC_AUTHORIZATION_FAILED');
  });

  it('a send that must wait for memory fails after max.block.ms with an error that says so, and holds up no other topic', async () => {
    const { port, producer, pass } = setUp({
      'buffer.memory': 65_536,
      'batch.size': 16_384,
      'max.block.ms': 1_000,
      'delivery.timeout.ms': 200_000,
    });
    port.setTopic('u', [1]);
    void producer.send({ topic: 'u', value: 'known' });
    await pass(0);
    await port.last().answer();
    const outcomes: string[] = [];
    for (let i = 0; i < 3; i++) {
      producer.send({ topic: 't', partition: 0, value: 'x'.repeat(16_000) }, (error) => {
        outcomes.push(error === undefined ? 'delivered' : error.message);
      });
    }
    await pass(0);
    const other = outcomeOf(producer.send({ topic: 'u', value: 'b' }));
    await pass(1_000);
    expect(outcomes).toHaveLength(2);
    expect(outcomes[0]).toContain("its partition's share of buffer.memory");
    for (const request of port.requests) await request.answer();
    await pass(0);
    await port.last().answer();
    expect(await other).toBe('delivered');
  });

  it('a send waits for a partition that it names and nobody knows yet, and fails if it does not come', async () => {
    const { port, producer, pass } = setUp({ 'max.block.ms': 5_000 });
    const early = outcomeOf(producer.send({ topic: 't', partition: 2, value: 'a' }));
    const never = outcomeOf(producer.send({ topic: 't', partition: 9, value: 'b' }));
    await pass(500);
    port.setTopic('t', [1, 1, 1], 1);
    await pass(2_000);
    expect(port.last().batches[0]).toMatchObject({ partition: 2, values: ['a'] });
    await port.last().answer();
    await pass(3_000);
    expect(await Promise.all([early, never])).toEqual(['delivered', 'MAX_BLOCK_TIMEOUT']);
  });

  it('a send that must wait for its serializer lets no later one of its topic pass, and their values may change meanwhile without harm', async () => {
    let ready: () => void = () => {};
    let isReady = false;
    const valueSerializer: Serializer<string> = {
      prepare() {
        if (isReady) return undefined;
        return new Promise<void>((resolve) => {
          ready = () => {
            isReady = true;
            resolve();
          };
        });
      },
      serialize: (topic, data) => new StringSerializer().serialize(topic, data),
    };
    const { port, producer, pass } = setUp({}, { valueSerializer });
    const sends = ['a', 'b'].map((value) => producer.send({ topic: 't', partition: 0, value }));
    await pass(0);
    ready();
    await pass(0);
    await pass(0);
    expect(port.last().values).toBe('a b');
    await port.last().answer();
    await Promise.all(sends);
  });

  it('a send that must wait fails alone when what its serializer needs can not be had', async () => {
    let calls = 0;
    const valueSerializer: Serializer<string> = {
      prepare: () => (calls++ === 0 ? Promise.reject(new ProducerError('REGISTRY_DOWN', 'no')) : undefined),
      serialize: (topic, data) => new StringSerializer().serialize(topic, data),
    };
    const { port, producer, pass } = setUp({}, { valueSerializer });
    const sends = ['a', 'b'].map((value) => outcomeOf(producer.send({ topic: 't', partition: 0, value })));
    await pass(0);
    await pass(0);
    await port.last().answer();
    expect(await Promise.all(sends)).toEqual(['REGISTRY_DOWN', 'delivered']);
  });

  it('a send that must wait is part of what flush and close wait for', async () => {
    const { port, producer, pass } = setUp({ 'linger.ms': 5_000 });
    const sent: Promise<RecordMetadata> = producer.send({ topic: 't', value: 'a' });
    const closing = producer.close(60_000);
    await pass(0);
    await pass(0);
    await port.last().answer();
    await sent;
    expect(await closing).toEqual([]);
  });

  it('a send that must wait is named by a close whose time runs out, and fails', async () => {
    const { producer, pass } = setUp();
    const outcome = outcomeOf(producer.send({ topic: 'absent', value: 'a' }));
    const closing = producer.close(1_000);
    await pass(1_000);
    expect(await closing).toEqual([{ topic: 'absent', partition: -1, records: 1 }]);
    expect(await outcome).toBe('PRODUCER_CLOSED');
  });
});

describe('a producer', () => {
  it('a producer refuses a serializer in the wrong place', () => {
    const keySerializer: Serializer<string> = { part: 'value', serialize: () => null };
    expect(() => setUp({}, { keySerializer })).toThrow('the serializer of the key is made for the value');
  });

  it('a producer takes any type that it has a serializer for', async () => {
    const clock = new ManualClock();
    const port = new ScriptedPort();
    port.setTopic('t', [1]);
    const { config } = parseProducerConfig({ 'bootstrap.servers': 'scripted:1', 'linger.ms': 0 });
    const producer = new Producer({
      config,
      port,
      clock,
      logger: silentLogger,
      defer,
      keySerializer: new StringSerializer(),
      valueSerializer: new JsonSerializer<{ amount: number }>(),
    });
    const sent = producer.send({ topic: 't', key: 'k', value: { amount: 3 } });
    await settled();
    expect(port.last().values).toBe('{"amount":3}');
    await port.last().answer();
    await sent;
  });
});
