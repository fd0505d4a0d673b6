import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { loadPayloadType } from '../../src/decode/sparkplug/message.ts';
import { startFleet } from '../support/fleets.ts';
import { TestGateway } from '../support/gateway.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { readTelemetry } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

const TOPIC = 'fan-out-telemetry';
const DEVICES = join(import.meta.dirname, '../../devices');
const { bootstrapServers } = sharedKafka();

let profiles: string;
let gateway: TestGateway;
let device: MqttClient;

beforeAll(async () => {
  profiles = await mkdtemp(join(tmpdir(), 'sluice-profiles-'));
  for (const name of ['modbus-gateway.yaml', 'sparkplug-plant.yaml']) {
    const text = readFileSync(join(DEVICES, name), 'utf8').replace('topic: telemetry', `topic: ${TOPIC}`);
    await writeFile(join(profiles, name), text);
  }
  gateway = await TestGateway.start({
    bootstrapServers,
    config: `kafka: { topics: { partitions: 2 } }\nprofiles: ${profiles}\n`,
  });
  await gateway.untilReady();
  device = await mqtt.connectAsync(gateway.mqttUrl, { clientId: 'fan-out' });
});

afterAll(async () => {
  await device.endAsync();
  await gateway.stop();
  await rm(profiles, { recursive: true });
});

it('a CSV message of three lines is three records of its machines, and one PUBACK', async () => {
  await device.publishAsync(
    'modbus/gw-1/registers',
    readFileSync(join(DEVICES, 'samples/modbus-register.csv')),
    { qos: 1 },
  );
  const records = await readTelemetry(bootstrapServers, TOPIC);
  expect(records.map(({ deviceId }) => deviceId).sort()).toEqual(['pump-3', 'pump-4', 'pump-4']);
});

it('an edge node whose birth was not seen is asked for it, on its own connection', async () => {
  const commands: { topic: string; payload: Buffer }[] = [];
  device.on('message', (topic, payload) => commands.push({ topic, payload }));
  await device.subscribeAsync('spBv1.0/plant/NCMD/line-1');
  const type = loadPayloadType();
  const data = type.encode({ timestamp: 1n, seq: 3n, metrics: [{ alias: 1n, int_value: 1 }] });
  await device.publishAsync('spBv1.0/plant/NDATA/line-1', Buffer.from(data), { qos: 1 });
  await until(() => commands.length > 0, { timeoutMs: 10_000, what: 'the request for a birth' });
  expect(type.decode(commands[0]!.payload)).toMatchObject({
    metrics: [{ name: 'Node Control/Rebirth', boolean_value: true }],
  });
});

it('simulated machines and edge nodes, births and wills included, are understood to the last message', async () => {
  const before = await gateway.metric('sluice_deliveries_dead_lettered_total');
  const { fleet } = startFleet(gateway, { devices: 6, rate: 400, qos: 1, count: 600 }, [
    'modbus-register',
    'sparkplug',
  ]);
  const summary = await fleet.done();
  expect(summary).toMatchObject({ sent: 600, unacknowledged: 0 });
  expect(await gateway.metric('sluice_deliveries_dead_lettered_total')).toBe(before);
  // Of three edge nodes.
  expect(await gateway.metric('sluice_sparkplug_births_total')).toBe(3);
  expect(await gateway.metric('sluice_sparkplug_sequence_gaps_total')).toBe(0);
});
