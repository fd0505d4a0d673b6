import { existsSync } from 'node:fs';
import { dirname } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { NO_HEADERS } from '../../src/core/record.ts';
import { probeCluster } from '../../src/testbed/local-kafka/ports.ts';
import { runTrial, type FaultTrial } from '../support/fault-trial.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { until } from '../support/until.ts';

let kafka: TestKafka;

beforeAll(async () => {
  kafka = await startKafka({ nodes: 3 });
});

afterAll(async () => {
  await kafka.stop();
  expect(existsSync(dirname(kafka.dataDir()))).toBe(false);
});

test('a test cluster of three survives kill -9 of a node and takes it back with its data', async () => {
  await kafka.tools.createTopic('judged', { partitions: 2, replicationFactor: 3 });
  await kafka.tools.run('org.apache.kafka.tools.ProducerPerformance', [
    '--topic=judged',
    '--num-records=500',
    '--record-size=100',
    '--throughput=-1',
    '--command-property',
    `bootstrap.servers=${kafka.bootstrapServers}`,
    'compression.type=lz4',
  ]);
  await kafka.kill9(2);
  expect(await probeCluster(kafka.ports[1]!)).toBeUndefined();
  await kafka.restart(2);

  const offsets = await kafka.tools.offsets('judged');
  expect([...offsets.values()].reduce((a, b) => a + b)).toBe(500);
  const batches = [...(await kafka.tools.batches('judged', 0)), ...(await kafka.tools.batches('judged', 1))];
  expect(batches.reduce((records, batch) => records + batch.count, 0)).toBe(500);
  expect(
    batches.every((batch) => batch.compressCodec === 'lz4' && batch.producerId >= 0 && batch.isValid),
  ).toBe(true);
  expect(await kafka.tools.consume('judged', 500)).toHaveLength(500);
});

test('a paused node keeps its connections and answers again after it was continued', async () => {
  kafka.pause(3);
  expect(await probeCluster(kafka.ports[2]!, 500)).toBeUndefined();
  kafka.continue(3);
  await expect.poll(async () => (await probeCluster(kafka.ports[2]!))?.clusterId).toBe(kafka.clusterId);
});

let failed: FaultTrial | undefined;

test('a trial whose story fails fails', async () => {
  const trial = runTrial(kafka, { topic: 'failing' }, async (trial) => {
    failed = trial;
    void trial.load.run(Infinity);
    await until(() => trial.load.acknowledged > 0, { what: 'the first record' });
    kafka.pause(3);
    throw new Error('as a judge would');
  });
  await expect(trial).rejects.toThrow('as a judge would');
});

test('a trial that has failed has ended its load and its producer, and its cluster is whole', async () => {
  const { load, producer } = failed!;
  const { appended } = load;
  const record = { topic: 'failing', key: null, value: null, timestampMs: Date.now(), headers: NO_HEADERS };
  expect(producer.tryAppend(record, load, appended)).toMatchObject({ code: 'PRODUCER_CLOSED' });
  expect(producer.pendingRecords).toBe(0);
  await expect.poll(async () => (await probeCluster(kafka.ports[2]!))?.clusterId).toBe(kafka.clusterId);
  expect(load.appended).toBe(appended);
});
