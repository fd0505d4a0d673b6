import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { simulatedTypes } from '../../../src/testbed/fleet/simulated-types.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { Publication } from '../../../src/core/publication.ts';
import { NO_HEADERS, type SerializedRecord } from '../../../src/core/record.ts';
import type { Route } from '../../../src/core/route.ts';
import { readEnvelope, type Telemetry } from '../../../src/decode/envelope/envelope.ts';
import { compileProfile } from '../../../src/decode/profile/compile-profile.ts';
import type { CompiledProfile } from '../../../src/decode/profile/profile-route.ts';
import { SimulatedDevice } from '../../../src/testbed/fleet/device.ts';
import { RouteTable } from '../../../src/route/route-table.ts';
import { sensorProfile } from './profiles.ts';
const START = Date.UTC(2026, 0, 1);
const { profiles } = loadConfig(join(import.meta.dirname, '../../../sluice.yaml'), {});

/** The gateway's side of one device type: what becomes of a message, or the code of why it is a dead letter. */
class Receiver {
  readonly #routes = new RouteTable<CompiledProfile>();
  readonly #byTopic = new Map<string, Route>();
  readonly compiled: CompiledProfile;

  constructor(profile: (typeof profiles)[number]) {
    const result = compileProfile(profile);
    if ('faults' in result) throw new Error(JSON.stringify(result.faults));
    this.compiled = result.compiled;
    this.#routes.add(profile.topic, result.compiled);
  }

  receive({ topic, payload }: { topic: string; payload: Uint8Array }, atMs: number): (Telemetry | string)[] {
    const route = this.#routeOf(topic);
    const publication: Publication = {
      topic: { name: topic, id: 0 },
      payload: Buffer.from(payload),
      qos: 1,
      retain: false,
      dup: false,
      packetId: 1,
      clientId: 'c',
      receivedAtMs: atMs,
    };
    const { batch } = route;
    if (batch === undefined) return [this.#one(route, publication)];
    const count = batch.open(publication);
    if (typeof count !== 'number') {
      route.taken();
      return [count.code];
    }
    const all = Array.from({ length: count }, (_, index) => {
      batch.select(index);
      return this.#one(route, publication);
    });
    batch.close();
    return all;
  }

  #one(route: Route, publication: Publication): Telemetry | string {
    const record: SerializedRecord = {
      topic: '',
      key: null,
      value: null,
      timestampMs: 0,
      headers: NO_HEADERS,
    };
    const fault = route.toRecord(publication, record);
    route.taken();
    return fault === undefined ? readEnvelope(record.value!) : fault.code;
  }

  #routeOf(topic: string): Route {
    let route = this.#byTopic.get(topic);
    if (route === undefined) {
      const [match] = this.#routes.match(topic);
      if (match === undefined) throw new Error(`${topic} is none of its topics`);
      route = match.target.bind(match.captures, topic);
      this.#byTopic.set(topic, route);
    }
    return route;
  }
}

test('every shipped device type can be simulated', () => {
  expect(simulatedTypes(profiles).map(({ profile }) => profile.type)).toEqual(
    profiles.map(({ type }) => type),
  );
});

describe.each(profiles)('a simulated $type', (profile) => {
  test('sends what its own profile understands, with every metric, the device and the time, and no dead letter', () => {
    const [simulated] = simulatedTypes([profile]);
    const receiver = new Receiver(profile);
    const found = new Map<string, Set<unknown>>();
    for (let number = 1; number <= 3; number++) {
      const device = new SimulatedDevice(simulated!, number, { seed: 7, prefix: 'x-' });
      device.session?.will(START);
      const births = device.births(START);
      const readings = Array.from({ length: 60 }, (_, index) =>
        device.message(index + 1, START + index * 1_000),
      );
      for (const [index, message] of [...births, ...readings].entries()) {
        const atMs = START + index * 1_000 + 500;
        const telemetry = receiver.receive(message, atMs);
        expect(telemetry.filter((one) => typeof one === 'string')).toEqual([]);
        expect(telemetry).toHaveLength(1);
        const [one] = telemetry as [Telemetry];
        expect(one.deviceId.split('/')[0]).toBe(device.id);
        if (profile.time !== undefined) expect(Math.abs(atMs - one.observedAtMs!)).toBeLessThan(5_000);
        for (const { name, value } of one.metrics) {
          if (!found.has(name)) found.set(name, new Set());
          found.get(name)!.add(value);
        }
      }
    }
    expect([...found.keys()].sort()).toEqual([...profile.metrics.keys()].sort());
    // They live: most of them are not the same all the time.
    expect([...found.values()].filter((values) => values.size > 10).length).toBeGreaterThan(0);
    expect(receiver.compiled.devices.totals).toMatchObject({ missing: 0, repeated: 0, late: 0 });
  });
});

describe('a simulated edge node of Sparkplug B', () => {
  const [simulated] = simulatedTypes(profiles, ['sparkplug']);

  test('counts its messages without a gap, and its connections', () => {
    const device = new SimulatedDevice(simulated!, 1, { seed: 7, prefix: '' });
    const receiver = new Receiver(simulated!.profile);
    const { stats } = receiver.compiled.edgeNodes!;
    for (let connection = 0; connection < 3; connection++) {
      const will = device.session!.will(START);
      for (const message of device.births(START)) receiver.receive(message, START);
      for (let n = 1; n <= 300; n++) receiver.receive(device.message(n, START), START);
      // The connection breaks: the broker says so.
      const [death] = receiver.receive(will, START) as [Telemetry];
      expect(death.metrics).toContainEqual({ name: 'online', unit: undefined, value: false });
    }
    expect(stats).toMatchObject({
      births: 3,
      sequenceGaps: 0,
      withoutBirth: 0,
      staleDeaths: 0,
      rebirthRequests: 0,
    });
    const late = new SimulatedDevice(simulated!, 1, { seed: 7, prefix: '' });
    receiver.receive(late.session!.will(START), START);
    expect(stats.staleDeaths).toBe(1);
  });

  test('is understood again after the birth that a gateway asks for which has missed the first one', () => {
    const device = new SimulatedDevice(simulated!, 1, { seed: 7, prefix: '' });
    device.session!.will(START);
    device.births(START);
    const receiver = new Receiver(simulated!.profile);
    expect(receiver.receive(device.message(1, START), START)).toEqual(['SPARKPLUG_BIRTH_MISSING']);
    for (const message of device.births(START)) receiver.receive(message, START);
    expect(receiver.receive(device.message(2, START), START)).toMatchObject([{ deviceId: device.id }]);
  });
});

describe('the device types that a fleet plays', () => {
  it('are all shipped ones that say how, with readings that their own schemas take', () => {
    const types = simulatedTypes(profiles);
    const simulated = profiles.filter(({ simulate }) => simulate !== undefined).map(({ type }) => type);
    expect(simulated).toEqual(expect.arrayContaining(['energy-meter', 'env-sensor', 'tracker']));
    expect(types.map(({ profile }) => profile.type).sort()).toEqual(simulated.sort());
    for (const type of types) {
      const device = new SimulatedDevice(type, 1, { seed: 1, prefix: '' });
      expect(device.read(1, Date.now()).length).toBeGreaterThan(10);
    }
  });

  it('are named where a wanted one is not among them', () => {
    expect(() => simulatedTypes(profiles, ['fridge'])).toThrow(
      /no device profile has the type fridge.*env-sensor/,
    );
  });

  it('must be at least one', () => {
    const { simulate, ...silent } = sensorProfile();
    expect(simulate).toBeDefined();
    expect(() => simulatedTypes([silent])).toThrow('no device profile has a simulate: section');
  });
});
