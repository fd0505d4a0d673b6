import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { Explainer } from '../../src/features/explain/explain.ts';
import { readCapture } from '../../src/features/capture/capture-file.ts';
import { partitionCounts, partitionOf } from '../../src/features/explain/partition-counts.ts';
import { PLAINTEXT } from '../../src/kafka/security/security.ts';
import { TestGateway } from '../support/gateway.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { readTopic } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

const root = resolve(import.meta.dirname, '../..');
const { bootstrapServers } = sharedKafka();
const TOPICS = ['explained', 'explained.dlq', 'explained-raw', 'explained-raw.dlq'];

/** Rules of all kinds, on two routes for each message. */
const PROFILES = {
  'sensor.yaml': `
type: sensor
topic: it/{site}/{device}
decode: json
device: '{device}'
time: { field: t, unit: ms, outside: correct }
sequence: { field: n }
attributes: { site: '{site}' }
metrics:
  a: { field: a, from: mV, unit: V, range: { max: 5, else: reject }, deadband: 0.5 }
  b: { field: b, required: mark }
produce: { topic: explained, key: '{site}-{device}', headers: [topic, qos, retain, client.id, received.at] }
`,
  'all.yaml': `
type: all
topic: it/#
decode: { format: json }
device: id
produce: { topic: explained-raw, value: raw }
`,
};

let folder: string;
let gateway: TestGateway;
const clients: MqttClient[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-explain-'));
  for (const [name, text] of Object.entries(PROFILES)) await writeFile(join(folder, name), text);
  gateway = await TestGateway.start({
    bootstrapServers,
    config: `kafka: { topics: { partitions: 3 } }\nprofiles: ${folder}\n`,
  });
  await gateway.untilReady();
});

afterAll(async () => {
  await Promise.all(clients.map((client) => client.endAsync()));
  await gateway.stop();
  await rm(folder, { recursive: true });
});

/** A record without its place in the topic. */
interface Comparable {
  readonly topic: string;
  readonly partition: number;
  readonly key: string | null;
  readonly value: string | undefined;
  readonly timestampMs: number;
  readonly headers: Readonly<Record<string, string>>;
}

const inOrder = (records: readonly Comparable[]): string[] =>
  records.map((record) => JSON.stringify(record)).sort();

it('what explain says of captured messages is, byte by byte, what the gateway has put into Kafka', async () => {
  const file = join(folder, 'capture.jsonl.gz');
  const messages = 60;
  const capture = spawn(
    process.execPath,
    [
      join(root, 'src/cli/main.ts'),
      'capture',
      '--out',
      file,
      '--topic',
      'it/#',
      '--url',
      gateway.adminUrl,
    ].concat(['--count', String(messages)]),
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  capture.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  capture.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<number | null>((done) => capture.once('close', done));
  try {
    // The file is made when the gateway has begun to write down.
    await until(() => readable(file), { what: 'the capture to begin', timeoutMs: 30_000 });
    const now = Date.now();
    for (const device of ['d-1', 'd-2', 'd-3']) {
      clients.push(await mqtt.connectAsync(gateway.mqttUrl, { clientId: `client-${device}` }));
    }
    for (let n = 0; n < messages; n++) {
      const index = n % 3;
      const payload = {
        id: `x-${index}`,
        // A clock that is 20 days behind, a range that is left now and then, a gap in the count.
        t: now - (index === 2 ? 20 * 86_400_000 : 0) + n,
        n: n < 30 ? n : n + 3,
        a: n % 10 === 9 ? 9_000 : 200 * (n % 7),
        ...(n % 4 === 0 && { b: n }),
      };
      const text = n % 13 === 12 ? '{"id":' : JSON.stringify(payload);
      const qos = (n % 3) as 0 | 1 | 2;
      await clients[index]!.publishAsync(`it/oslo/d-${index + 1}`, text, { qos, retain: n === 7 });
    }
    expect(await ended).toBe(0);
  } finally {
    capture.kill('SIGKILL');
  }
  expect(output).toContain(`${messages} messages of it/#`);

  const explainer = new Explainer(join(gateway.folder, 'sluice.yaml'), {});
  const servers = bootstrapServers.split(',');
  const found = await partitionCounts({ bootstrapServers: servers, security: PLAINTEXT, topics: TOPICS });
  expect(found?.get('explained')).toBe(3);
  const explained: Comparable[] = [];
  for await (const entry of readCapture(file)) {
    if (entry.kind !== 'message') continue;
    for (const { record } of explainer.message(entry.message).routes.flatMap(({ fates }) => fates)) {
      if (record === undefined) continue;
      const { topic, key, value, timestampMs, headers } = record;
      const { partition = -1 } = partitionOf(topic, key, { found, configured: 99, ignoreKeys: false });
      explained.push({
        topic,
        partition,
        key: key?.toString() ?? null,
        value: value?.toString('hex'),
        timestampMs,
        headers: Object.fromEntries(headers),
      });
    }
  }
  const produced = async (): Promise<Comparable[]> => {
    const all = await Promise.all(TOPICS.map((topic) => readTopic(bootstrapServers, topic)));
    return all.flat().map(({ topic, partition, key, value, timestampMs, headers }) => {
      return { topic, partition, key, value: value?.toString('hex'), timestampMs, headers };
    });
  };
  await until(async () => (await gateway.metric('sluice_deliveries_open')) === 0, { what: 'all records' });
  expect(inOrder(await produced())).toEqual(inOrder(explained));
  // All kinds were among them.
  expect(new Set(explained.map(({ topic }) => topic)).size).toBe(TOPICS.length);
  expect(explained.some(({ headers }) => headers['sluice.timestamp'] === 'corrected')).toBe(true);
  expect(explained.filter(({ topic }) => topic === 'explained').length).toBeLessThan(messages - 10);
});

function readable(file: string): boolean {
  try {
    return readFileSync(file).length >= 0;
  } catch {
    return false;
  }
}
