import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DeviceCommands } from '../../../src/core/route.ts';
import { compileReader } from '../../../src/decode/decoders.ts';
import { EdgeNodes, REBIRTH_INTERVAL_MS } from '../../../src/decode/sparkplug/edge-nodes.ts';
import { loadPayloadType } from '../../../src/decode/sparkplug/message.ts';
import { plainValue, type PlainValue } from '../values.ts';
import { FieldValues } from '../../../src/decode/formats/field-values.ts';

type Expected = number | string | boolean | null | { int: string } | { hex: string };
interface Vector {
  readonly topic: string;
  readonly payload: string;
  readonly fields: Record<string, Expected>;
}

const vectorsOf = (file: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, file), 'utf8')) as Vector[];
const type = loadPayloadType();

function value(expected: Expected): PlainValue {
  if (expected === null) return undefined;
  if (typeof expected !== 'object') return expected;
  return 'int' in expected ? BigInt(expected.int) : Uint8Array.from(Buffer.from(expected.hex, 'hex'));
}

/** A gateway's reader, and what it sends to edge nodes. */
function plant(...fields: string[]) {
  const sent: { topic: string; command: unknown }[] = [];
  let nowMs = 0;
  const commands: DeviceCommands = {
    publish: (topic, payload) => sent.push({ topic, command: type.decode(payload) }),
  };
  const clock = { wallMs: () => 5, monotonicMs: () => nowMs, schedule: () => () => undefined };
  const compiled = compileReader(
    { kind: 'sparkplug' },
    { fields, levels: [], services: { commands, clock } },
  );
  if ('problems' in compiled) throw new Error(JSON.stringify(compiled.problems));
  const { reader, edgeNodes } = compiled;
  return {
    sent,
    nodes: edgeNodes!,
    /** What is said of a message before it is received. */
    notes: (topic: string, payload: object) => {
      const bound = reader!.bind!({ name: topic, captures: new Map() });
      const seen = bound.inspect!(Buffer.from(type.encode(payload as never)));
      return 'code' in seen ? [seen.code] : seen.notes;
    },
    pass: (ms: number) => {
      nowMs += ms;
    },
    /** The readings; `isTaken: false` as where there was no room for their records. */
    receive: (topic: string, payload: Buffer | object, isTaken = true) => {
      const bound = reader!.bind!({ name: topic, captures: new Map() });
      const bytes = Buffer.isBuffer(payload) ? payload : Buffer.from(type.encode(payload as never));
      const { batch } = bound;
      const count = batch!.open(bytes);
      const result = (() => {
        if (typeof count !== 'number') return count.code;
        if (count === 0) return undefined;
        batch!.select(0);
        const values = new FieldValues(fields.length);
        const fault = bound.read(bytes, values);
        return fault === undefined ? fields.map((_, slot) => plainValue(values, slot)) : fault.code;
      })();
      if (isTaken && result !== undefined) bound.taken!();
      batch!.close();
      return result;
    },
  };
}

const born = (metrics: object[], seq = 0, bdSeq = 1) => ({
  timestamp: 1,
  seq,
  metrics: [{ name: 'bdSeq', datatype: 4, long_value: bdSeq }, ...metrics],
});
const TEMP = { name: 'temp', alias: 1, datatype: 1, int_value: 20 };
const data = (seq: number, alias = 1, int_value = 0xff) => ({
  timestamp: 2,
  seq,
  metrics: [{ alias, int_value }],
});

test.each([
  ["Python's protobuf", 'vectors.json'],
  ['Eclipse Tahu', 'tahu/vectors.json'],
])('a conversation written by %s reads as what was written', (_, file) => {
  const vectors = vectorsOf(file);
  const names = [...new Set(vectors.flatMap(({ fields }) => Object.keys(fields)))];
  const { receive, sent } = plant(...names);
  for (const { topic, payload, fields } of vectors) {
    expect([topic, receive(topic, Buffer.from(payload, 'hex'))]).toEqual([
      topic,
      names.map((name) => value(fields[name] ?? null)),
    ]);
  }
  expect(sent).toEqual([]);
});

describe('births', () => {
  test('give aliases their names and types, until the next birth of the node', () => {
    const { receive } = plant('temp', 'other');
    receive('spBv1.0/g/NBIRTH/n', born([TEMP]));
    expect(receive('spBv1.0/g/NDATA/n', data(1))).toEqual([-1n, undefined]);
    receive('spBv1.0/g/NBIRTH/n', born([{ name: 'other', alias: 1, datatype: 5, int_value: 0 }]));
    expect(receive('spBv1.0/g/NDATA/n', data(1))).toEqual([undefined, 255n]);
  });

  test('of one node say nothing of another, not in another group either', () => {
    const { receive } = plant('temp');
    receive('spBv1.0/g/NBIRTH/n', born([TEMP]));
    expect(receive('spBv1.0/g/NDATA/n2', data(1))).toBe('SPARKPLUG_BIRTH_MISSING');
    expect(receive('spBv1.0/g2/NDATA/n', data(1))).toBe('SPARKPLUG_BIRTH_MISSING');
  });

  test('count only once there was room for their record, and as often as the gateway tries', () => {
    const { receive, nodes } = plant('temp');
    receive('spBv1.0/g/NBIRTH/n', born([TEMP]), false);
    expect(nodes.size).toBe(0);
    receive('spBv1.0/g/NBIRTH/n', born([TEMP]));
    receive('spBv1.0/g/NDATA/n', data(1), false);
    expect(receive('spBv1.0/g/NDATA/n', data(1))).toEqual([-1n]);
    expect(nodes.stats).toMatchObject({ births: 1, sequenceGaps: 0 });
  });

  test('that were not seen are asked for, once in a while, and the data is a dead letter', () => {
    const { receive, sent, pass } = plant('temp');
    expect(receive('spBv1.0/g/NDATA/n', data(7))).toBe('SPARKPLUG_BIRTH_MISSING');
    expect(receive('spBv1.0/g/DDATA/n/d', data(8))).toBe('SPARKPLUG_BIRTH_MISSING');
    expect(sent).toEqual([
      {
        topic: 'spBv1.0/g/NCMD/n',
        command: {
          timestamp: 5n,
          metrics: [{ name: 'Node Control/Rebirth', timestamp: 5n, datatype: 11, boolean_value: true }],
        },
      },
    ]);
    pass(REBIRTH_INTERVAL_MS);
    receive('spBv1.0/g/NDATA/n', data(9));
    expect(sent).toHaveLength(2);
  });

  test('are not needed for values that say by themselves what they are', () => {
    const { receive, sent } = plant('t', 'i');
    const metrics = [
      { name: 't', double_value: 1.5 },
      { name: 'i', datatype: 3, int_value: 0xffff_fffe },
    ];
    expect(receive('spBv1.0/g/NDATA/n', { timestamp: 1, seq: 3, metrics })).toEqual([1.5, -2n]);
    expect(sent).toHaveLength(1);
  });
});

describe('sequence numbers', () => {
  test('go round after 255; a gap is counted and asks for a birth', () => {
    const { receive, nodes, sent } = plant('temp');
    receive('spBv1.0/g/NBIRTH/n', born([TEMP], 254));
    for (const seq of [255, 0, 0, 1]) receive('spBv1.0/g/NDATA/n', data(seq));
    expect(nodes.stats.sequenceGaps).toBe(0);
    expect(receive('spBv1.0/g/NDATA/n', data(3))).toEqual([-1n]);
    expect(nodes.stats.sequenceGaps).toBe(1);
    expect(sent).toHaveLength(1);
  });

  test('are explained', () => {
    const { receive, notes } = plant('temp');
    const topic = 'spBv1.0/g/NDATA/n';
    const byName = { timestamp: 2, seq: 9, metrics: [{ ...TEMP, alias: undefined }] };
    expect(notes(topic, byName)[1]).toBe('no birth of its edge node is known: a rebirth is asked for');
    receive('spBv1.0/g/NBIRTH/n', born([TEMP], 254));
    expect(notes(topic, data(255))).toEqual(['Sparkplug B NDATA', 'seq 255, as expected']);
    expect(notes(topic, data(254))[1]).toBe('seq 254 once more: a repeat');
    expect(notes(topic, data(3))[1]).toBe('seq 3 where 255 was expected: a gap, and a rebirth is asked for');
    expect(receive(topic, data(255))).toEqual([-1n]);
  });
});

describe('deaths', () => {
  test('of an older connection are no record', () => {
    const { receive, nodes } = plant('$online');
    receive('spBv1.0/g/NBIRTH/n', born([], 0, 8));
    expect(receive('spBv1.0/g/NDEATH/n', born([], 0, 7))).toBeUndefined();
    expect(nodes.stats.staleDeaths).toBe(1);
    expect(receive('spBv1.0/g/NDEATH/n', born([], 0, 8))).toEqual([false]);
  });
});

test('commands are for edge nodes: no record', () => {
  const { receive } = plant('$source');
  expect(receive('spBv1.0/g/NCMD/n', data(0))).toBeUndefined();
  expect(receive('spBv1.0/g/DCMD/n/d', Buffer.alloc(0))).toBeUndefined();
});

test.each([
  ['spBv1.0/STATE/h', '{"online":true,"timestamp":1767225600000}', ['h', 'STATE', true, 1767225600000n]],
  ['STATE/h', 'OFFLINE', ['h', 'STATE', false, undefined]],
  ['spBv1.0/STATE/h', '{"online":1}', 'DECODE_FAILED'],
])('the state of a host, %s %s', (topic, payload, expected) => {
  expect(plant('$source', '$message', '$online', '$timestamp').receive(topic, Buffer.from(payload))).toEqual(
    expected,
  );
});

test.each(['spBv1.0/g/NDATA', 'spBv1.0/g/NDATA/n/d', 'spBv1.0/g/DDATA/n', 'spBv1.0/g/X/n', 'a/b/NDATA/n'])(
  '%s is no topic of Sparkplug B',
  (topic) => {
    expect(plant('$source').receive(topic, data(0))).toBe('DECODE_FAILED');
  },
);

test('all metrics can be had as JSON', () => {
  const { receive } = plant('$metrics');
  const [json] = receive(
    'spBv1.0/g/NBIRTH/n',
    born([TEMP, { name: 'raw', datatype: 17, bytes_value: Buffer.of(1) }]),
  ) as string[];
  expect(JSON.parse(json!)).toEqual([
    { name: 'bdSeq', value: 1, datatype: 4 },
    { name: 'temp', value: 20, datatype: 1 },
    { name: 'raw', value: 'AQ==', datatype: 17 },
  ]);
});

test('memory is bounded: the node that was born longest ago is forgotten', () => {
  const nodes = new EdgeNodes(
    () => undefined,
    () => 0,
    { nodes: 2, metrics: 5 },
  );
  const topic = (node: string) => ({ kind: 'NBIRTH', group: 'g', node, device: '', source: node }) as const;
  for (const name of ['a', 'b', 'c']) nodes.born(topic(name), undefined, 0);
  expect([nodes.size, nodes.find(topic('a'))]).toEqual([2, undefined]);
  const c = nodes.find(topic('c'))!;
  for (let alias = 0n; alias < 10n; alias++)
    nodes.addMetric(c, 'c', alias, { name: `m${alias}`, datatype: 1 });
  expect(nodes.size).toBe(0);
  expect(nodes.stats.forgotten).toBe(3);
});

test('changed and random payloads end in values or a reason', () => {
  const { receive } = plant('temp', '$metrics');
  receive('spBv1.0/g/NBIRTH/n', born([TEMP]));
  const sound = fc.constantFrom(
    ...[...vectorsOf('vectors.json'), ...vectorsOf('tahu/vectors.json')].map(({ payload }) =>
      Buffer.from(payload, 'hex'),
    ),
  );
  const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 });
  const mutated = fc.tuple(sound, changes).map(([payload, list]) => {
    const bytes = Buffer.from(payload);
    for (const [at, byte] of list) bytes[at % bytes.length] = byte;
    return bytes;
  });
  const random = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes));
  const topics = fc.constantFrom(
    'spBv1.0/g/NBIRTH/n',
    'spBv1.0/g/NDATA/n',
    'spBv1.0/g/DDATA/n/d',
    'spBv1.0/STATE/h',
  );
  fc.assert(
    fc.property(topics, fc.oneof(mutated, random), (topic, payload) => {
      const result = receive(topic, payload);
      if (typeof result === 'string')
        expect(result).toMatch(/^(DECODE_FAILED|PAYLOAD_EMPTY|FIELD_TYPE|SPARKPLUG_\w+)$/);
    }),
    { numRuns: 1_000 },
  );
});

test('a profile may name any metric, and of ours only those that there are', () => {
  expect(
    compileReader({ kind: 'sparkplug' }, { fields: ['Node Info/a.b[c]', '$nope'], levels: [] }),
  ).toMatchObject({
    problems: [{ field: 1, found: '$nope' }],
  });
});
