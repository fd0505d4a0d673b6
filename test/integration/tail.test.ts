import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { PROTOBUF_CONTENT_TYPE } from '../../src/decode/envelope/envelope-protobuf.ts';
import { loadMessageType } from '../../src/decode/protobuf/message-type.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { createTopicsOn } from '../support/topics.ts';
import { until } from '../support/until.ts';
import { produce } from '../support/plain-producer.ts';

const root = resolve(import.meta.dirname, '../..');
const kafka = sharedKafka();
const envelope = loadMessageType(join(root, 'proto/sluice/v1/telemetry.proto'), 'sluice.v1.Telemetry');

interface TailOptions {
  readonly bootstrapServers?: string;
  readonly args?: readonly string[];
}

/** `sluice tail` as a process of its own. */
class Tail {
  readonly #child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly exit: Promise<number | null>;

  constructor({ bootstrapServers = kafka.bootstrapServers, args = [] }: TailOptions) {
    this.#child = spawn(
      process.execPath,
      [join(root, 'src/cli/main.ts'), 'tail', '--bootstrap-servers', bootstrapServers, ...args],
      { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.exit = new Promise((done) => this.#child.once('close', done));
    tails.push(this);
  }

  get lines(): string[] {
    return this.stdout.split('\n').slice(0, -1);
  }

  get json(): Record<string, unknown>[] {
    return this.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }
}

const tails: Tail[] = [];

afterEach(async () => {
  for (const tail of tails) tail.signal('SIGKILL');
  await Promise.all(tails.splice(0).map((tail) => tail.exit));
});

async function newTopic(partitions = 1): Promise<string> {
  const topic = `tail-${randomUUID()}`;
  await createTopic(topic, partitions);
  return topic;
}

async function createTopic(topic: string, numPartitions: number): Promise<void> {
  await createTopicsOn(kafka.bootstrapServers, [{ topic, numPartitions }]);
}

function telemetry(
  device: string,
  sequence: number,
): { key: string; value: Buffer; headers: Record<string, string> } {
  const value = envelope.encode({
    device_id: device,
    device_type: 'env-sensor',
    attributes: { site: 'oslo' },
    received_at_ms: Date.now(),
    sequence,
    metrics: [{ name: 'temperature', unit: 'Cel', double_value: 20 + sequence }],
  });
  return { key: device, value: Buffer.from(value), headers: { 'content-type': PROTOBUF_CONTENT_TYPE } };
}

describe('sluice tail', () => {
  it('reads a topic from its beginning, ends after --count records, exits 0', async () => {
    const topic = await newTopic(4);
    await produce(
      kafka.bootstrapServers,
      topic,
      [1, 2, 3].map((n) => telemetry('dev-1', n)),
    );
    const tail = new Tail({ args: ['--topic', topic, '--from-beginning', '--count', '2'] });
    expect(await tail.exit).toBe(0);
    expect(tail.lines).toHaveLength(2);
    expect(tail.lines[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} {2}dev-1 {2}env-sensor {2}#1 {2}temperature 21 °C {2}site=oslo$/,
    );
    expect(tail.stderr).toBe('');
  });

  it('shows one JSON object a line with where the record lies', async () => {
    const topic = await newTopic();
    await produce(kafka.bootstrapServers, topic, [
      telemetry('dev-1', 1),
      { key: 'dev-2', value: Buffer.from('{"free":"form"}') },
    ]);
    const tail = new Tail({ args: ['--topic', topic, '--from-beginning', '--count', '2', '--json'] });
    expect(await tail.exit).toBe(0);
    expect(tail.json).toMatchObject([
      { topic, partition: 0, offset: 0, key: 'dev-1', telemetry: { deviceId: 'dev-1', sequence: 1 } },
      { topic, partition: 0, offset: 1, key: 'dev-2', value: { free: 'form' } },
    ]);
  });

  it('shows only one device when it is asked to, and counts only that', async () => {
    const topic = await newTopic();
    const records = Array.from({ length: 20 }, (_, n) => telemetry(n % 5 === 0 ? 'rare' : 'frequent', n));
    await produce(kafka.bootstrapServers, topic, records);
    const tail = new Tail({
      args: ['--topic', topic, '--from-beginning', '--device', 'rare', '--count', '4', '--json'],
    });
    expect(await tail.exit).toBe(0);
    expect(tail.json.map(({ offset }) => offset)).toEqual([0, 5, 10, 15]);
  });

  it('shows what arrives from now on until Ctrl-C, which ends it at once with 0', async () => {
    const topic = await newTopic();
    await produce(kafka.bootstrapServers, topic, [telemetry('dev-1', 1)]);
    const tail = new Tail({ args: ['--topic', topic, '--json'] });
    let sequence = 1;
    // Where "now" is, only a record that is shown can tell.
    await until(async () => {
      await produce(kafka.bootstrapServers, topic, [telemetry('dev-1', ++sequence)]);
      return tail.lines.length >= 3;
    });
    const shown = tail.json.map(({ offset }) => offset as number);
    expect(shown[0]).toBeGreaterThan(0);
    expect(shown).toEqual(shown.map((_, i) => shown[0]! + i));
    const pressedAtMs = performance.now();
    tail.signal('SIGINT');
    expect(await tail.exit).toBe(0);
    expect(performance.now() - pressedAtMs).toBeLessThan(4000);
    expect(tail.stderr).toBe('');
  });

  it('waits for a topic that does not exist yet, and says so', async () => {
    const topic = `tail-${randomUUID()}`;
    const tail = new Tail({ args: ['--topic', topic, '--from-beginning', '--count', '1', '--json'] });
    await until(() => tail.stderr !== '', { what: 'the note' });
    expect(tail.stderr).toBe(
      `waiting for ${topic}: no such topic yet (sluice run creates those of its profiles)\n`,
    );
    await createTopic(topic, 1);
    await produce(kafka.bootstrapServers, topic, [telemetry('dev-1', 1)]);
    expect(await tail.exit).toBe(0);
    expect(tail.json).toMatchObject([{ topic, offset: 0 }]);
  });

  it('can be ended while it waits for a topic', async () => {
    const tail = new Tail({ args: ['--topic', `tail-${randomUUID()}`] });
    await until(() => tail.stderr !== '', { what: 'the note' });
    tail.signal('SIGTERM');
    expect(await tail.exit).toBe(0);
  });

  it('names the brokers that do not answer and what to do, and exits 1', async () => {
    const tail = new Tail({ bootstrapServers: '127.0.0.1:1' });
    expect(await tail.exit).toBe(1);
    expect(tail.stderr).toMatch(
      /^sluice: no Kafka answers at 127\.0\.0\.1:1 \(.*\); start one with `npm start`/m,
    );
  });
});
