import { globSync, readFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { DeviceProfile } from '../../src/core/profile/profile.ts';
import type { Publication } from '../../src/core/publication.ts';
import { NO_HEADERS, type SerializedRecord } from '../../src/core/record.ts';
import type { Route } from '../../src/core/route.ts';
import { readEnvelope, type Telemetry } from '../../src/decode/envelope/envelope.ts';
import { compileProfile } from '../../src/decode/profile/compile-profile.ts';
import { RouteTable } from '../../src/route/route-table.ts';

const NOW = 1_767_225_600_500;
const root = join(import.meta.dirname, '../..');
const { profiles, faults } = loadConfig(join(root, 'sluice.yaml'), {});
const files = globSync('devices/samples/*', { cwd: root });

/** What each shipped device type makes of its sample: the topic, and the device and its metrics in each record. */
const expected: Record<
  string,
  { topic: string; records: [device: string, metrics: Record<string, unknown>][] }
> = {
  'env-sensor': {
    topic: 'fleet/oslo/dev-1/telemetry',
    records: [['dev-1', { temperature: 21.5, humidity: 40.5, pressure: 1013.25, battery: 3.5 }]],
  },
  'energy-meter': {
    topic: 'meters/north/m-7/reading',
    records: [['m-7', { energy_imported: 2n ** 53n + 1n, voltage: 230.5, tamper: false }]],
  },
  tracker: {
    topic: 'trackers/any/position',
    records: [['trk-0042', { latitude: 52.5163, satellites: 9, ignition: true, state: 'moving' }]],
  },
  'soil-probe': {
    topic: 'probes/east/p-1',
    records: [['p-1', { soil_temperature: 23.5, soil_moisture: 31, battery: 3.012 }]],
  },
  'modbus-register': {
    topic: 'modbus/gw-1/registers',
    records: [
      ['pump-3', { register: 40001, value: 2.5, quality: 'ok' }],
      ['pump-4', { register: 40001, value: 2.25, quality: 'ok' }],
      ['pump-4', { register: 40002, quality: 'timeout' }],
    ],
  },
  'lorawan-uplink': {
    topic: 'application/17c82e96/device/0101010101010101/event/up',
    records: [['0101010101010101', { temperature: 21.5, humidity: 48, rssi: -36, snr: 10.5, data_rate: 5 }]],
  },
  'smart-plug': {
    topic: 'tele/kitchen/SENSOR',
    records: [['kitchen', { power: 61, voltage: 230, current: 0.278, energy: 3.185 }]],
  },
  sparkplug: {
    topic: 'spBv1.0/plant/NBIRTH/line-1',
    records: [['line-1', { online: true, message: 'NBIRTH', temperature: -4, pressure: 3.5, running: true }]],
  },
};

function routeOf(profile: DeviceProfile, topic: string): Route {
  const result = compileProfile(profile);
  if ('faults' in result) throw new Error(JSON.stringify(result.faults));
  const routes = new RouteTable<typeof result.compiled>();
  expect(routes.add(profile.topic, result.compiled)).toBeUndefined();
  const match = routes.match(topic)[0]!;
  return match.target.bind(match.captures, topic);
}

/** Every record of a payload, or its fault's code. */
function convert(route: Route, payload: Buffer): (Telemetry | string)[] {
  const record: SerializedRecord = { topic: '', key: null, value: null, timestampMs: 0, headers: NO_HEADERS };
  const publication: Publication = {
    topic: { name: 'unused', id: 0 },
    payload,
    qos: 1,
    retain: false,
    dup: false,
    packetId: 1,
    clientId: 'c',
    receivedAtMs: NOW,
  };
  const one = (): Telemetry | string => {
    const fault = route.toRecord(publication, record);
    route.taken();
    return fault === undefined ? readEnvelope(record.value!) : fault.code;
  };
  const { batch } = route;
  if (batch === undefined) return [one()];
  const count = batch.open(publication);
  if (typeof count !== 'number') return [count.code];
  const all = Array.from({ length: count }, (_, index) => {
    batch.select(index);
    return one();
  });
  batch.close();
  return all;
}

test('every shipped device type has a sample, and a test here', () => {
  expect(faults).toEqual([]);
  const types = profiles.map(({ type }) => type).sort();
  expect(types).toHaveLength(8);
  expect(files.map((file) => basename(file, extname(file))).sort()).toEqual(types);
  expect(Object.keys(expected).sort()).toEqual(types);
});

describe.each(profiles)('the sample of $type', (profile) => {
  const { topic, records } = expected[profile.type]!;
  const sample = readFileSync(
    join(
      root,
      files.find((file) => basename(file, extname(file)) === profile.type)!,
    ),
  );

  test('becomes the telemetry that its profile promises', () => {
    const found = convert(routeOf(profile, topic), sample) as Telemetry[];
    expect(found.map(({ deviceId }) => deviceId)).toEqual(records.map(([device]) => device));
    for (const [index, { metrics, deviceType }] of found.entries()) {
      expect(deviceType).toBe(profile.type);
      expect(Object.fromEntries(metrics.map(({ name, value }) => [name, value]))).toMatchObject(
        records[index]![1],
      );
    }
  });

  test('changed at random becomes sound telemetry or a reason', () => {
    const route = routeOf(profile, topic);
    const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(changes, (list) => {
        const bytes = Buffer.from(sample);
        for (const [at, byte] of list) bytes[at % bytes.length] = byte;
        for (const result of convert(route, bytes)) {
          if (typeof result === 'string') expect(result).toMatch(/^[A-Z]+(_[A-Z]+)+$/);
          else expect(result.deviceType).toBe(profile.type);
        }
      }),
      { numRuns: 100 },
    );
  });
});
