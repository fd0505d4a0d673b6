import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import mqtt from 'mqtt';
import { readTopic, startProducer } from '../support/producer.ts';
import { TestGateway } from '../support/gateway.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { sluice, SluiceCommand } from '../support/sluice-command.ts';

const kafka = sharedKafka();

/** A configuration with one profile, on topics of its own. */
async function newConfig(): Promise<{
  folder: string;
  file: string;
  topic: string;
  profile: (field: string) => Promise<void>;
}> {
  const topic = `dlq-${randomUUID()}`;
  const folder = await mkdtemp(join(tmpdir(), 'sluice-dlq-'));
  await mkdir(join(folder, 'devices'));
  const file = join(folder, 'sluice.yaml');
  await writeFile(
    file,
    `kafka: { bootstrap.servers: '${kafka.bootstrapServers}', topics: { partitions: 2 } }
unrouted: dead-letter
unrouted.topic: ${topic}.unrouted
dlq: { state.topic: ${topic}.state }
`,
  );
  const profile = (field: string) =>
    writeFile(
      join(folder, 'devices/thing.yaml'),
      `type: thing
topic: things/{device}
decode: json
device: '{device}'
metrics: { level: { field: ${field}, type: integer, required: reject } }
produce: { topic: ${topic}, format: json }
ack: kafka
`,
    );
  await profile('level');
  return { folder, file, topic, profile };
}

function summary(stdout: string): unknown {
  return (JSON.parse(stdout.trim().split('\n').at(-1)!) as { summary: unknown }).summary;
}

describe('dead letters of a gateway', () => {
  let config: Awaited<ReturnType<typeof newConfig>>;

  beforeAll(async () => {
    config = await newConfig();
    await config.profile('nivel');
    const gateway = await TestGateway.start({
      folder: config.folder,
      bootstrapServers: kafka.bootstrapServers,
    });
    await gateway.untilReady();
    const client = await mqtt.connectAsync(gateway.mqttUrl, { clientId: 'c1' });
    for (const level of [1, 2, 3]) await client.publishAsync('things/d1', `{"level":${level}}`, { qos: 1 });
    await client.publishAsync('things/d2', 'no json', { qos: 1 });
    await client.publishAsync('elsewhere', Buffer.from([0, 255]), { qos: 1, retain: true });
    await client.endAsync();
    await gateway.stop();
    await config.profile('level');
  });

  afterAll(() => rm(config.folder, { recursive: true, force: true }));

  const dlq = (command: string, ...args: string[]) =>
    sluice('dlq', command, '--config', config.file, ...args);
  const places = async (...args: string[]): Promise<string[]> => {
    const { stdout } = await dlq('list', '--json', ...args);
    return (JSON.parse(stdout) as { letters: { place: string }[] }).letters.map(({ place }) => place);
  };

  it('are listed in groups, shown with all that is known, replayed by the mended profile once, and dropped', async () => {
    const { topic } = config;
    const listed = await dlq('list', '--exit-code');
    expect(listed).toMatchObject({ status: 2, stderr: '' });
    expect(listed.stdout).toMatch(new RegExp(`${topic}\\.dlq +thing +METRIC_MISSING +3 +0 +0 `));
    expect(listed.stdout).toMatch(new RegExp(`${topic}\\.dlq +thing +DECODE_FAILED +1 +0 +0 `));
    expect(listed.stdout).toMatch(new RegExp(`${topic}\\.unrouted +- +UNROUTED +1 +0 +0 `));

    const [unrouted = ''] = await places('--unrouted');
    expect(unrouted).toMatch(new RegExp(`^${topic}\\.unrouted/\\d/0$`));
    const { stdout: shown } = await dlq('show', unrouted);
    expect(shown).toMatch(/MQTT topic +elsewhere/);
    expect(shown).toMatch(/client id +c1/);
    expect(shown).toMatch(/QoS +1, retained/);
    expect(shown).toContain('00000000  00 ff ');

    const dry = await dlq('replay', '--dry-run');
    expect(dry.status).toBe(2);
    expect(dry.stdout).toContain('3 would be replayed, 0 filtered by their profiles, 2 failed and stay');
    expect(await places()).toHaveLength(5);

    const replayed = await dlq('replay');
    expect(replayed.stdout).toMatch(/failed +DECODE_FAILED: not JSON/);
    expect(replayed.stdout).toContain('3 replayed, 0 filtered by their profiles, 2 failed and stay');
    expect(replayed.status).toBe(2);
    const again = await dlq('replay', '--json', '--code', 'METRIC_MISSING');
    expect(again.status).toBe(0);
    expect(summary(again.stdout)).toMatchObject({ replayed: 0, failed: 0 });

    const records = await readTopic(kafka.bootstrapServers, topic);
    expect(records.map(({ key, value }) => [key, value?.match(/"level".*?(\d)/)?.[1]])).toEqual([
      ['d1', '1'],
      ['d1', '2'],
      ['d1', '3'],
    ]);
    const { stdout: tried } = await dlq('show', '--json', '--code', 'DECODE_FAILED');
    expect(JSON.parse(tried)).toMatchObject({ state: 'open', attempt: 1, failedReplays: 1, clientId: 'c1' });

    expect((await dlq('drop', '--reason', 'x')).status).toBe(1);
    const dropped = await dlq('drop', '--code', 'DECODE_FAILED', '--reason', 'a test', '--delete', '--json');
    expect(summary(dropped.stdout)).toMatchObject({ dropped: 1, deleted: 4 });
    expect(await places('--all')).toEqual([unrouted]);
    expect((await dlq('show', `${topic}.dlq/0/99`)).status).toBe(2);
    // Ten commands, each a process of its own.
  }, 120_000);
});

describe('a replay that is killed', () => {
  it('leaves nothing twice and nothing out when the next one has ended', async () => {
    const { folder, file, topic } = await newConfig();
    const count = 3_000;
    const producer = startProducer(kafka.bootstrapServers);
    await kafka.tools.createTopic(`${topic}.dlq`, { partitions: 1 });
    const header = (key: string, text: string) => ({ key, value: Buffer.from(text) });
    await Promise.all(
      Array.from({ length: count }, (_, n) =>
        producer.send({
          topic: `${topic}.dlq`,
          key: Buffer.from('things/d1'),
          value: Buffer.from(`{"level":${n}}`),
          headers: [
            header('error.code', 'FIELD_MISSING'),
            header('mqtt.topic', `things/d${n % 7}`),
            header('device.type', 'thing'),
          ],
        }),
      ),
    );
    await producer.close();

    // The first line comes when the first of several chunks is written: the next is on its way by then.
    const killed = new SluiceCommand(['dlq', 'replay', '--config', file, '--json'], (command) => {
      command.signal('SIGKILL');
    });
    expect(await killed.result).toMatchObject({ status: null, stderr: '' });
    const before = (await readTopic(kafka.bootstrapServers, topic)).length;
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(count);

    const { status, stdout, stderr } = await sluice('dlq', 'replay', '--config', file, '--json');
    expect(stderr).toBe('');
    expect(status).toBe(0);
    const { replayed, recovered } = summary(stdout) as { replayed: number; recovered: number };
    expect(replayed + recovered).toBeLessThanOrEqual(count);
    const records = await readTopic(kafka.bootstrapServers, topic);
    const levels = records.map(({ value }) => Number(value?.match(/"level".*?(\d+)/)?.[1]));
    expect(levels.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, n) => n));
    await rm(folder, { recursive: true, force: true });
  });

  it('is not disturbed by a second one, which is refused', async () => {
    const { folder, file, topic } = await newConfig();
    await kafka.tools.createTopic(`${topic}.dlq`, { partitions: 1 });
    const producer = startProducer(kafka.bootstrapServers);
    await producer.send({ topic: `${topic}.dlq`, key: null, value: Buffer.from('x') });
    await producer.close();
    const args = ['dlq', 'drop', '--all', '--reason', 'x', '--config', file];
    const results = await Promise.all([sluice(...args), sluice(...args)]);
    for (const { status, stderr } of results.filter((result) => result.status !== 0)) {
      expect(status).toBe(1);
      expect(stderr).toContain('another process does the same work');
    }
    await rm(folder, { recursive: true, force: true });
  });
});
