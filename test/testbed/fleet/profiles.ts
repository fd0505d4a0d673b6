import { CONTRACTS } from '../../../src/core/contract.ts';
import type { DeviceProfile, SignalSpec } from '../../../src/core/profile/profile.ts';
import type { PayloadObject, SimulatedType } from '../../../src/testbed/fleet/device.ts';

export const signal = (spec: Partial<SignalSpec>): SignalSpec => ({
  base: 0,
  amplitude: 0,
  peakHour: 15,
  noise: 0,
  drift: 0,
  counter: false,
  integer: false,
  ...spec,
});

/** A JSON device type with a site level, a sequence and an event time. */
export function sensorProfile(overrides: Partial<DeviceProfile> = {}): DeviceProfile {
  return {
    file: 'devices/sensor.yaml',
    type: 'sensor',
    topic: 'fleet/{site}/{device}/telemetry',
    decode: { kind: 'json' },
    device: { template: '{device}' },
    time: { field: 'ts', unit: 'ms' },
    sequence: { field: 'seq' },
    attributes: new Map(),
    metrics: new Map([['temperature', { field: 'temp', unit: 'Cel' }]]),
    produce: { topic: 'telemetry', value: 'normalised' },
    ack: CONTRACTS.kafka,
    simulate: {
      levels: new Map([['site', ['north', 'south']]]),
      signals: new Map([['temp', signal({ base: 20, amplitude: 5, noise: 0.1 })]]),
      dropout: 0,
    },
    ...overrides,
  };
}

export function jsonType(profile: DeviceProfile = sensorProfile()): SimulatedType {
  return { profile, encode: (payload) => Buffer.from(JSON.stringify(payload)) };
}

export function payloadOf(bytes: Uint8Array): PayloadObject {
  return JSON.parse(Buffer.from(bytes).toString('utf8')) as PayloadObject;
}
