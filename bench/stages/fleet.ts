import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { drawBlueprint } from '../../src/assembly/blueprint.ts';
import type { Blueprint } from '../../src/assembly/blueprint.ts';
import { simulatedTypes } from '../../src/testbed/fleet/simulated-types.ts';
import { SimulatedDevice } from '../../src/testbed/fleet/device.ts';
import type { SimulatedType } from '../../src/testbed/fleet/device.ts';

const root = resolve(import.meta.dirname, '../..');
const DEVICES = 1_000;
const START_MS = Date.UTC(2026, 0, 1);

/** What the stages are fed with: messages of the benchmarks' field-sensor, the same in every run. */
export interface Message {
  readonly topic: string;
  readonly payload: Buffer;
}

/** One message of each of 1,000 devices. */
export function messages(): Message[] {
  return withBlueprint((blueprint) => {
    const [type] = simulatedTypes(blueprint.profiles) as [SimulatedType];
    return Array.from({ length: DEVICES }, (_, i) => {
      const device = new SimulatedDevice(type, i + 1, { seed: 1, prefix: '' });
      return { topic: device.topic, payload: Buffer.from(device.read(i + 1, START_MS + i * 1_000)) };
    });
  });
}

/** The gateway's plan with the field-sensor's profile alone. */
export function withBlueprint<T>(
  use: (blueprint: Blueprint) => T,
  value: 'normalised' | 'raw' = 'normalised',
): T {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-stages-'));
  try {
    mkdirSync(join(folder, 'devices'));
    cpSync(join(root, 'bench/proto'), join(folder, 'proto'), { recursive: true });
    const profile = readFileSync(join(root, 'bench/devices/field-sensor.yaml'), 'utf8');
    writeFileSync(
      join(folder, 'devices/field-sensor.yaml'),
      profile.replace('produce: {', `produce: { value: ${value},`),
    );
    const file = join(folder, 'sluice.yaml');
    writeFileSync(file, 'profiles: devices\n');
    const { blueprint, faults } = drawBlueprint(file, {});
    if (faults.length > 0) throw new Error(JSON.stringify(faults));
    return use(blueprint);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
