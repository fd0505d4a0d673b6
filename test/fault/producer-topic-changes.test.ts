import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Admin } from '../../src/kafka/clients/kafkajs.ts';
import { faultRecords } from '../support/fault-records.ts';
import { createTopic, runTrial } from '../support/fault-trial.ts';
import { leadersOf } from '../support/topics.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import type { ReadRecord } from '../support/producer.ts';
import { faultSeeds, SeededRandom } from '../support/seeds.ts';
import { until } from '../support/until.ts';

const NODES = [1, 2, 3];

describe('a producer whose topic changes under load, on three brokers, min.insync.replicas=2', () => {
  let kafka: TestKafka;

  beforeAll(async () => {
    kafka = await startKafka({ nodes: 3 });
  });

  afterAll(async () => {
    await kafka.stop();
  });

  /** Takes every partition away from its leader; resolves when others lead. */
  async function moveLeaders(admin: Admin, topic: string, random: SeededRandom): Promise<void> {
    const before = await leadersOf(admin, topic);
    const assignment = [...before].map(([partition, leader]) => ({
      partition,
      replicas: random.shuffled(NODES.filter((node) => node !== leader)),
    }));
    await admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment: assignment }] });
    await until(
      async () => {
        const now = await leadersOf(admin, topic);
        const moved = [...now].every(([partition, leader]) =>
          assignment[assignment.findIndex((one) => one.partition === partition)]!.replicas.includes(leader),
        );
        return moved && (await admin.listPartitionReassignments({})).topics.length === 0;
      },
      { timeoutMs: 60_000, everyMs: 100, what: 'the leaders to be moved' },
    );
  }

  it.each(faultSeeds())('keeps all when leaders are moved by reassignment, seed %i', async (seed) => {
    const random = new SeededRandom(seed);
    await runTrial(
      kafka,
      { topic: `reassigned-${seed}`, replicationFactor: 2 },
      async ({ topic, load, admin, producer }) => {
        const part = faultRecords(20_000) / 4;
        await load.run(part);
        for (let round = 1; round <= 3; round++) {
          const moving = moveLeaders(admin, topic, random);
          await load.run(load.appended + part);
          await load.runDuring(moving);
        }
        expect(producer.stats.recordRetryTotal).toBeGreaterThan(0);
      },
    );
  });

  it.each(faultSeeds())(
    'has everything that was acknowledged after the topic was deleted and created anew, seed %i',
    async (seed) => {
      const options = {
        topic: `reborn-${seed}`,
        settings: { 'metadata.max.age.ms': 500 },
        judgedFrom: 1,
      };
      const isGone = (): boolean =>
        NODES.every((node) => !readdirSync(kafka.dataDir(node)).some((name) => isLog(name, options.topic)));
      await runTrial(kafka, options, async ({ topic, load, admin, producer }) => {
        const part = faultRecords(20_000) / 2;
        const running = load.run(part);
        await until(() => load.acknowledged > part / 5, { everyMs: 1, what: 'the first records' });
        await admin.deleteTopics({ topics: [topic] });
        await until(isGone, { what: 'all brokers to have removed the topic' });
        await until(() => producer.topicFaults().has(topic), { what: 'the producer to know' });
        load.chapter = 1;
        await createTopic(admin, options);
        await running;
        await load.run(load.appended + part);
      });
    },
  );

  it.each(faultSeeds())(
    'keeps the order of each key when the topic gets more partitions, seed %i',
    async (seed) => {
      const random = new SeededRandom(seed);
      await runTrial(
        kafka,
        {
          topic: `growing-${seed}`,
          partitions: random.between(2, 4),
          // The brokers' clocks, which are one, tell which of two partitions' records came first.
          config: { 'message.timestamp.type': 'LogAppendTime' },
          settings: { 'metadata.max.age.ms': 100, 'batch.size': 2_048 },
          inOrder: byAppendTime,
        },
        async ({ topic, load, admin }) => {
          const part = faultRecords(20_000) / 3;
          for (const count of [random.between(5, 7), random.between(8, 12)]) {
            const running = load.run(load.appended + part);
            await admin.createPartitions({ topicPartitions: [{ topic, count }] });
            await running;
            await load.runDuring(
              until(async () => (await leadersOf(admin, topic)).size === count, { what: 'the partitions' }),
            );
          }
          await load.run(load.appended + part);
        },
      );
    },
  );

  it.each(faultSeeds())(
    'fails only those of 1,000 records each that the broker refuses, with five batches in flight, seed %i',
    async (seed) => {
      const random = new SeededRandom(seed);
      const total = Math.floor(faultRecords(10_000) / 1_000) * 1_000;
      const refused = new Set(
        Array.from({ length: total / 1_000 }, (_, thousand) => thousand * 1_000 + random.between(0, 999)),
      );
      let mostInFlight = 0;
      await runTrial(
        kafka,
        {
          topic: `refusing-${seed}`,
          partitions: 1,
          config: { 'message.timestamp.after.max.ms': String(3_600_000) },
          settings: { 'linger.ms': 1, 'batch.size': 2_048 },
          refused: (token) => refused.has(token),
        },
        async ({ load, producer }) => {
          const watching = setInterval(() => {
            mostInFlight = Math.max(mostInFlight, producer.stats.requestsInFlight);
          }, 1);
          onTestFinished(() => {
            clearInterval(watching);
          });
          await load.run(total);
          await producer.flush();
          expect(load.refusals).toBe(refused.size);
          expect(mostInFlight).toBe(5);
        },
      );
    },
  );

  it.each(faultSeeds())(
    'holds buffer.memory while all brokers hang, says so to those who can not wait, and delivers the rest, seed %i',
    async (seed) => {
      const bufferBytes = 128 * 1024;
      const settings = { 'buffer.memory': bufferBytes, 'max.block.ms': 200, 'request.timeout.ms': 1_000 };
      await runTrial(kafka, { topic: `full-${seed}`, settings }, async ({ topic, load, producer }) => {
        const total = faultRecords(20_000);
        let least = bufferBytes;
        const running = load.run(total, () => {
          least = Math.min(least, producer.buffer.availableBytes);
          return undefined;
        });
        await until(() => load.acknowledged > total / 5, { everyMs: 1, what: 'the first records' });
        for (const node of NODES) kafka.pause(node);
        // Behind a request that got no answer in time comes none that was on its way and could make room.
        const { requestErrorTotal } = producer.stats;
        await until(() => load.isHeldUp && producer.stats.requestErrorTotal > requestErrorTotal, {
          what: 'no room for the next record',
        });
        const sent = producer.send({ topic, key: load.nextKey, value: Buffer.from('never taken') });
        await expect(sent).rejects.toMatchObject({ code: 'MAX_BLOCK_TIMEOUT', blockedBy: 'memory' });
        for (const node of NODES) kafka.continue(node);
        await running;
        expect(least).toBeGreaterThanOrEqual(0);
        await producer.flush();
        expect(producer.buffer.availableBytes).toBe(bufferBytes);
      });
    },
  );
});

/** Whether the folder is a partition's of the topic; one that is being deleted is named otherwise. */
function isLog(folder: string, topic: string): boolean {
  return folder.startsWith(`${topic}-`) && /^\d+$/.test(folder.slice(topic.length + 1));
}

function byAppendTime(records: readonly ReadRecord[]): readonly ReadRecord[] {
  const token = ({ value }: ReadRecord): number => Number(value!.split(' ')[0]);
  return records.toSorted((a, b) => a.timestampMs - b.timestampMs || token(a) - token(b));
}
