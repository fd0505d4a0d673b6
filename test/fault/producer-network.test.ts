import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { faultRecords } from '../support/fault-records.ts';
import { runTrial } from '../support/fault-trial.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { faultSeeds, SeededRandom } from '../support/seeds.ts';

describe('a producer whose network fails, on three brokers, min.insync.replicas=2', () => {
  let kafka: TestKafka;

  beforeAll(async () => {
    kafka = await startKafka({ nodes: 3 });
  });

  afterAll(async () => {
    await kafka.stop();
  });

  it.each(faultSeeds())(
    'loses and repeats nothing when answers get lost that say what Kafka has, seed %i',
    async (seed) => {
      const random = new SeededRandom(seed);
      let untilLoss = random.between(5, 30);
      let losses = 0;
      const wireFaults = {
        losesResponse() {
          if (--untilLoss > 0) return false;
          untilLoss = random.between(10, 60);
          losses++;
          return true;
        },
      };
      const settings = { 'request.timeout.ms': 500, 'batch.size': 4_096 };
      await runTrial(
        kafka,
        { topic: `answers-lost-${seed}`, settings, wireFaults },
        async ({ load, producer }) => {
          await load.run(faultRecords(20_000));
          await producer.flush();
          expect(losses).toBeGreaterThan(1);
          expect(producer.stats.recordRetryTotal).toBeGreaterThan(0);
        },
      );
    },
  );

  it.each(faultSeeds())(
    'loses and repeats nothing when connections are reset in the middle of requests and answers, seed %i',
    async (seed) => {
      const random = new SeededRandom(seed);
      let untilReset = random.between(5, 30);
      let resets = 0;
      const wireFaults = {
        cutsAfter(frameBytes: number) {
          if (--untilReset > 0) return undefined;
          untilReset = random.between(5, 80);
          resets++;
          return random.between(0, frameBytes);
        },
      };
      const settings = { 'batch.size': 4_096 };
      await runTrial(kafka, { topic: `resets-${seed}`, settings, wireFaults }, async ({ load, producer }) => {
        await load.run(faultRecords(20_000));
        await producer.flush();
        expect(resets).toBeGreaterThan(2);
        expect(producer.stats.recordRetryTotal).toBeGreaterThan(0);
      });
    },
  );
});
