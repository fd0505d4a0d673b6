import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { faultRecords } from '../support/fault-records.ts';
import { runTrial } from '../support/fault-trial.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { faultSeeds, SeededRandom } from '../support/seeds.ts';
import { until } from '../support/until.ts';

const ALONE = { replicationFactor: 1, partitions: 4 };

describe('a producer whose only broker dies', () => {
  let kafka: TestKafka;

  beforeAll(async () => {
    kafka = await startKafka();
  });

  afterAll(async () => {
    await kafka.stop();
  });

  it.each(faultSeeds())(
    'loses and repeats nothing when the broker is killed in mid-stream and comes back, and keeps order, seed %i',
    async (seed) => {
      const random = new SeededRandom(seed);
      await runTrial(kafka, { topic: `killed-${seed}`, ...ALONE }, async ({ load, producer }) => {
        const total = faultRecords(40_000);
        const running = load.run(total);
        for (let round = 0; round < 2; round++) {
          const killedAt = total * (0.2 + 0.3 * round + 0.2 * random.next());
          await until(() => load.acknowledged >= killedAt, { what: 'the first records', everyMs: 1 });
          await kafka.kill9();
          expect(load.acknowledged).toBeLessThan(total);
          await kafka.restart();
        }
        await running;
        await producer.flush();
        expect(producer.stats.recordRetryTotal).toBeGreaterThan(0);
      });
    },
  );

  it.each(faultSeeds())('goes on after a broker that hung past request.timeout.ms, seed %i', async (seed) => {
    const random = new SeededRandom(seed);
    const settings = { 'request.timeout.ms': 1_000 };
    await runTrial(kafka, { topic: `hung-${seed}`, ...ALONE, settings }, async ({ load, producer }) => {
      const total = faultRecords(40_000);
      const running = load.run(total);
      const pausedAt = total * (0.1 + 0.3 * random.next());
      await until(() => load.acknowledged >= pausedAt, { what: 'the first records', everyMs: 1 });
      kafka.pause();
      await until(() => producer.stats.requestErrorTotal > 0, { what: 'a request without an answer' });
      kafka.continue();
      await running;
    });
  });
});
