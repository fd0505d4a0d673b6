import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { writeSetting } from '../../bench/harness/setting.ts';
import { chosenWorkloads, PAYLOADS } from '../../bench/harness/workloads.ts';
import { drawBlueprint } from '../../src/assembly/blueprint.ts';
import { simulatedTypes } from '../../src/testbed/fleet/simulated-types.ts';
import { SimulatedDevice } from '../../src/testbed/fleet/device.ts';

const BYTES = { 'env-sensor': 32, 'field-sensor': 100, 'data-logger': 1_024 };

describe('writeSetting', () => {
  it.each(PAYLOADS)(
    'makes a gateway without faults, and devices whose messages have the size promised: %s',
    (payload) => {
      const [workload] = chosenWorkloads(['saturation'], { payload, routes: 3 });
      const setting = writeSetting({
        workload: workload!,
        bootstrapServers: '127.0.0.1:9092',
        topic: 'bench',
        value: 'normalised',
        contract: 'kafka',
      });
      try {
        const { blueprint, faults } = drawBlueprint(setting.file, {});
        expect(faults).toEqual([]);
        expect(blueprint.profiles).toHaveLength(3);

        const devices = simulatedTypes(blueprint.profiles).map(
          (type, i) => new SimulatedDevice(type, i + 1, { seed: 1, prefix: '' }),
        );
        const sizes = devices.flatMap((device) =>
          Array.from({ length: 50 }, (_, i) => device.read(i + 1, Date.UTC(2026, 0, 1) + i * 1_000).length),
        );
        const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
        expect(mean / BYTES[payload]).toBeGreaterThan(0.9);
        expect(mean / BYTES[payload]).toBeLessThan(1.1);
        for (const { topic } of devices) expect(blueprint.routes.match(topic)).toHaveLength(1);
      } finally {
        setting.remove();
      }
      expect(existsSync(setting.file)).toBe(false);
    },
  );
});
