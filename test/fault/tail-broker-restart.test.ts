import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import type { TailedRecord } from '../../src/features/tail/tail-record.ts';
import { TailSession } from '../../src/features/tail/tail-session.ts';
import { produce } from '../support/plain-producer.ts';
import { startKafka } from '../support/kafka.ts';
import type { TestKafka } from '../support/kafka.ts';
import { until } from '../support/until.ts';

let kafka: TestKafka;

beforeAll(async () => {
  kafka = await startKafka();
  await kafka.tools.createTopic('tailed', { partitions: 2 });
});

afterAll(async () => {
  await kafka.stop();
});

const records = (from: number): { key: string; value: string }[] =>
  Array.from({ length: 20 }, (_, i) => ({ key: `device-${i % 5}`, value: String(from + i) }));

describe('sluice tail, when Kafka is killed and comes back', () => {
  it('goes on where it was: every record once, in order within its partition', async () => {
    const seen: TailedRecord[] = [];
    const session = new TailSession({
      bootstrapServers: [kafka.bootstrapServers],
      topics: ['tailed'],
      fromBeginning: true,
      clock: systemClock,
      logger: silentLogger,
      onNote: () => undefined,
      onRecord: (record) => {
        seen.push(record);
      },
    });
    const running = session.run();
    await produce(kafka.bootstrapServers, 'tailed', records(0));
    await until(() => seen.length === 20, { what: 'the records before' });
    await kafka.kill9();
    await kafka.restart();
    await produce(kafka.bootstrapServers, 'tailed', records(20));
    await until(() => seen.length >= 40, { what: 'the records after', timeoutMs: 90_000 });
    session.stop();
    await running;
    expect(seen).toHaveLength(40);
    for (const partition of [0, 1]) {
      const offsets = seen
        .filter((record) => record.partition === partition)
        .map(({ offset }) => Number(offset));
      expect(offsets).toEqual(offsets.map((_, i) => i));
    }
  });
});
