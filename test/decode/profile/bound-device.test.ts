import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RouteServices } from '../../../src/core/route.ts';
import { BoundDevices, type BoundDevice } from '../../../src/decode/profile/bound-device.ts';
import { bench } from '../routes.ts';

test('devices that take turns on a topic are told apart, each with its own key, envelope and sequence', () => {
  const sensor = bench({ device: { field: 'id' }, sequence: { field: 'n' } });
  for (let n = 0; n < 5; n++) {
    for (const id of ['a', 'b', 'c']) {
      expect(sensor.send({ id, n })).toMatchObject({ deviceId: id, sequence: n });
      expect(Buffer.from(sensor.record.key!).toString()).toBe(id);
    }
  }
  expect(sensor.compiled.devices.totals).toMatchObject({ missing: 0, repeated: 0, late: 0 });
  expect(sensor.compiled.devices.size).toBe(3);
});

test('what the registry says anew of such a device holds from its next message on', () => {
  const owners = new Map([['a', 'north']]);
  const registry = {
    version: 1,
    find: (id: string) => (owners.has(id) ? new Map([['site', owners.get(id)!]]) : undefined),
  };
  const services: RouteServices = { devices: registry };
  const spec = {
    file: 'x.csv',
    key: 'device',
    attributes: new Map([['site', 'site']]),
    unknown: 'refuse',
    quarantineTopic: 'q',
  } as const;
  const sensor = bench({ device: { field: 'id' }, registry: spec }, services);
  const siteOf = (id: string) => {
    const telemetry = sensor.send({ id });
    return typeof telemetry === 'string' ? telemetry : telemetry.attributes.get('site');
  };
  expect(['a', 'b', 'a', 'b'].map(siteOf)).toEqual(['north', 'REFUSED', 'north', 'REFUSED']);
  owners.set('a', 'south').set('b', 'east');
  registry.version++;
  expect(['a', 'b', 'a', 'b'].map(siteOf)).toEqual(['south', 'east', 'south', 'east']);
  owners.delete('a');
  registry.version++;
  expect(['a', 'b', 'a', 'a'].map(siteOf)).toEqual(['REFUSED', 'east', 'REFUSED', 'REFUSED']);
});

test('no more devices are kept than twice the capacity, and those that were asked for last are', () => {
  const capacity = 5;
  const topics = [{}, {}];
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(1), fc.nat(20)), { maxLength: 200 }), (uses) => {
      const kept = new BoundDevices(capacity);
      const last: string[] = [];
      for (const [topic, number] of uses) {
        const id = String(number);
        const found = kept.find(topics[topic]!, id);
        if (found === undefined) kept.keep(topics[topic]!, { id, topic: String(topic) } as BoundDevice);
        else expect([found.id, found.topic]).toEqual([id, String(topic)]);
        const name = `${topic}/${number}`;
        last.splice(0, last.length, ...last.filter((other) => other !== name), name);
      }
      const isKept = (name: string) => {
        const [topic, id] = name.split('/');
        return kept.find(topics[Number(topic)]!, id!) !== undefined;
      };
      expect(kept.size).toBeLessThanOrEqual(2 * capacity);
      expect(last.slice(-capacity).every(isKept)).toBe(true);
    }),
  );
});
