import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { DeviceProfile } from '../../src/core/profile/profile.ts';
import type { Publication } from '../../src/core/publication.ts';
import { NO_HEADERS, type SerializedRecord } from '../../src/core/record.ts';
import type { DecodeFault, Route } from '../../src/core/route.ts';
import { payloadWriter } from '../../src/decode/decoders.ts';
import type { PlainPayload } from '../../src/decode/formats/payload-format.ts';
import { readEnvelope } from '../../src/decode/envelope/envelope.ts';
import { compileProfile } from '../../src/decode/profile/compile-profile.ts';
import { RouteTable } from '../../src/route/route-table.ts';

const NOW = 1_767_225_600_500;
const { profiles } = loadConfig(join(import.meta.dirname, '../../sluice.yaml'), {});

/** What each shipped device type makes of a payload of its own kind. */
const samples: Record<string, { topic: string; payload: PlainPayload; expected: object }> = {
  'env-sensor': {
    topic: 'fleet/oslo/dev-1/telemetry',
    payload: { ts: BigInt(NOW - 20), seq: 41, temp: 0, hum: 40.5, pressure: 1013.25, battery: 3.5 },
    expected: {
      deviceId: 'dev-1',
      attributes: new Map([['site', 'oslo']]),
      observedAtMs: NOW - 20,
      sequence: 41,
      metrics: [
        { name: 'temperature', unit: 'Cel', value: 0 },
        { name: 'humidity', unit: '%', value: 40.5 },
        { name: 'pressure', unit: 'hPa', value: 1013.25 },
        { name: 'battery', unit: 'V', value: 3.5 },
      ],
    },
  },
  'energy-meter': {
    topic: 'meters/north/m-7/reading',
    payload: {
      read_at: Math.floor(NOW / 1000),
      number: 2n ** 60n,
      register: { imported_wh: 2n ** 53n + 1n },
      line: { voltage: 230.5, current: 1.25, power: -300, frequency: 50 },
      tariff: 'TARIFF_OFF_PEAK',
    },
    expected: {
      deviceId: 'm-7',
      attributes: new Map([
        ['region', 'north'],
        ['medium', 'electricity'],
      ]),
      observedAtMs: NOW - 500,
      sequence: 2n ** 60n,
      metrics: [
        { name: 'energy_imported', unit: 'W.h', value: 2n ** 53n + 1n },
        { name: 'energy_exported', unit: 'W.h', value: 0 },
        { name: 'voltage', unit: 'V', value: 230.5 },
        { name: 'current', unit: 'A', value: 1.25 },
        { name: 'power', unit: 'W', value: -300 },
        { name: 'frequency', unit: 'Hz', value: 50 },
        { name: 'tariff', unit: undefined, value: 'TARIFF_OFF_PEAK' },
        { name: 'tamper', unit: undefined, value: false },
      ],
    },
  },
  tracker: {
    topic: 'trackers/anything/position',
    payload: {
      id: 'trk-0042',
      time: NOW / 1000,
      n: 17,
      pos: { lat: 52.5163, lon: 13.3777, alt: 36, sats: 9 },
      speed: 48.5,
      ignition: true,
      state: 'moving',
    },
    expected: {
      deviceId: 'trk-0042',
      attributes: new Map(),
      observedAtMs: NOW,
      sequence: 17,
      metrics: [
        { name: 'latitude', unit: 'deg', value: 52.5163 },
        { name: 'longitude', unit: 'deg', value: 13.3777 },
        { name: 'altitude', unit: 'm', value: 36 },
        { name: 'satellites', unit: undefined, value: 9 },
        { name: 'speed', unit: 'km/h', value: 48.5 },
        { name: 'ignition', unit: undefined, value: true },
        { name: 'state', unit: undefined, value: 'moving' },
      ],
    },
  },
};

function encode({ decode }: DeviceProfile, payload: PlainPayload): Buffer {
  return Buffer.from(payloadWriter(decode)!(payload));
}

function routeOf(profile: DeviceProfile, topic: string): Route {
  const result = compileProfile(profile);
  if ('faults' in result) throw new Error(JSON.stringify(result.faults));
  const routes = new RouteTable<typeof result.compiled>();
  expect(routes.add(profile.topic, result.compiled)).toBeUndefined();
  const match = routes.match(topic)[0]!;
  return match.target.bind(match.captures, topic);
}

function convert(
  route: Route,
  payload: Buffer,
): { fault: DecodeFault | undefined; record: SerializedRecord } {
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
  return { fault: route.toRecord(publication, record), record };
}

describe.each(profiles.filter(({ type }) => type in samples))('the shipped profile $type', (profile) => {
  const { topic, payload, expected } = samples[profile.type]!;

  test('makes of its payload what its comments promise', () => {
    const { fault, record } = convert(routeOf(profile, topic), encode(profile, payload));
    expect(fault).toBeUndefined();
    expect(readEnvelope(record.value!)).toEqual({
      deviceType: profile.type,
      receivedAtMs: NOW,
      ...expected,
    });
  });

  test('makes a sound envelope or a reason of whatever bytes it is given', () => {
    const route = routeOf(profile, topic);
    const sound = encode(profile, payload);
    const mutated = fc
      .array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 })
      .map((changes) => {
        const bytes = Buffer.from(sound);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        return bytes;
      });
    const random = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.oneof(mutated, random), (bytes) => {
        const { fault, record } = convert(route, bytes);
        if (fault === undefined) expect(readEnvelope(record.value!).deviceType).toBe(profile.type);
        else
          expect(fault.code).toMatch(
            /^(DECODE_FAILED|FIELD_MISSING|FIELD_TYPE|FIELD_TOO_LONG|PAYLOAD_EMPTY)$/,
          );
      }),
      { numRuns: 300 },
    );
  });
});

test.each(profiles.filter(({ simulate }) => simulate !== undefined))(
  'the shipped profile $type can be simulated: every metric has a signal',
  ({ simulate, metrics }) => {
    const signals = [...simulate!.signals.keys()];
    // What begins with $ comes from Sparkplug's topics and headers.
    const fields = [...metrics.values()].map(({ field }) => field).filter((field) => !field.startsWith('$'));
    expect(signals.sort()).toEqual(fields.sort());
  },
);
