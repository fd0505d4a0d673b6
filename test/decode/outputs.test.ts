import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import avro from 'avsc';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MetricSpec } from '../../src/core/profile/normaliser-spec.ts';
import type { OutputSpec } from '../../src/core/profile/output-spec.ts';
import { NOT_READY } from '../../src/core/route.ts';
import { bench, NOW, profileFaults } from './routes.ts';

const produce = (spec: Partial<OutputSpec>) => ({
  produce: { topic: 'telemetry', value: 'normalised' as const, ...spec },
});

const SCHEMA = readFileSync(join(import.meta.dirname, '../../proto/sluice/v1/telemetry.avsc'), 'utf8');
const avroType = avro.Type.forSchema(JSON.parse(SCHEMA) as avro.Schema, { wrapUnions: true });

const full = {
  attributes: new Map([['site', '{site}']]),
  time: { field: 't', unit: 'ms' as const },
  sequence: { field: 'n' },
  metrics: new Map<string, MetricSpec>([
    ['temperature', { field: 'temp', unit: 'Cel', range: { max: 50, else: 'mark' } }],
    ['door', { field: 'door' }],
    ['state', { field: 'state', enum: new Map([[2, 'MOVING ü']]) }],
    ['count', { field: 'count', type: 'integer' }],
    ['name', { field: 'name' }],
    ['hum', { field: 'hum', required: 'mark' }],
  ]),
};
const message = { t: NOW - 5, n: 7, temp: 99.5, door: true, state: 2, count: -5_000_000_000, name: 'Ä"x' };

describe('the envelope as JSON', () => {
  test('reads as what was written', () => {
    const target = bench({ ...full, ...produce({ format: 'json' }) });
    target.send(message);
    expect(JSON.parse(Buffer.from(target.record.value!).toString())).toEqual({
      device_id: 'd-1',
      device_type: 'test',
      attributes: { site: 'oslo' },
      observed_at_ms: NOW - 5,
      received_at_ms: NOW,
      sequence: 7,
      metrics: {
        temperature: { value: 99.5, unit: 'Cel', quality: 'OUT_OF_RANGE' },
        door: { value: true },
        state: { value: 'MOVING ü' },
        count: { value: -5_000_000_000 },
        name: { value: 'Ä"x' },
        hum: { quality: 'MISSING' },
      },
    });
    expect(target.headers()['content-type']).toBe('application/json; schema=sluice.v1.Telemetry');
  });

  test('is JSON whatever texts and numbers come', () => {
    const target = bench({ metrics: new Map([['m', { field: 'v' }]]), ...produce({ format: 'json' }) });
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'grapheme' }), fc.double(), fc.boolean()), (v) => {
        if (target.send({ v }) !== 'written') return;
        const { metrics } = JSON.parse(Buffer.from(target.record.value!).toString()) as {
          metrics: { m?: { value: unknown } };
        };
        const expected = typeof v === 'number' && !Number.isFinite(v) ? undefined : v;
        expect(metrics.m?.value).toEqual(Object.is(expected, -0) ? 0 : expected);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the envelope as Avro', () => {
  test('reads by the published schema, with another implementation, as what was written', () => {
    const target = bench({ ...full, ...produce({ format: 'avro' }) });
    target.send(message);
    const read = JSON.parse(
      JSON.stringify(avroType.fromBuffer(Buffer.from(target.record.value!))),
    ) as unknown;
    expect(read).toEqual({
      device_id: 'd-1',
      device_type: 'test',
      attributes: { site: 'oslo' },
      observed_at_ms: { long: NOW - 5 },
      received_at_ms: NOW,
      sequence: { long: 7 },
      metrics: [
        { name: 'temperature', unit: 'Cel', quality: 'OUT_OF_RANGE', value: { double: 99.5 } },
        { name: 'door', unit: '', quality: 'GOOD', value: { boolean: true } },
        { name: 'state', unit: '', quality: 'GOOD', value: { string: 'MOVING ü' } },
        { name: 'count', unit: '', quality: 'GOOD', value: { long: -5_000_000_000 } },
        { name: 'name', unit: '', quality: 'GOOD', value: { string: 'Ä"x' } },
        { name: 'hum', unit: '', quality: 'MISSING', value: null },
      ],
    });
  });

  test('has no time, no sequence, no attributes and no metrics where there are none', () => {
    const target = bench({ sequence: { field: 'n' }, ...produce({ format: 'avro' }) });
    target.send({});
    expect(avroType.fromBuffer(Buffer.from(target.record.value!))).toMatchObject({
      attributes: {},
      observed_at_ms: null,
      sequence: null,
      metrics: [],
    });
  });

  test('has exact longs', () => {
    const metrics = new Map<string, MetricSpec>([['m', { field: 'v', type: 'integer' }]]);
    const target = bench({ metrics, ...produce({ format: 'avro' }) });
    target.send({ v: Number.MAX_SAFE_INTEGER });
    // Zigzag of 2^53 - 1 is 2^54 - 2: branch 2, then eight bytes; then the end of the array.
    expect(Buffer.from(target.record.value!).toString('hex')).toMatch(/04feffffffffffff1f00$/);
    target.send({ v: Number.MIN_SAFE_INTEGER });
    expect(Buffer.from(target.record.value!).toString('hex')).toMatch(/04fdffffffffffff1f00$/);
  });

  test('is Avro whatever comes', () => {
    const metrics = new Map<string, MetricSpec>([
      ['a', { field: 'a' }],
      ['b', { field: 'b', type: 'integer' }],
    ]);
    const target = bench({ metrics, sequence: { field: 'n' }, ...produce({ format: 'avro' }) });
    // avsc reads longs from 2^52 on wrongly.
    const long = fc.integer({ min: -(2 ** 51), max: 2 ** 51 });
    const value = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 2_000 }),
      fc.double({ noNaN: true }),
      fc.boolean(),
    );
    fc.assert(
      fc.property(value, long, fc.option(long), (a, b, n) => {
        if (target.send({ a, b, n: n === null ? null : Math.abs(n) }) !== 'written') return;
        const read = avroType.fromBuffer(Buffer.from(target.record.value!)) as {
          metrics: { name: string; value: Record<string, unknown> }[];
        };
        expect(read.metrics.find(({ name }) => name === 'b')?.value).toEqual({ long: b });
      }),
      { numRuns: 200 },
    );
  });
});

describe('headers', () => {
  test('are the topic, the type and the content type, unless the profile says otherwise', () => {
    const target = bench({});
    target.send({});
    expect(target.headers()).toEqual({
      'mqtt.topic': 'fleet/oslo/d-1',
      'device.type': 'test',
      'content-type': 'application/protobuf; proto=sluice.v1.Telemetry',
    });
  });

  test('by choice carry what MQTT said', () => {
    const target = bench(produce({ headers: ['qos', 'retain', 'client.id', 'received.at'] }));
    target.send({}, { qos: 2, retain: true, clientId: 'plc-7' });
    expect(target.headers()).toEqual({
      'device.type': 'test',
      'content-type': 'application/protobuf; proto=sluice.v1.Telemetry',
      'mqtt.qos': '2',
      'mqtt.retain': 'true',
      'mqtt.client.id': 'plc-7',
      'received.at': String(NOW),
    });
  });

  test('make a CloudEvent of a record', () => {
    const target = bench(
      { ...produce({ cloudEvents: {} }), time: { field: 't', unit: 'ms' } },
      undefined,
      'dör 1',
    );
    target.send({ t: NOW - 1_000 });
    const first = target.headers();
    expect(first).toMatchObject({
      ce_specversion: '1.0',
      ce_source: '/fleet/oslo/d%C3%B6r%201',
      ce_type: 'sluice.telemetry.test',
      ce_subject: 'dör 1',
      ce_time: '2025-12-31T23:59:59.000Z',
      'content-type': 'application/protobuf; proto=sluice.v1.Telemetry',
    });
    target.send({ t: NOW });
    expect(target.headers().ce_id).not.toBe(first.ce_id);
  });

  test("make a CloudEvent with the profile's own source and type", () => {
    const target = bench(produce({ cloudEvents: { source: '//acme/{site}', type: 'com.acme.{type}' } }));
    target.send({});
    expect(target.headers()).toMatchObject({ ce_source: '//acme/oslo', ce_type: 'com.acme.test' });
  });
});

describe('key and topic', () => {
  const key = (spec: Partial<OutputSpec>): string | null => {
    const target = bench(produce(spec));
    target.send({});
    return target.record.key === null ? null : Buffer.from(target.record.key).toString();
  };

  test('the key is the device, a template, or none', () => {
    expect(key({})).toBe('d-1');
    expect(key({ key: '{site}/{device}/{type}' })).toBe('oslo/d-1/test');
    expect(key({ key: null })).toBeNull();
  });

  test('a topic template is filled from the levels', () => {
    const target = bench(produce({ topic: 'telemetry.{site}.{type}' }));
    target.send({});
    expect(target.record.topic).toBe('telemetry.oslo.test');
    expect(target.route.deadLetterTopic).toBe('test.dlq');
  });

  test('what names no Kafka topic is a dead letter', () => {
    const target = bench(produce({ topic: 'telemetry.{site}' }), undefined, 'd-1', 'são paulo');
    expect(target.send({})).toBe('TOPIC_INVALID');
  });

  test('what would be a topic too many is a dead letter', () => {
    const target = bench(produce({ topic: 't-{site}' }), { topics: { admit: () => false } });
    expect(target.send({})).toBe('TOO_MANY_TOPICS');
  });
});

describe('a device registry', () => {
  const registry = (unknown: 'accept' | 'quarantine' | 'refuse') => ({
    registry: {
      file: '/devices.csv',
      key: 'device',
      attributes: new Map([
        ['site', 'site'],
        ['owner', 'owner_name'],
      ]),
      unknown,
      quarantineTopic: 'strangers',
    },
  });
  function listed(unknown: 'accept' | 'quarantine' | 'refuse') {
    const rows = new Map<string, ReadonlyMap<string, string>>();
    const devices = { version: 1, find: (id: string) => rows.get(id) };
    return { rows, devices, target: bench(registry(unknown), { devices }) };
  }

  test('gives a device its attributes, and new ones when the list changes', () => {
    const { rows, devices, target } = listed('accept');
    expect(target.send({})).toMatchObject({ attributes: new Map() });
    rows.set(
      'd-1',
      new Map([
        ['site', 'Oslo 2'],
        ['owner_name', ''],
      ]),
    );
    devices.version++;
    expect(target.send({})).toMatchObject({ attributes: new Map([['site', 'Oslo 2']]) });
  });

  test('keeps unknown devices in quarantine until they are registered', () => {
    const { rows, devices, target } = listed('quarantine');
    target.send({});
    expect(target.record.topic).toBe('strangers');
    expect(target.headers()).toMatchObject({ 'sluice.quarantine': 'unknown-device' });
    expect(target.compiled.devices.quarantined).toBe(1);
    rows.set('d-1', new Map());
    devices.version++;
    target.send({});
    expect(target.record.topic).toBe('telemetry');
    expect(target.headers()).not.toHaveProperty('sluice.quarantine');
    expect(target.compiled.devices.quarantined).toBe(1);
  });

  test('refuses unknown devices where the profile says so', () => {
    expect(listed('refuse').target.send({})).toBe('REFUSED');
  });
});

describe('a frame', () => {
  test('stands before the value; until it is known messages wait', () => {
    const known: { prefix?: Uint8Array } = {};
    const waiting: (() => void)[] = [];
    const framing = {
      prefix: () => known.prefix,
      whenReady: (callback: () => void) => waiting.push(callback),
    };
    const target = bench(produce({ subject: '{topic}-value', format: 'json' }), { framing });
    expect(target.send({})).toBe(NOT_READY.code);
    let woken = 0;
    target.route.whenReady(() => woken++);
    for (const callback of waiting) callback();
    expect(woken).toBe(1);
    known.prefix = Buffer.from('>>>>>');
    target.send({});
    expect(Buffer.from(target.record.value!).toString()).toMatch(/^>>>>>\{"device_id":"d-1"/);
  });
});

describe('an output that makes no sense', () => {
  test.each<[Partial<OutputSpec>, string]>([
    [{ topic: 't-{nowhere}' }, 'produce.topic: found {nowhere}, expected'],
    [{ topicsMax: 5 }, 'produce.topics.max: found 5, expected nothing: the topic is no template'],
    [
      { value: 'raw', format: 'avro' },
      'produce.format: found avro, expected nothing, because `value: raw` has no envelope',
    ],
    [{ subject: '{site}' }, 'produce.subject: found {site}, expected'],
    [{ cloudEvents: { source: '{gone}' } }, 'produce.cloudevents.source: found {gone}, expected'],
  ])('%j', (spec, fault) => {
    expect(profileFaults(produce(spec))).toEqual([expect.stringContaining(fault)]);
  });
});
