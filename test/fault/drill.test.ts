import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startKafka, type TestKafka } from '../support/kafka.ts';
import { sluice } from '../support/sluice-command.ts';

const root = resolve(import.meta.dirname, '../..');

/** All scenarios take minutes: with `npm run test:faults`. Everything else that runs has one, and a short one. */
const isLong = process.env.FAULT_RECORDS !== undefined;
const SECONDS = isLong ? 15 : 3;
const SCENARIOS = [
  ['crash', 'journal'],
  ['crash', 'kafka'],
  ['kafka-down', 'kafka'],
  ['kafka-down', 'journal'],
  ['kafka-slow', 'kafka'],
  ['disk-full', 'journal'],
  ['reconnect-storm', 'kafka'],
] as const;

describe('sluice drill on three brokers', () => {
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

  it.each(SCENARIOS.slice(0, isLong ? undefined : 1))(
    'rehearses %s with the contract %s, and finds nothing lost, nothing out of order and every copy explained',
    async (scenario, contract) => {
      const args = ['--scenario', scenario, '--contract', contract, '--seconds', String(SECONDS)];
      const config = ['--config', join(folder, 'sluice.yaml')];
      const { status, stdout, stderr } = await sluice('drill', ...args, ...config);
      expect(status, stdout + stderr).toBe(0);
      expect(stdout).toMatch(/Lost +0\n +Order faults +0\n/);
    },
  );
});
