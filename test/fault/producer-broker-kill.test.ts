import { afterEach, describe, expect, it } from 'vitest';
import { faultRecords } from '../support/fault-records.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTopic, startProducer } from '../support/producer.ts';
import { RecordLoad } from '../support/record-load.ts';
import { until } from '../support/until.ts';

describe('a producer whose broker dies', () => {
  let kafka: TestKafka | undefined;

  afterEach(async () => {
    await kafka?.stop();
    kafka = undefined;
  });

  it('loses and repeats nothing when the broker is killed in mid-stream and comes back, and keeps order', async () => {
    kafka = await startKafka();
    await kafka.tools.createTopic('stream', { partitions: 4 });
    const producer = startProducer(kafka.bootstrapServers, {
      'linger.ms': 5,
      'compression.type': 'lz4',
      'delivery.timeout.ms': Infinity,
      'request.timeout.ms': 5_000,
    });
    const load = new RecordLoad(producer, 'stream', 50);
    const total = faultRecords(40_000);
    const running = load.run(total);
    for (let round = 1; round <= 2; round++) {
      await until(() => load.acknowledged >= (round * total) / 5, {
        what: `the records of round ${round}`,
        everyMs: 1,
      });
      await kafka.kill9();
      expect(load.acknowledged).toBeLessThan(total);
      await kafka.restart();
    }
    await running;
    await producer.flush();
    expect(await producer.close(5_000)).toEqual([]);
    expect(load.judge(await readTopic(kafka.bootstrapServers, 'stream'))).toEqual([]);
    expect(load.acknowledged).toBe(total);
    expect(producer.stats.recordRetryTotal).toBeGreaterThan(0);
  });

  it('goes on after a broker that hung past request.timeout.ms', async () => {
    kafka = await startKafka();
    await kafka.tools.createTopic('stream', { partitions: 4 });
    const producer = startProducer(kafka.bootstrapServers, {
      'linger.ms': 5,
      'delivery.timeout.ms': Infinity,
      'request.timeout.ms': 1_000,
    });
    const load = new RecordLoad(producer, 'stream', 50);
    const total = faultRecords(40_000);
    const running = load.run(total);
    await until(() => load.acknowledged >= total / 5, { what: 'the first records', everyMs: 1 });
    kafka.pause();
    await until(() => producer.stats.requestErrorTotal > 0, { what: 'a request without an answer' });
    kafka.continue();
    await running;
    expect(await producer.close(30_000)).toEqual([]);
    expect(load.judge(await readTopic(kafka.bootstrapServers, 'stream'))).toEqual([]);
    expect(load.acknowledged).toBe(total);
  });
});
