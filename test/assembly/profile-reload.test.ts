import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { drawBlueprint, type Blueprint } from '../../src/assembly/blueprint.ts';
import { Ledger } from '../../src/delivery/ledger/ledger.ts';
import { LiveRoutes } from '../../src/assembly/live-routes.ts';
import { ProfileReload } from '../../src/assembly/profile-reload.ts';
import { describeFault } from '../../src/config/faults.ts';
import { NO_HEADERS, type SerializedRecord } from '../../src/core/record.ts';
import { readEnvelope, type Telemetry } from '../../src/decode/envelope/envelope.ts';
import { ConfigFolder } from '../config/files.ts';
import { ManualClock } from '../testbed/fleet/manual-clock.ts';
import { LogLines } from '../support/log-lines.ts';

const SENSOR = `
type: sensor
topic: fleet/{device}/telemetry
decode: { protobuf: { file: ../proto/sensor.proto, message: Sensor } }
device: '{device}'
sequence: { field: n }
metrics: { temperature: { field: t } }
produce: { topic: telemetry }
`;
const SCHEMA =
  'syntax = "proto3"; import "unit.proto"; message Sensor { uint32 n = 1; double t = 2; Unit u = 3; }';

let files: ConfigFolder;
let clock: ManualClock;
let log: LogLines;
let running: ProfileReload;
let blueprint: Blueprint;
let routes: LiveRoutes;
let exchanges: number;

beforeEach(() => {
  files = new ConfigFolder();
  clock = new ManualClock();
  log = new LogLines();
  exchanges = 0;
  files.write('sluice.yaml', 'kafka: { client.id: gw }\n');
  files.write('devices/sensor.yaml', SENSOR);
  files.write('proto/sensor.proto', SCHEMA);
  files.write('proto/unit.proto', 'syntax = "proto3"; message Unit { string name = 1; }');
});

afterEach(() => {
  running.stop();
  files.remove();
});

const file = () => `${files.folder}/sluice.yaml`;

function run(): void {
  const drawn = drawBlueprint(file(), {});
  expect(drawn.faults).toEqual([]);
  blueprint = drawn.blueprint;
  routes = new LiveRoutes(blueprint, new Ledger());
  running = new ProfileReload({
    blueprint,
    redraw: (current) => drawBlueprint(file(), {}, { running: current }),
    exchange: (set) => {
      exchanges++;
      routes.exchange(set);
    },
    clock,
    logger: log,
  });
  running.start();
}

/** Two looks later: what has changed is settled. */
function pass(): void {
  clock.advance(2_500);
}

const topic = { name: 'fleet/d-1/telemetry', id: 7 };
const record: SerializedRecord = { topic: '', key: null, value: null, timestampMs: 0, headers: NO_HEADERS };

/** Routes one message of d-1 with the protobuf fields n and t. */
function send(n: number, t: number): Telemetry {
  const payload = Buffer.alloc(11);
  payload.set([0x08, n, 0x11]);
  payload.writeDoubleLE(t, 3);
  const [route] = routes.resolve(topic);
  const options = { qos: 1, retain: false, dup: false, packetId: 1, clientId: 'c', receivedAtMs: 1 } as const;
  expect(route!.toRecord({ topic, payload, ...options }, record)).toBeUndefined();
  route!.taken();
  return readEnvelope(record.value!);
}

const names = () => send(1, 20).metrics.map(({ name }) => name);
const metric = (name: string) =>
  running
    .metrics()
    .find((one) => one.name === name)
    ?.read();

describe('a change of files', () => {
  test('of a profile is in use once nobody writes any more', () => {
    run();
    expect(names()).toEqual(['temperature']);
    files.write('devices/sensor.yaml', SENSOR.replace('temperature', 'temp'));
    clock.advance(1_000);
    files.write('devices/sensor.yaml', SENSOR.replace('temperature', 'celsius'));
    clock.advance(1_000);
    expect(names()).toEqual(['temperature']);
    clock.advance(1_000);
    expect(names()).toEqual(['celsius']);
    expect(exchanges).toBe(1);
    pass();
    expect(exchanges).toBe(1);
  });

  test('of a schema, or of what it imports, is noticed as well', () => {
    run();
    files.write('proto/sensor.proto', SCHEMA.replace('double t = 2', 'double heat = 2'));
    files.write('devices/sensor.yaml', SENSOR.replace('field: t', 'field: heat'));
    pass();
    expect([exchanges, names()]).toEqual([1, ['temperature']]);
    files.write('proto/unit.proto', 'syntax = "proto3"; message Unit { string symbol = 1; }');
    pass();
    expect(exchanges).toBe(2);
  });

  test('a profile that is added gets its topics, and one that is removed loses them', () => {
    run();
    files.write(
      'devices/pump.yaml',
      'type: pump\ntopic: pumps/{device}\ndecode: raw\ndevice: "{device}"\nproduce: { topic: pumps, value: raw }\n',
    );
    pass();
    const pump = { name: 'pumps/p-1', id: 8 };
    expect(routes.resolve(pump)).toHaveLength(1);
    expect(routes.set.kafkaTopics).toContain('pumps');
    files.write('devices/pump.yaml', '');
    running.reload('signal');
    expect(routes.resolve(pump)).toHaveLength(1);
    files.removeFile('devices/pump.yaml');
    pass();
    expect(routes.resolve(pump)).toEqual([]);
    expect(routes.set.kafkaTopics).not.toContain('pumps');
    // Its records may still be on the way.
    expect(routes.deadLetterTopic('pump')).toBe('pumps.dlq');
  });

  test('is left alone with profiles.reload: signal, until the signal', () => {
    files.write('sluice.yaml', 'profiles.reload: signal\n');
    run();
    files.write('devices/sensor.yaml', SENSOR.replace('temperature', 'celsius'));
    pass();
    expect(names()).toEqual(['temperature']);
    expect(running.reload('signal')).toBe(true);
    expect(names()).toEqual(['celsius']);
  });
});

describe('a faulty new set', () => {
  test('is refused as a whole, with the faults that check names, and the old one goes on', () => {
    run();
    files.write('devices/sensor.yaml', SENSOR.replace('temperature', 'celsius'));
    files.write('devices/wrong.yaml', 'type: wrong\ntopic: a/#/b\ndecode: jsn\n');
    pass();
    expect(names()).toEqual(['temperature']);
    const { faults } = drawBlueprint(file(), {});
    expect(faults.length).toBeGreaterThan(2);
    for (const fault of faults) expect(log.text).toContain(JSON.stringify(describeFault(fault)));
    expect(log.text).toContain('the old ones stay in use');
    expect(running.description()).toContain('a newer set was refused at 2026-01-01T00:00:02.000Z');
    expect(running.description()).toContain(`(and ${faults.length - 1} more)`);
    expect([metric('sluice_profiles_refused_total'), metric('sluice_profiles_refused')]).toEqual([1, 1]);
    expect(metric('sluice_profiles_generation')).toBe(1);
    pass();
    expect(metric('sluice_profiles_refused_total')).toBe(1);
  });

  test('that is mended is in use, even if only a schema was that the old set does not have', () => {
    run();
    files.write(
      'proto/other.proto',
      'syntax = "proto3"; import "missing.proto"; message Sensor { uint32 n = 1; Missing t = 2; }',
    );
    files.write('devices/sensor.yaml', SENSOR.replace('sensor.proto', 'other.proto'));
    pass();
    expect(metric('sluice_profiles_refused')).toBe(1);
    files.write('proto/missing.proto', 'syntax = "proto3"; message Missing { double v = 1; }');
    files.write('proto/other.proto', SCHEMA);
    pass();
    expect(metric('sluice_profiles_refused')).toBe(0);
    expect(metric('sluice_profiles_generation')).toBe(2);
    expect(metric('sluice_profiles_loaded_timestamp_seconds')).toBe(Date.UTC(2026, 0, 1) / 1_000 + 4);
    expect(running.description()).toBe('generation 2 of 1 device profiles, since 2026-01-01T00:00:04.000Z');
  });

  test('is one that only a restart would make sound', () => {
    run();
    files.write('sluice.yaml', 'kafka: { client.id: gw, schema.registry: { url: "http://127.0.0.1:9" } }\n');
    files.write(
      'devices/sensor.yaml',
      SENSOR.replace('topic: telemetry', 'topic: telemetry, subject: "{topic}"'),
    );
    expect(drawBlueprint(file(), {}).faults).toEqual([]);
    pass();
    expect(exchanges).toBe(0);
    expect(log.text).toMatch(/sensor\.yaml:\d+ produce\.subject: .*needs a restart/);
  });

  test('is the first one whose contract needs the journal: it is opened at the start, or not at all', () => {
    run();
    files.write('devices/sensor.yaml', `${SENSOR}ack: journal\n`);
    expect(drawBlueprint(file(), {}).faults).toEqual([]);
    pass();
    expect(exchanges).toBe(0);
    expect(log.text).toMatch(/sensor\.yaml:\d+ ack: .*needs a restart/);
  });
});

test('what a type has on disk is not overtaken: its contract stays the journal until a restart', () => {
  files.write('devices/sensor.yaml', `${SENSOR}ack: journal\n`);
  run();
  files.write('devices/sensor.yaml', `${SENSOR}ack: kafka\n`);
  pass();
  expect(exchanges).toBe(0);
  expect(log.text).toMatch(
    /sensor\.yaml:\d+ ack: found kafka, expected journal, as before; .*needs a restart/,
  );
});

test('what else was changed in sluice.yaml is named, without its values', () => {
  run();
  const registry = '{ url: "http://127.0.0.1:9", basic.auth.user.info: "me:hush" }';
  files.write(
    'sluice.yaml',
    `mqtt: { listeners: [{ port: 1999 }] }\nkafka: { client.id: gw, schema.registry: ${registry} }\n`,
  );
  pass();
  expect(log.text).toContain('needs a restart: mqtt.listeners, kafka.schema.registry');
  expect(log.text).not.toContain('hush');
});

describe('what is remembered of devices', () => {
  test('is kept where it still means the same: a sequence goes on', () => {
    run();
    send(1, 20);
    files.write(
      'devices/sensor.yaml',
      SENSOR.replace('temperature', 'celsius').replace('telemetry }', 'other }'),
    );
    pass();
    send(4, 20);
    expect(record.topic).toBe('other');
    expect([...routes.set.compiled.values()][0]?.devices.totals.missing).toBe(2);
  });

  test('begins anew where it does not', () => {
    run();
    send(1, 20);
    files.write('devices/sensor.yaml', SENSOR.replace('field: n', 'field: n, modulo: 256'));
    pass();
    send(4, 20);
    expect([...routes.set.compiled.values()][0]?.devices.totals.missing).toBe(0);
  });

  test('is not touched by a set that is refused', () => {
    run();
    send(1, 20);
    files.write('devices/sensor.yaml', SENSOR.replace('field: n', 'field: nope'));
    pass();
    send(3, 20);
    expect([...routes.set.compiled.values()][0]?.devices.totals.missing).toBe(1);
  });

  test("of Sparkplug's edge nodes lasts as long as the type is read as Sparkplug", () => {
    files.write(
      'devices/sensor.yaml',
      'type: plant\ntopic: spBv1.0/#\ndecode: sparkplug\ndevice: $source\nproduce: { topic: telemetry }\n',
    );
    run();
    const before = [...routes.set.compiled.values()][0]?.edgeNodes;
    files.write(
      'devices/sensor.yaml',
      'type: plant\ntopic: spBv1.0/#\ndecode: sparkplug\ndevice: $source\nmetrics: { t: { field: T } }\nproduce: { topic: plant }\n',
    );
    pass();
    expect([exchanges, [...routes.set.compiled.values()][0]?.edgeNodes === before]).toEqual([1, true]);
  });
});
