import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Producer } from '../../src/producer/producer.ts';
import { faultRecords } from '../support/fault-records.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTopic, startProducer } from '../support/producer.ts';
import { RecordLoad } from '../support/record-load.ts';
import { until } from '../support/until.ts';

const SETTINGS = {
  'linger.ms': 5,
  'compression.type': 'lz4',
  'delivery.timeout.ms': Infinity,
  'request.timeout.ms': 3_000,
};

describe('a producer on three brokers, min.insync.replicas=2', () => {
  let kafka: TestKafka;

  beforeAll(async () => {
    kafka = await startKafka({ nodes: 3 });
  });

  afterAll(async () => {
    await kafka.stop();
  });

  /** Runs loads and faults, and judges what Kafka holds. */
  async function judge(
    topic: string,
    story: (load: RecordLoad, producer: Producer) => Promise<void>,
  ): Promise<void> {
    await kafka.tools.createTopic(topic, { partitions: 6, replicationFactor: 3 });
    const producer = startProducer(kafka.bootstrapServers, SETTINGS);
    const load = new RecordLoad(producer, topic, 50);
    await story(load, producer);
    expect(await producer.close(60_000)).toEqual([]);
    expect(load.judge(await readTopic(kafka.bootstrapServers, topic))).toEqual([]);
    expect(load.acknowledged).toBe(load.appended);
  }

  /** All replicas of the topic are in sync again: the next kill can't take the only copy. */
  async function inSync(topic: string): Promise<void> {
    await until(
      async () => {
        const output = await kafka.tools.topicCommand(
          '--describe',
          '--topic',
          topic,
          '--under-replicated-partitions',
        );
        return output.trim() === '';
      },
      { timeoutMs: 60_000, everyMs: 500, what: 'all replicas to be in sync' },
    );
  }

  it('loses and repeats nothing while each broker in turn is killed in mid-stream and comes back', async () => {
    await judge('killed-in-turn', async (load, producer) => {
      const part = faultRecords(75_000) / 3;
      for (const node of [1, 2, 3]) {
        const before = load.appended;
        const errorsBefore = producer.stats.requestErrorTotal;
        const running = load.run(before + part);
        await until(() => load.acknowledged >= before + part / 5, { what: 'the first records', everyMs: 1 });
        await kafka.kill9(node);
        expect(load.acknowledged).toBeLessThan(before + part);
        await kafka.restart(node);
        await running;
        expect(producer.stats.requestErrorTotal).toBeGreaterThan(errorsBefore);
        await inSync('killed-in-turn');
      }
    });
  });

  it('goes on with the others while a broker hangs past request.timeout.ms', async () => {
    await judge('hanging', async (load, producer) => {
      const total = faultRecords(40_000);
      const running = load.run(total);
      await until(() => load.acknowledged >= total / 5, { what: 'the first records', everyMs: 1 });
      kafka.pause(2);
      expect(load.acknowledged).toBeLessThan(total);
      await running;
      await producer.flush();
      kafka.continue(2);
    });
  });
});
