import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Explainer, Explanation } from '../../../src/features/explain/explain.ts';
import { messageOf, NOW, RehearsalFolder } from './stage.ts';

let folder: RehearsalFolder;

beforeEach(() => {
  folder = new RehearsalFolder();
});

afterEach(() => {
  folder.remove();
});

const explainer = (profile: string, config?: string): Explainer =>
  folder.explainer(folder.configure({ sensor: profile }, config));

/** What each rule says, by its key. */
function rules({ routes }: Explanation, fate = 0): Record<string, string> {
  const entries = routes[0]!.fates[fate]!.rules.map(({ rule, says }) => [rule, says] as const);
  return Object.fromEntries(entries);
}

const BASE = `
topic: fleet/{site}/{device}
decode: json
device: '{device}'
produce: { topic: telemetry }
`;

describe('the rules that a message meets', () => {
  it('of values: rename, scale, unit, type, bit, enum, range, required', () => {
    const explanation = explainer(`${BASE}
attributes: { site: '{site}' }
metrics:
  plain: { field: a }
  speed: { field: v, scale: 2, offset: 100, from: mV, unit: V }
  count: { field: n, type: integer }
  open: { field: flags, bit: 2 }
  mode: { field: mode, enum: { 1: HEATING } }
  low: { field: low, range: { min: 0, max: 5, else: mark } }
  gone: { field: high, range: { max: 5, else: drop } }
  there: { field: nothing, required: mark }
`).message(messageOf('fleet/oslo/d-1', { a: 1.5, v: 350, n: '7', flags: 4, mode: 1, low: -1, high: 9 }));
    expect(rules(explanation)).toEqual({
      device: '{device} -> d-1',
      time: 'the profile has no `time`: the timestamp is the time of receipt',
      'metrics.plain': 'field a = 1.5',
      'metrics.speed': 'field v = 350 -> 0.8 (scale 2, offset 100, from mV to V)',
      'metrics.count': 'field n = "7" -> 7 (type integer)',
      'metrics.open': 'field flags = 4 -> true (bit 2)',
      'metrics.mode': 'field mode = 1 -> 1 (HEATING) (enum)',
      'metrics.low': 'field low = -1',
      'metrics.gone': 'field high = 9',
      'metrics.there': 'field nothing = absent',
      'metrics.low.range': '-1 is out of range, and marked so (0 to 5, else mark)',
      'metrics.gone.range': '9 is out of range, and left out (-∞ to 5, else drop)',
      'metrics.there.required': 'absent is missing, and marked so (required: mark)',
      'produce.topic': 'telemetry',
      'produce.key': '{device} -> d-1',
    });
    const { telemetry, record, kind } = explanation.routes[0]!.fates[0]!;
    expect(kind).toBe('record');
    expect(telemetry).toMatchObject({
      deviceId: 'd-1',
      attributes: new Map([['site', 'oslo']]),
      missing: ['there'],
    });
    expect(telemetry?.metrics.map(({ name, value }) => [name, value])).toEqual([
      ['plain', 1.5],
      ['speed', 0.8],
      ['count', 7],
      ['open', true],
      ['mode', 'HEATING'],
      ['low', -1],
    ]);
    expect(record).toMatchObject({ topic: 'telemetry', timestampMs: NOW });
    expect(record?.key?.toString()).toBe('d-1');
  });

  it('of time: within the window, outside, corrected by what was measured, and no time at all', () => {
    const within = explainer(`${BASE}time: { field: t, unit: ms }`);
    const at = (t: unknown, receivedAtMs = NOW) => messageOf('fleet/a/d', { t }, { receivedAtMs });
    expect(rules(within.message(at(NOW - 1_500))).time).toBe(
      `field t = ${NOW - 1_500}, 2026-01-01T11:59:58.500Z, 1.5 s before receipt: becomes the timestamp (window 7 d behind to 30 min ahead)`,
    );
    expect(rules(within.message(at(1))).time).toMatch(
      /outside of .* so the timestamp is the time of receipt/,
    );
    expect(rules(within.message(at(undefined))).time).toBe(
      'field t = absent, no time: the timestamp is the time of receipt',
    );
    // A time that no calendar has.
    expect(rules(within.message(at(9e15))).time).toContain('9000000000000000 ms since 1970');
    expect(within.message(at('noon')).routes[0]!.fates[0]!.reason?.code).toBe('FIELD_TYPE');

    const correcting = explainer(`${BASE}time: { field: t, unit: ms, outside: correct }`);
    expect(rules(correcting.message(at(1_000))).time).toMatch(/the device's clock is not known yet/);
    const next = correcting.message(at(2_000, NOW + 1_500));
    expect(rules(next).time).toMatch(/timestamp is 2026-01-01T12:00:01.000Z/);
    expect(next.routes[0]!.fates[0]!.record?.timestampMs).toBe(NOW + 1_000);

    const strict = explainer(`${BASE}time: { field: t, unit: ms, outside: dead-letter }`);
    const refused = strict.message(at(1_000));
    expect(rules(refused).time).toMatch(/a dead letter$/);
    expect(refused.routes[0]!.fates[0]).toMatchObject({
      kind: 'dead-letter',
      reason: { code: 'EVENT_TIME_OUTSIDE' },
      record: { topic: 'telemetry.dlq' },
    });
  });

  it('of what is remembered: sequence and filter', () => {
    const device = explainer(`${BASE}
sequence: { field: n }
metrics: { v: { field: v, deadband: 1 } }
`);
    const send = (n: number, v: number, dup = false) =>
      device.message(messageOf('fleet/a/d', { n, v }, { dup, receivedAtMs: NOW + n * 1_000 }));
    expect(rules(send(1, 10))).toMatchObject({
      sequence: 'field n = 1: in order',
      filter: expect.stringContaining('the first of its device: passes') as string,
    });
    const held = send(4, 10.5);
    expect(rules(held).filter).toContain('3000 ms after the last that passed: says nothing new');
    expect(rules(held).sequence).toBe('field n = 4: 2 before it are missing');
    expect(held.routes[0]!.fates[0]!.kind).toBe('filtered');
    const repeated = send(4, 10.5, true);
    expect(rules(repeated).sequence).toBe('field n = 4: was there already');
    expect(repeated.routes[0]!.fates[0]!.kind).toBe('record');
    expect(rules(send(3, 20)).sequence).toBe('field n = 3: comes late, after higher ones');
  });

  it('of the registry: attributes, quarantine, refusal', () => {
    folder.write('devices/list.csv', 'device,owner\nd-1,ann\n');
    const with_ = (unknown: string): Explainer =>
      explainer(`${BASE}registry: { file: list.csv, attributes: { owner: owner }, unknown: ${unknown} }`);
    const known = with_('quarantine').message(messageOf('fleet/a/d-1', {}));
    expect(rules(known).registry).toBe('d-1 is listed: owner = ann');
    expect(known.routes[0]!.fates[0]!.telemetry?.attributes).toEqual(new Map([['owner', 'ann']]));
    const unknown = with_('quarantine').message(messageOf('fleet/a/d-2', {}));
    expect(rules(unknown).registry).toBe('d-2 is not listed: quarantine in telemetry.quarantine');
    expect(unknown.routes[0]!.fates[0]!.record?.topic).toBe('telemetry.quarantine');
    const refused = with_('refuse').message(messageOf('fleet/a/d-2', {}));
    expect(refused.routes[0]!.fates[0]!.kind).toBe('refused');
    expect(rules(refused).registry).toContain('`unknown` is refuse');
  });

  it('of the record: topic and key from templates, frame of the Schema Registry, headers', () => {
    const file = folder.configure(
      {
        sensor: BASE.replace(
          '{ topic: telemetry }',
          `{ topic: "t.{site}", key: "{site}-{device}", format: avro, subject: "{topic}-value", headers: [topic, qos, client.id] }`,
        ),
      },
      'kafka: { schema.registry: { url: "http://127.0.0.1:1" } }\n',
    );
    const explanation = folder.explainer(file).message(messageOf('fleet/oslo/d', {}, { qos: 2 }));
    expect(rules(explanation)).toMatchObject({
      'produce.topic': 't.{site} -> t.oslo',
      'produce.key': '{site}-{device} -> oslo-d',
      'produce.subject': expect.stringContaining('{topic}-value: framed') as string,
    });
    const { record, telemetry } = explanation.routes[0]!.fates[0]!;
    expect(record?.headers).toContainEqual(['mqtt.qos', '2']);
    expect(record?.headers).toContainEqual(['mqtt.client.id', 'client-1']);
    expect([...record!.value!.subarray(0, 5)]).toEqual([0, 0, 0, 0, 0]);
    expect(telemetry?.deviceId).toBe('d');
  });
});

describe('a payload', () => {
  it('is shown whole, unwrapped, with what the profile does not ask for', () => {
    const explanation = explainer(
      BASE.replace('decode: json', 'decode: { format: json, compression: gzip }'),
    ).message(messageOf('fleet/a/d', gzipSync('{"x":{"y":[1,null]}}')));
    expect(explanation.routes[0]!.decoded).toEqual({ x: { y: [1, null] } });
    expect(explanation.routes[0]!.notes).toEqual([
      expect.stringMatching(/^gzip: \d+ bytes, 20 inside$/),
      'JSON',
    ]);
  });

  it('that cannot be read becomes the dead letter that the gateway would write', () => {
    const explanation = explainer(BASE).message(messageOf('fleet/a/d', Buffer.from('{')));
    const [route] = explanation.routes;
    expect(route!.notes[0]).toContain('DECODE_FAILED');
    expect(route!.fates).toHaveLength(1);
    expect(route!.fates[0]).toMatchObject({ kind: 'dead-letter', reason: { code: 'DECODE_FAILED' } });
    expect(route!.fates[0]!.record?.value?.toString()).toBe('{');
    expect(new Map(route!.fates[0]!.record?.headers).get('mqtt.client.id')).toBe('client-1');
  });

  it('with several readings has a chapter for each, and each its own device', () => {
    const explanation = explainer(`
topic: gw/{gateway}
decode: json
device: 'list[].id'
metrics: { v: { field: 'list[].v', range: { max: 1, else: reject } } }
produce: { topic: telemetry }
`).message(messageOf('gw/1', { list: [{ id: 'a', v: 1 }, { id: 'b', v: 2 }, { v: 1 }] }));
    expect(explanation.routes[0]!.fates.map(({ kind, reading }) => [kind, reading])).toEqual([
      ['record', 0],
      ['dead-letter', 1],
      ['dead-letter', 2],
    ]);
    expect(rules(explanation, 0).device).toBe('field list[].id -> a');
    expect(rules(explanation, 1).device).toBe('field list[].id -> b');
    expect(rules(explanation, 1)['metrics.v.range']).toContain('metric v is 2');
    expect(explanation.routes[0]!.fates[2]!.reason?.code).toBe('FIELD_MISSING');
  });

  it('with readings that share a dead letter has a chapter for each as well, in their order', () => {
    const list = [{ id: 'a', v: 2 }, { id: 'b', v: 1 }, { v: 1 }, { id: 'd', v: 1 }];
    const [route] = explainer(`
topic: gw/{gateway}
decode: { format: json, compression: gzip }
device: 'list[].id'
metrics: { v: { field: 'list[].v', range: { max: 1, else: reject } } }
produce: { topic: telemetry }
`).message(messageOf('gw/1', gzipSync(JSON.stringify({ list })))).routes;
    expect(route!.fates.map(({ kind, reading, reason }) => [kind, reading, reason?.code])).toEqual([
      ['dead-letter', 0, 'OUT_OF_RANGE'],
      ['record', 1, undefined],
      ['dead-letter', 2, 'FIELD_MISSING'],
      ['record', 3, undefined],
    ]);
  });

  it('whose record is larger than a request may be becomes a dead letter, or is refused, as it would', () => {
    const config = 'kafka: { producer: { max.request.size: 2000 } }\n';
    const long = 'x'.repeat(2_000);
    const grown = explainer(`${BASE}attributes: { note: ${long} }`, config).message(
      messageOf('fleet/a/d', {}),
    );
    expect(grown.routes[0]!.fates).toMatchObject([
      { kind: 'dead-letter', reason: { code: 'RECORD_TOO_LARGE' }, record: { topic: 'telemetry.dlq' } },
    ]);
    const large = explainer(BASE, config).message(messageOf('fleet/a/d', Buffer.from(long)));
    expect(large.routes[0]!.fates).toMatchObject([{ kind: 'refused', reason: { code: 'RECORD_TOO_LARGE' } }]);
  });
});

describe('the routes of a topic', () => {
  it('come in the order of the gateway, with the reason, and what a stop keeps from the rest', () => {
    const file = folder.configure({
      all: BASE.replace('fleet/{site}/{device}', 'fleet/#').replace("'{device}'", 'id'),
      exact: `${BASE.replace('fleet/{site}/{device}', 'fleet/oslo/{device}')}stop: true\n`,
      named: BASE,
    });
    const { routes } = folder.explainer(file).topic('fleet/oslo/d');
    expect(routes.map(({ type, because, stoppedBy }) => [type, because, stoppedBy])).toEqual([
      ['exact', undefined, undefined],
      ['named', 'level 2, `{site}`, is less specific than `oslo`', 'fleet/oslo/{device}'],
      ['all', 'level 2, `#`, is less specific than `{site}`', 'fleet/oslo/{device}'],
    ]);
    const message = folder.explainer(file).message(messageOf('fleet/oslo/d', { id: 'x' }));
    expect(message.routes.map(({ fates }) => fates.length)).toEqual([1, 0, 0]);
  });

  it('that match none say where each differs, and what becomes of the message', () => {
    const file = folder.configure({ sensor: BASE }, 'unrouted: dead-letter\n');
    const { others, unrouted } = folder.explainer(file).message(messageOf('fleet/oslo', {}));
    expect(others).toEqual([
      { type: 'sensor', pattern: 'fleet/{site}/{device}', because: 'it has 3 levels, the topic 2' },
    ]);
    expect(unrouted?.fate).toMatchObject({ kind: 'dead-letter', record: { topic: 'unrouted.dlq' } });
  });
});
