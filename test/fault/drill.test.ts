import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startKafka, type TestKafka } from '../support/kafka.ts';
import { sluice } from '../support/sluice-command.ts';

const root = resolve(import.meta.dirname, '../..');

/** Minutes: with `npm run test:faults`. What of drills runs with everything else is in test/integration/. */
const isLong = process.env.FAULT_RECORDS !== undefined;

describe.runIf(isLong)('sluice drill, every scenario, on three brokers', () => {
  let kafka: TestKafka;
  let folder: string;

  beforeAll(async () => {
    kafka = await startKafka({ nodes: 3 });
    folder = await mkdtemp(join(tmpdir(), 'sluice-drills-'));
    await writeFile(
      join(folder, 'sluice.yaml'),
      `kafka: { bootstrap.servers: '${kafka.bootstrapServers}' }\nprofiles: ${join(root, 'devices')}\n`,
    );
  });

  afterAll(async () => {
    await kafka.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it.each([
    ['kafka-down', 'kafka'],
    ['kafka-down', 'journal'],
    ['kafka-slow', 'kafka'],
    ['crash', 'kafka'],
    ['crash', 'journal'],
    ['disk-full', 'journal'],
    ['reconnect-storm', 'kafka'],
  ])('%s with the contract %s: lost 0, order faults 0, copies explained', async (scenario, contract) => {
    const args = ['--scenario', scenario, '--contract', contract, '--seconds', '15'];
    const config = ['--config', join(folder, 'sluice.yaml')];
    const { status, stdout, stderr } = await sluice('drill', ...args, ...config);
    expect(status, stdout + stderr).toBe(0);
    expect(stdout).toMatch(/Lost +0\n +Order faults +0\n/);
  });
});
