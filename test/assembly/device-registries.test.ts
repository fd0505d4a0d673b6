import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { silentLogger, type Logger } from '../../src/core/logger.ts';
import type { RegistrySpec } from '../../src/core/profile/normaliser-spec.ts';
import { DeviceRegistries } from '../../src/assembly/device-registries.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-registry-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

function spec(file: string): RegistrySpec {
  return { file, key: 'device', attributes: new Map(), unknown: 'accept', quarantineTopic: 'q' };
}

test('a list is read again when it changes; a faulty one changes nothing, and is told', async () => {
  const file = join(folder, 'devices.csv');
  await writeFile(file, 'device,site\nd-1,Oslo\n');
  const scheduled: (() => void)[] = [];
  const clock: Clock = {
    wallMs: () => 0,
    monotonicMs: () => 0,
    schedule(callback) {
      scheduled.push(callback);
      return () => scheduled.splice(0);
    },
  };
  const warnings: object[] = [];
  const logger: Logger = { ...silentLogger, warn: (fields) => warnings.push(fields) };
  const registries = new DeviceRegistries();
  const { devices, problem } = registries.open(spec(file));
  expect(problem).toBeUndefined();
  expect(registries.open(spec(file)).devices).toBe(devices);
  registries.watch(clock, logger);
  const site = () => devices.find('d-1')?.get('site');
  const look = () => {
    scheduled.shift()?.();
  };

  look();
  expect([site(), devices.version]).toEqual(['Oslo', 1]);
  await writeFile(file, 'device,site\nd-1,Bergen\n');
  look();
  expect([site(), devices.version]).toEqual(['Bergen', 2]);
  await writeFile(file, 'device,site\nd-1\n');
  look();
  look();
  expect([site(), devices.version]).toEqual(['Bergen', 2]);
  expect(warnings).toHaveLength(1);
  registries.stop();
  expect(scheduled).toEqual([]);
});

test('a list that can not be read is a fault of its profile', () => {
  const { problem } = new DeviceRegistries().open(spec(join(folder, 'none.csv')));
  expect(problem?.found).toContain('no file');
});
