import { expect, it } from 'vitest';
import { ScriptedProducer } from './scripted-producer.ts';

it("a producer's figures have the names of Kafka's Java client, with averages over batches and requests", async () => {
  const scripted = await ScriptedProducer.withTopic([1]);
  expect(scripted.producer.metrics()).toMatchObject({ 'batch-size-avg': 0, 'records-per-request-avg': 0 });
  await scripted.send('a', 'b', 'c');
  scripted.clock.advance(40);
  await scripted.port.last().answer();
  await scripted.send('d');
  expect(scripted.producer.metrics()).toMatchObject({
    'record-send-total': 3,
    'request-total': 2,
    'requests-in-flight': 1,
    'records-per-request-avg': 3,
    'request-latency-avg': 40,
    'request-latency-max': 40,
    'record-queue-time-avg': 10,
    'compression-rate-avg': 1,
  });
  expect(scripted.producer.metrics()['buffer-available-bytes']).toBeLessThan(
    scripted.producer.metrics()['buffer-total-bytes'],
  );
});
