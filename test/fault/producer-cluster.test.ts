import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { faultRecords } from '../support/fault-records.ts';
import { runTrial } from '../support/fault-trial.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { faultSeeds, SeededRandom } from '../support/seeds.ts';
import { until } from '../support/until.ts';

const NODES = [1, 2, 3];

describe('a producer on three brokers, min.insync.replicas=2', () => {
  let kafka: TestKafka;

  beforeAll(async () => {
    kafka = await startKafka({ nodes: 3 });
  });

  afterAll(async () => {
    await kafka.stop();
  });

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

  it.each(faultSeeds())(
    'loses and repeats nothing while each broker in turn is killed in mid-stream and comes back, seed %i',
    async (seed) => {
      const random = new SeededRandom(seed);
      const options = {
        topic: `killed-in-turn-${seed}`,
        config: { 'unclean.leader.election.enable': 'false' },
      };
      await runTrial(kafka, options, async ({ topic, load, producer }) => {
        const part = faultRecords(60_000) / 3;
        for (const node of random.shuffled(NODES)) {
          const before = load.appended;
          const errorsBefore = producer.stats.requestErrorTotal;
          const killedAt = before + part * (0.1 + 0.3 * random.next());
          const running = load.run(before + part);
          await until(() => load.acknowledged >= killedAt, { what: 'the first records', everyMs: 1 });
          await kafka.kill9(node);
          expect(load.acknowledged).toBeLessThan(before + part);
          await kafka.restart(node);
          await running;
          expect(producer.stats.requestErrorTotal).toBeGreaterThan(errorsBefore);
          await inSync(topic);
        }
      });
    },
  );

  it.each(faultSeeds())(
    'goes on with the others while a broker hangs past request.timeout.ms, seed %i',
    async (seed) => {
      const random = new SeededRandom(seed);
      await runTrial(kafka, { topic: `hanging-${seed}` }, async ({ load, producer }) => {
        const total = faultRecords(40_000);
        const node = random.between(1, 3);
        const pausedAt = total * (0.1 + 0.3 * random.next());
        const running = load.run(total);
        await until(() => load.acknowledged >= pausedAt, { what: 'the first records', everyMs: 1 });
        kafka.pause(node);
        expect(load.acknowledged).toBeLessThan(total);
        await running;
        await producer.flush();
        kafka.continue(node);
      });
    },
  );
});
