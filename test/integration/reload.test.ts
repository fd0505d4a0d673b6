import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { readEnvelope } from '../../src/decode/envelope/envelope.ts';
import { judge, PERFECT } from '../support/delivery-verdict.ts';
import { startFleet } from '../support/fleets.ts';
import { TestGateway } from '../support/gateway.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { readTelemetry } from '../support/telemetry-topic.ts';
import { createTopicsOn } from '../support/topics.ts';
import { until } from '../support/until.ts';

const { bootstrapServers } = sharedKafka();
const PROJECT = join(import.meta.dirname, '../..');

let folder: string;
let gateway: TestGateway | undefined;
/** Topics of this test's own. */
let topic: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-reload-'));
  topic = `reload-${randomUUID().slice(0, 8)}`;
  await mkdir(join(folder, 'devices'));
  await mkdir(join(folder, 'proto/devices'), { recursive: true });
  await writeFile(
    join(folder, 'proto/devices/env_sensor.proto'),
    readFileSync(join(PROJECT, 'proto/devices/env_sensor.proto')),
  );
});

afterEach(async () => {
  await gateway?.stop();
  await rm(folder, { recursive: true });
});

/** The shipped environment sensor, with one attribute more. */
function sensor(attribute: string): string {
  return readFileSync(join(PROJECT, 'devices/env-sensor.yaml'), 'utf8')
    .replace('topic: telemetry', `topic: ${topic}`)
    .replace("site: '{site}'", `site: '{site}'\n  version: ${attribute}`);
}

const writeProfile = (name: string, text: string) => writeFile(join(folder, 'devices', name), text);

async function start(config: string): Promise<TestGateway> {
  await writeFile(join(folder, 'sluice.yaml'), config);
  gateway = await TestGateway.start({ bootstrapServers, folder });
  return gateway;
}

it('profiles that are reloaded under traffic, by SIGHUP and by changes of files, cost no message and no order', async () => {
  await writeProfile('sensor.yaml', sensor('v1'));
  const running = await start('kafka: { topics: { partitions: 2 } }\n');
  await running.untilReady();
  const { fleet, ledger } = startFleet(running, { devices: 20, rate: 1_000, qos: 1, count: 5_000 });
  const generation = (wanted: number) =>
    until(async () => (await running.metric('sluice_profiles_generation')) === wanted, {
      what: `generation ${wanted}`,
    });

  await until(() => fleet.snapshot().acknowledged > 300, { what: 'messages of the first set' });
  await writeProfile('sensor.yaml', sensor('v2'));
  running.signal('SIGHUP');
  await generation(2);
  await writeProfile('broken.yaml', 'type: broken\n');
  running.signal('SIGHUP');
  await until(() => running.output.includes('are refused'), { what: 'the refusal' });
  expect(running.output).toMatch(/broken\.yaml.*topic: found nothing/);
  expect((await running.readiness()).conditions.find(({ name }) => name === 'profiles')?.reason).toMatch(
    /^generation 2 .* refused .*broken\.yaml/,
  );
  // In between, nobody sends a signal: the files are looked at.
  await rm(join(folder, 'devices/broken.yaml'));
  await writeProfile('sensor.yaml', sensor('v3'));
  await writeProfile(
    'extra.yaml',
    `type: extra\ntopic: extra/{device}\ndecode: raw\ndevice: '{device}'\nproduce: { topic: ${topic}-extra, value: raw }\n`,
  );
  await generation(3);
  const late = await mqtt.connectAsync(running.mqttUrl);
  await late.publishAsync('extra/x-1', 'hello', { qos: 1 });
  await late.endAsync();

  const summary = await fleet.done();
  expect(summary).toMatchObject({ unacknowledged: 0, unsent: 0, lostConnections: 0 });
  const records = await readTelemetry(bootstrapServers, topic);
  expect(judge(ledger.accounts(), records)).toEqual(PERFECT);
  const versions = records.map(({ value }) => readEnvelope(value!).attributes.get('version'));
  expect([...new Set(versions)].sort()).toEqual(['v1', 'v2', 'v3']);
  expect(await running.metric('sluice_sequence_missing')).toBe(0);
  expect(await running.metric('sluice_deliveries_acknowledged_but_lost')).toBe(0);
});

it('a device that waits for a Kafka topic that is not there is served by the profile that names another', async () => {
  const topics = [topic, `${topic}.dlq`, `${topic}-none.dlq`];
  await createTopicsOn(
    bootstrapServers,
    topics.map((name) => ({ topic: name })),
  );
  const profile = (name: string) =>
    `type: raw\ntopic: raw/{device}\ndecode: raw\ndevice: '{device}'\nproduce: { topic: ${name}, value: raw }\n`;
  await writeProfile('raw.yaml', profile(`${topic}-none`));
  const running = await start('kafka: { topics: { create: false } }\n');
  const device = await mqtt.connectAsync(running.mqttUrl);
  let acknowledged = false;
  const published = device.publishAsync('raw/d-1', 'hello', { qos: 1 }).then(() => (acknowledged = true));
  await until(async () => !(await running.readiness()).ready, { what: 'readiness to name the topic' });
  await until(async () => (await running.metric('sluice_mqtt_parked_messages')) === 1, {
    what: 'the device to wait',
  });
  expect(acknowledged).toBe(false);

  await writeProfile('raw.yaml', profile(topic));
  running.signal('SIGHUP');
  await published;
  await running.untilReady();
  await device.endAsync();
});
