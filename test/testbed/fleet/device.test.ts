import { describe, expect, it } from 'vitest';
import { FleetError, SimulatedDevice } from '../../../src/testbed/fleet/device.ts';
import { jsonType, payloadOf, sensorProfile, signal } from './profiles.ts';

const NOW = Date.UTC(2026, 5, 1, 12);
const options = { seed: 1, prefix: '' };

describe('a simulated device', () => {
  it('has a name of its type and number, and a topic that fits its profile', () => {
    const device = new SimulatedDevice(jsonType(), 7, options);
    expect(device.id).toBe('sensor-0007');
    expect(device.topic).toMatch(/^fleet\/(north|south)\/sensor-0007\/telemetry$/);
  });

  it('sends the same readings again for the same seed, and others for another', () => {
    const readings = (seed: number): string[] => {
      const device = new SimulatedDevice(jsonType(), 1, { seed, prefix: '' });
      return [1, 2, 3].map((n) => Buffer.from(device.read(n, NOW + n * 1000)).toString());
    };
    expect(readings(1)).toEqual(readings(1));
    expect(readings(1)).not.toEqual(readings(2));
  });

  it('differs from its neighbour', () => {
    const [a, b] = [1, 2].map((n) => new SimulatedDevice(jsonType(), n, options).read(1, NOW));
    expect(payloadOf(a!).temp).not.toBe(payloadOf(b!).temp);
  });

  it('fills time, sequence and nested fields as the profile maps them', () => {
    const profile = sensorProfile({
      time: { field: 'meta.at', unit: 's' },
      sequence: { field: 'meta.n' },
      simulate: {
        levels: new Map(),
        signals: new Map([
          ['air.temp', signal({ base: 20 })],
          ['air.ok', signal({ choices: [true] })],
        ]),
        dropout: 0,
      },
    });
    const payload = payloadOf(new SimulatedDevice(jsonType(profile), 1, options).read(5, NOW + 999));
    expect(payload).toEqual({
      air: { temp: expect.any(Number) as number, ok: true },
      meta: { at: NOW / 1000, n: 5 },
    });
  });

  it('puts its id into the payload when the profile reads it from there', () => {
    const profile = sensorProfile({ topic: 'up/+/#', device: { field: 'id' } });
    const device = new SimulatedDevice(jsonType(profile), 1, { seed: 1, prefix: 'demo-' });
    expect(device.id).toBe('demo-sensor-0001');
    expect(device.topic).toBe('up/demo-sensor-0001/demo-sensor-0001');
    expect(payloadOf(device.read(1, NOW)).id).toBe('demo-sensor-0001');
  });

  it('composes its id as the profile does', () => {
    const profile = sensorProfile({ device: { template: '{site}:{device}' } });
    const device = new SimulatedDevice(jsonType(profile), 1, options);
    expect(device.id).toMatch(/^(north|south):sensor-0001$/);
    expect(device.topic).toContain(device.id.split(':')[0]!);
  });

  it('stays silent for its share of turns, in bursts', () => {
    const simulate = { ...sensorProfile().simulate!, dropout: 0.2 };
    const device = new SimulatedDevice(jsonType(sensorProfile({ simulate })), 1, options);
    const turns = Array.from({ length: 20_000 }, () => device.skipsTurn());
    const silent = turns.filter(Boolean).length;
    const bursts = turns.filter((skipped, i) => skipped && turns[i - 1] !== true).length;
    expect(silent / turns.length).toBeGreaterThan(0.15);
    expect(silent / turns.length).toBeLessThan(0.25);
    expect(silent / bursts).toBeGreaterThan(4);
  });

  it.each([
    ['no simulate: section', { simulate: undefined }, /sensor.yaml.*no simulate: section/],
    ['a level without values', { levels: new Map([['site', []]]) }, /levels\.site has no values/],
    ['a device that would never speak', { dropout: 1 }, /dropout is 1; expected a share from 0 to below 1/],
  ])('refuses a profile with %s, naming the file', (_, fault, message) => {
    const { simulate, ...rest } = sensorProfile();
    const profile = 'simulate' in fault ? rest : { ...rest, simulate: { ...simulate!, ...fault } };
    expect(() => new SimulatedDevice(jsonType(profile), 1, options)).toThrow(message);
    expect(() => new SimulatedDevice(jsonType(profile), 1, options)).toThrow(FleetError);
  });
});
