import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';

import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { TestGateway } from '../support/gateway.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { readTopic } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

const { bootstrapServers } = sharedKafka();
/** Topics of this run's own. */
const run = `p${randomUUID().slice(0, 8)}`;

const PROFILE = `
type: ${run}
topic: plants/{site}/{device}
decode: json
device: '{device}'
sequence: { field: n }
metrics:
  temperature: { field: t, from: '[degF]', unit: Cel, type: integer, deadband: 0.5 }
registry: { file: devices.csv, attributes: [model], unknown: quarantine, quarantine.topic: ${run}-strangers }
produce: { topic: '${run}-{site}', topics.max: 2, format: json, headers: [topic, client.id] }
`;

let folder: string;
let gateway: TestGateway;
let client: MqttClient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-profiles-'));
  await mkdir(join(folder, 'devices'));
  await writeFile(join(folder, 'devices', 'plant.yaml'), PROFILE);
  await writeFile(join(folder, 'devices', 'devices.csv'), 'device,model\nd-1,TH-2\n');
  await writeFile(join(folder, 'sluice.yaml'), 'kafka: { topics: { partitions: 1 } }\n');
  gateway = await TestGateway.start({ bootstrapServers, folder });
  await gateway.untilReady();
  client = await mqtt.connectAsync(gateway.mqttUrl, { clientId: 'plc-7' });
});

afterAll(async () => {
  await client.endAsync();
  await gateway.stop();
  await rm(folder, { recursive: true });
});

async function publish(topic: string, message: object): Promise<void> {
  await client.publishAsync(topic, JSON.stringify(message), { qos: 1 });
}

async function valuesIn(topic: string): Promise<unknown[]> {
  const records = await readTopic(bootstrapServers, topic);
  return records.map(({ value }) => JSON.parse(String(value)) as unknown);
}

it('topics that messages name are created, values normalised, and what says nothing new is acknowledged and filtered', async () => {
  await publish('plants/oslo/d-1', { n: 1, t: 212 });
  await publish('plants/oslo/d-1', { n: 2, t: 212 });
  await publish('plants/oslo/d-1', { n: 5, t: 32 });
  expect(await valuesIn(`${run}-oslo`)).toMatchObject([
    {
      device_id: 'd-1',
      attributes: { model: 'TH-2' },
      metrics: { temperature: { value: 100, unit: 'Cel' } },
    },
    { device_id: 'd-1', sequence: 5, metrics: { temperature: { value: 0 } } },
  ]);
  const [record] = await readTopic(bootstrapServers, `${run}-oslo`);
  expect(record?.headers).toMatchObject({ 'mqtt.topic': 'plants/oslo/d-1', 'mqtt.client.id': 'plc-7' });
  expect(await gateway.metric('sluice_deliveries_filtered_total')).toBe(1);
  expect(await gateway.metric('sluice_deliveries_acknowledged_but_lost')).toBe(0);
  const devices: unknown = await (await fetch(`${gateway.adminUrl}/api/devices`)).json();
  expect(devices).toMatchObject({ types: [{ type: run, missing: 2, worstSequences: [{ device: 'd-1' }] }] });
});

it('a topic too many is a dead letter', async () => {
  await publish('plants/bergen/d-1', { n: 6, t: 100 });
  await publish('plants/tromso/d-1', { n: 7, t: 100 });
  expect(await valuesIn(`${run}-bergen`)).toHaveLength(1);
  const [letter] = await readTopic(bootstrapServers, `${run}.dlq`);
  expect(letter?.headers).toMatchObject({ 'error.code': 'TOO_MANY_TOPICS' });
});

it('a device is in quarantine until it is registered', async () => {
  await publish('plants/oslo/d-2', { n: 1, t: 50 });
  const [stranger] = await readTopic(bootstrapServers, `${run}-strangers`);
  expect(stranger).toMatchObject({ key: 'd-2', headers: { 'sluice.quarantine': 'unknown-device' } });
  await writeFile(join(folder, 'devices', 'devices.csv'), 'device,model\nd-1,TH-2\nd-2,TH-9\n');
  await until(() => gateway.output.includes('was read again'), { what: 'the list to be read again' });
  await publish('plants/oslo/d-2', { n: 2, t: 70 });
  expect((await valuesIn(`${run}-oslo`)).at(-1)).toMatchObject({
    device_id: 'd-2',
    attributes: { model: 'TH-9' },
  });
});
