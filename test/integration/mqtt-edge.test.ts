import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestGateway } from '../support/gateway.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { readTopic, type ConsumedRecord } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

const { bootstrapServers } = sharedKafka();
const WILLS = 'mqtt-edge-wills';
const PRESENCE = 'mqtt-edge-presence';

let folder: string;
let gateway: TestGateway;

async function start(): Promise<TestGateway> {
  const started = await TestGateway.start({ bootstrapServers, folder });
  await started.untilReady();
  return started;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-mqtt-edge-'));
  await writeFile(
    join(folder, 'sluice.yaml'),
    `kafka: { topics: { partitions: 2 } }\npresence: { topic: ${PRESENCE}, gateway: edge-7 }\n`,
  );
  await mkdir(join(folder, 'devices'));
  await writeFile(
    join(folder, 'devices/state.yaml'),
    `type: state\ntopic: state/{device}\ndecode: raw\ndevice: '{device}'\nproduce: { topic: ${WILLS} }\n`,
  );
  gateway = await start();
});

afterAll(async () => {
  await gateway.stop();
  await rm(folder, { recursive: true, force: true });
});

async function records(topic: string, count: number): Promise<ConsumedRecord[]> {
  let found: ConsumedRecord[] = [];
  await until(
    async () => {
      found = await readTopic(bootstrapServers, topic);
      return found.length >= count;
    },
    { timeoutMs: 30_000, what: `${count} records of ${topic}` },
  );
  return found;
}

it('a will reaches Kafka by the profile that matches its topic, keyed by its device', async () => {
  const device = await mqtt.connectAsync(gateway.mqttUrl, {
    clientId: 'pump-1',
    reconnectPeriod: 0,
    will: { topic: 'state/pump-1', payload: Buffer.from('gone'), qos: 1, retain: false },
  });
  device.stream.destroy();
  const [will] = await records(WILLS, 1);
  expect([will?.key, String(will?.value)]).toEqual(['pump-1', 'gone']);
});

it('presence is recorded with the reason of each end', async () => {
  const found = await records(PRESENCE, 2);
  const states = found
    .filter(({ key }) => key === 'pump-1')
    .map(({ value }) => JSON.parse(String(value)) as Record<string, unknown>);
  expect(states).toMatchObject([
    { device: 'pump-1', event: 'connected', gateway: 'edge-7', protocol_version: '3.1.1' },
    { device: 'pump-1', event: 'disconnected', reason: 'connection-lost', will_sent: true },
  ]);
  expect(found[0]?.headers).toMatchObject({
    'content-type': 'application/json',
    'presence.gateway': 'edge-7',
  });
});

it('a persistent session outlives kill -9 and a stop of the gateway: its subscription, its queue, what is retained', async () => {
  const options = { clientId: 'watcher', clean: false, reconnectPeriod: 0 };
  const watcher = await mqtt.connectAsync(gateway.mqttUrl, options);
  await watcher.subscribeAsync('local/#', { qos: 1 });
  await watcher.endAsync();
  const sender = await mqtt.connectAsync(gateway.mqttUrl, { ...options, clientId: 'sender' });
  await sender.publishAsync('local/a', '1', { qos: 1 });
  await sender.publishAsync('local/kept', '2', { qos: 1, retain: true });
  // Its SUBACK waits until all of that is on disk.
  await sender.subscribeAsync('nothing', { qos: 1 });
  await sender.endAsync();
  await until(async () => (await gateway.metric('sluice_mqtt_queued_messages')) === 2, { what: 'the queue' });
  await gateway.kill9();

  gateway = await start();
  expect(await gateway.metric('sluice_mqtt_absent_sessions')).toBe(2);
  expect(await gateway.stop()).toBe(0);

  gateway = await start();
  const got: string[] = [];
  const back = mqtt.connect(gateway.mqttUrl, options);
  const connack = new Promise((resolve) => back.once('connect', resolve));
  back.on('message', (topic, payload) => got.push(`${topic} ${String(payload)}`));
  expect(await connack).toMatchObject({ sessionPresent: true });
  await until(() => got.length === 2, { what: 'what was queued' });
  expect(got).toEqual(['local/a 1', 'local/kept 2']);
  const newcomer = await mqtt.connectAsync(gateway.mqttUrl, { reconnectPeriod: 0 });
  const retained: string[] = [];
  newcomer.on('message', (_topic, payload) => retained.push(String(payload)));
  await newcomer.subscribeAsync('local/+', { qos: 1 });
  await until(() => retained.length === 1, { what: 'the retained message' });
  await back.endAsync();
  await newcomer.endAsync();
});
