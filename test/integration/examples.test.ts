import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { readTopic } from '../support/producer.ts';
import { sharedKafka } from '../support/shared-kafka.ts';

const kafka = sharedKafka();
const root = resolve(import.meta.dirname, '../..');

/** Runs an example as its first lines say, and returns what it printed. */
async function run(example: string): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return promisify(execFile)(
    process.execPath,
    ['--conditions=sluice-source', join(root, 'examples', example)],
    { env: { ...process.env, KAFKA: kafka.bootstrapServers } },
  );
}

describe('the examples', () => {
  it('order-producer.ts prints where each order is, and it is there', async () => {
    await kafka.tools.createTopic('orders', { partitions: 4 });
    const { stdout, stderr } = await run('order-producer.ts');
    expect(stderr).toBe('');
    const printed = stdout
      .trim()
      .split('\n')
      .map((line) => /^order (\d+) of (\w+): partition (\d+), offset (\d+)$/.exec(line)!.slice(1).join(' '));
    const stored = (await readTopic(kafka.bootstrapServers, 'orders')).map(
      ({ key, value, partition, offset }) =>
        `${(JSON.parse(value!) as { id: number }).id} ${key} ${partition} ${offset}`,
    );
    expect(printed).toHaveLength(9);
    expect(printed.sort()).toEqual(stored.sort());
  });

  it('three-ways-to-send.ts delivers by all three', async () => {
    await kafka.tools.createTopic('page-views', { partitions: 2 });
    const { stdout, stderr } = await run('three-ways-to-send.ts');
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^awaited: partition \d, offset \d+\nawaited together: 3\ncalled back: 1000\n$/);
    expect(await readTopic(kafka.bootstrapServers, 'page-views')).toHaveLength(1_005);
  });

  it('idempotent-producer.ts is refused what would defeat it, and delivers once', async () => {
    await kafka.tools.createTopic('payments', { partitions: 4 });
    const { stdout, stderr } = await run('idempotent-producer.ts');
    expect(stderr).toBe('');
    expect(stdout).toContain("acks: all, because 'enable.idempotence' is true; found 1");
    expect(stdout).toContain('1000 payments are in Kafka once, 0 are not');
    const values = (await readTopic(kafka.bootstrapServers, 'payments')).map(({ value }) => value);
    expect(new Set(values).size).toBe(1_000);
    expect(values).toHaveLength(1_000);
    expect((await kafka.tools.batches('payments', 0))[0]!.producerId).toBeGreaterThanOrEqual(0);
  });
});

describe('a program that ends without close()', () => {
  it('is told on stderr how many records it lost, and why', async () => {
    const program = `
      import { Producer } from 'sluice/producer';
      const producer = new Producer({ 'bootstrap.servers': process.env.KAFKA, 'linger.ms': 60000 });
      for (let i = 0; i < 3; i++) producer.send({ topic: 'unclosed', value: Buffer.from('x') }, () => {});
      process.exit(0);
    `;
    const { stderr } = await promisify(execFile)(
      process.execPath,
      ['--conditions=sluice-source', '--input-type=module', '--eval', program],
      { cwd: root, env: { ...process.env, KAFKA: kafka.bootstrapServers } },
    );
    expect(stderr).toContain('PRODUCER_NOT_CLOSED');
    expect(stderr).toContain('close()');
    expect(stderr).toMatch(/\b3\b/);
  });
});
