import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Plan, type PlanReport } from '../../../src/features/explain/plan.ts';
import type { CapturedMessage } from '../../../src/features/capture/captured-message.ts';
import { loadPayloadType } from '../../../src/decode/sparkplug/message.ts';
import { messageOf, NOW, RehearsalFolder } from './stage.ts';

let present: RehearsalFolder;
let next: RehearsalFolder;

beforeEach(() => {
  present = new RehearsalFolder();
  next = new RehearsalFolder();
});

afterEach(() => {
  present.remove();
  next.remove();
});

const BASE = `
topic: fleet/{site}/{device}
decode: json
device: '{device}'
metrics: { speed: { field: v, unit: km/h } }
produce: { topic: telemetry }
`;

type Profiles = Readonly<Record<string, string>>;

function plan(
  from: Profiles | string,
  to: Profiles | string,
  messages: Iterable<CapturedMessage>,
  examples = 2,
): PlanReport {
  const profilesOf = (given: Profiles | string): Profiles =>
    typeof given === 'string' ? { sensor: given } : given;
  const made = new Plan(
    present.rehearsal(present.configure(profilesOf(from))),
    next.rehearsal(next.configure(profilesOf(to))),
    examples,
  );
  for (const message of messages) made.perform(message);
  return made.report();
}

const send = (v: unknown, rest: Partial<CapturedMessage> = {}): CapturedMessage =>
  messageOf('fleet/oslo/d-1', { v, n: v }, rest);

/** What differs, with its first example. */
const changes = ({ groups }: PlanReport): string[] =>
  groups.map(({ what, examples: [first], records }) => `${records} ${what}: ${first?.from} -> ${first?.to}`);

describe('a plan', () => {
  it('finds nothing where nothing differs, whatever the messages are', () => {
    const report = plan(BASE, BASE, [
      send(1),
      send('x'),
      messageOf('other', {}),
      messageOf('fleet/a/b', Buffer.of(0)),
    ]);
    expect(report).toMatchObject({ messages: 4, changedMessages: 0, newFailures: 0, groups: [] });
    expect(report.topics).toEqual([
      { topic: '(local only)', present: 1, next: 1 },
      { topic: 'telemetry', present: 2, next: 2 },
      { topic: 'telemetry.dlq', present: 1, next: 1 },
    ]);
  });

  it('shows values, units and what fails anew, grouped and with examples', () => {
    const report = plan(
      BASE,
      BASE.replace(
        '{ field: v, unit: km/h }',
        '{ field: v, from: km/h, unit: m/s, range: { max: 10, else: reject } }',
      ),
      [send(18), send(36), send(72), send(108)],
    );
    expect(report).toMatchObject({ messages: 4, changedMessages: 4, newFailures: 2, mended: 0 });
    expect(report.topics).toEqual([
      { topic: 'telemetry', present: 4, next: 2 },
      { topic: 'telemetry.dlq', present: 0, next: 2 },
    ]);
    expect(changes(report)).toEqual([
      '2 becomes: a record -> a dead letter (OUT_OF_RANGE)',
      '2 metrics.speed: 18 km/h -> 5 m/s',
    ]);
    expect(report.groups[0]!.examples).toEqual([
      { index: 3, topic: 'fleet/oslo/d-1', from: 'a record', to: 'a dead letter (OUT_OF_RANGE)' },
      { index: 4, topic: 'fleet/oslo/d-1', from: 'a record', to: 'a dead letter (OUT_OF_RANGE)' },
    ]);
  });

  it.each([
    ['attributes: { site: "{site}" }', '', ['1 attributes.site: (none) -> oslo']],
    ['sequence: { field: n }', '', ['1 sequence: (none) -> 1']],
    ['ack: receive', '', ['1 contract: kafka -> receive']],
    ['', '{ topic: other }', ['1 topic: telemetry -> other']],
    ['', '{ topic: telemetry, key: "{site}" }', ['1 key: d-1 -> oslo']],
    ['', '{ topic: telemetry, key: none }', ['1 key: d-1 -> (none)']],
    ['', '{ topic: telemetry, headers: [topic, qos] }', ['1 headers.mqtt.qos: (none) -> 1']],
    [
      '',
      '{ topic: telemetry, format: json }',
      [
        '1 headers.content-type: application/protobuf; proto=sluice.v1.Telemetry -> application/json; schema=sluice.v1.Telemetry',
      ],
    ],
    ['time: { field: at, unit: ms }', '', ['1 headers.sluice.timestamp: (none) -> receipt']],
    ['filter: { min.interval.ms: 60000 }', '', []],
  ])('of %s%s shows exactly that', (line, produce, expected) => {
    const to = BASE.replace('{ topic: telemetry }', produce === '' ? '{ topic: telemetry }' : produce) + line;
    expect(changes(plan(BASE, to, [send(1)]))).toEqual(expected);
  });

  it('of CloudEvents does not take ids, which are drawn anew, for a change', () => {
    const events = BASE.replace('{ topic: telemetry }', '{ topic: telemetry, cloudevents: true }');
    expect(plan(events, events, [send(1), send(2)]).changedMessages).toBe(0);
    expect(plan(BASE, events, [send(1)]).groups.map(({ what }) => what)).not.toContain('headers.ce_id');
  });

  it('shows profiles that come and go, and names those that no message is for', () => {
    const other = BASE.replace('fleet/{site}/{device}', 'lab/{device}');
    const report = plan(
      { sensor: BASE },
      { sensor: BASE, lab: other, spare: other.replace('lab', 'spare') },
      [messageOf('lab/d', { v: 1 })],
    );
    expect(report.groups.map(({ type, what, from, to }) => [type, what, from, to])).toEqual([
      [undefined, 'becomes', 'local only', 'nothing'],
      ['lab', 'becomes', 'nothing', 'a record'],
    ]);
    expect(report.unseen).toEqual(['sensor', 'spare']);
  });

  it('remembers of devices what each configuration would, by the time of receipt', () => {
    const filtered = `${BASE}filter: { min.interval.ms: 60000 }\n`;
    const messages = [0, 10, 59, 60, 61, 130].map((s) => send(s, { receivedAtMs: NOW + s * 1_000 }));
    const report = plan(BASE, filtered, messages);
    expect(report.topics).toEqual([
      { topic: '(filtered)', present: 0, next: 3 },
      { topic: 'telemetry', present: 6, next: 3 },
    ]);
    expect(report.groups[0]!.examples.map(({ index }) => index)).toEqual([2, 3]);
    // What is held back is no failure.
    expect(report.newFailures).toBe(0);
  });

  it('understands data by the births before it: Sparkplug B', () => {
    const birth = readFileSync(join(import.meta.dirname, '../../../devices/samples/sparkplug.bin'));
    const type = loadPayloadType();
    const { metrics } = type.decode(birth) as { metrics: { name: string; alias?: bigint }[] };
    const temperature = metrics.find(({ name }) => name === 'Process/Temperature')!;
    const data = type.encode({
      timestamp: BigInt(NOW),
      seq: 1n,
      metrics: [
        temperature.alias === undefined
          ? { name: temperature.name, int_value: 0xfff0 }
          : { alias: temperature.alias, int_value: 0xfff0 },
      ],
    });
    const profile = (unit: string): string => `
topic: spBv1.0/#
decode: sparkplug
device: $source
metrics: { temperature: { field: Process/Temperature, from: Cel, unit: ${unit} } }
produce: { topic: telemetry }
`;
    const line = (kind: string, payload: Buffer) => messageOf(`spBv1.0/plant/${kind}/line-1`, payload);
    const report = plan(profile('Cel'), profile('K'), [
      line('NDATA', Buffer.from(data)),
      line('NBIRTH', birth),
      line('NDATA', Buffer.from(data)),
    ]);
    expect(report.topics).toEqual([
      { topic: 'telemetry', present: 2, next: 2 },
      { topic: 'telemetry.dlq', present: 1, next: 1 },
    ]);
    expect(report.groups[0]!.examples.map(({ from, to }) => [from, to])).toEqual([
      ['-4 Cel', '269.15 K'],
      ['-16 Cel', '257.15 K'],
    ]);
  });

  it('compares each reading of a message with itself', () => {
    const list = BASE.replace('field: v', "field: 'l[].v'");
    const report = plan(list, list.replace('unit: km/h', 'unit: km/h, range: { max: 1, else: reject }'), [
      messageOf('fleet/a/d', { l: [{ v: 1 }, { v: 2 }, { v: 3 }] }),
    ]);
    expect(report).toMatchObject({ messages: 1, changedMessages: 1, newFailures: 2 });
  });

  it('does not grow with the capture: 12,000 messages that all differ are a few groups', () => {
    const many = function* (): Generator<CapturedMessage> {
      for (let n = 0; n < 12_000; n++) {
        yield messageOf(`fleet/s-${n}/d-${n % 50}`, { v: n });
      }
    };
    const report = plan(BASE, BASE.replace('topic: telemetry', 'topic: telemetry, key: "{site}"'), many());
    expect(report.changedMessages).toBe(12_000);
    expect(report.groups).toHaveLength(1);
    expect(report.groups[0]).toMatchObject({ what: 'key', records: 12_000 });
    expect(report.groups[0]!.examples).toHaveLength(2);
  });
});
