import { execFileSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { CONTRACTS } from '../../src/core/contract.ts';
import { ConfigFolder, PROFILE } from './files.ts';

const ROOT = join(import.meta.dirname, '../..');
const LOAD = join(ROOT, 'src/config/load.ts');

let home: ConfigFolder;
beforeEach(() => {
  home = new ConfigFolder();
});
afterEach(() => {
  home.remove();
});

describe('a configuration without faults', () => {
  test('a configuration that says nothing has the defaults', () => {
    const { config, faults, profiles } = home.load('profiles: devices');
    expect(faults).toEqual([]);
    expect(profiles.map(({ type }) => type)).toEqual(['sensor']);
    expect(config).toEqual({
      mqtt: {
        listeners: [{ type: 'tcp', host: '127.0.0.1', port: 1883, proxyProtocol: false }],
        inflightQuota: 64,
        readAheadBytes: 65_536,
        memoryLimitBytes: 268_435_456,
        maxPacketBytes: 262_144,
        connectTimeoutMs: 10_000,
        maxConnections: 20_000,
        refusalDelayMs: 1_000,
        sysIntervalMs: 10_000,
        sessions: {
          directory: join(home.folder, '.sluice/sessions'),
          max: 100_000,
          expiryMs: 604_800_000,
          queueMessages: 1_000,
          queueBytes: 4_194_304,
          queueTotalBytes: 268_435_456,
          subscriptions: 1_000,
          filterLevels: 10_000,
          filterLevelsTotal: 100_000,
        },
      },
      admin: { host: '127.0.0.1', port: 8080 },
      kafka: {
        bootstrapServers: undefined,
        clientId: 'sluice',
        local: { port: 9092, dataDir: join(home.folder, '.sluice/kafka') },
        security: {},
        producer: {},
        topics: { create: true, partitions: 8, replicationFactor: undefined, config: {} },
      },
      commands: [],
      presence: undefined,
      dlq: { stateTopic: 'sluice.dlq.state' },
      journal: {
        directories: [join(home.folder, '.sluice/journal')],
        maxBytes: 4_294_967_296,
        maxAgeMs: Number.POSITIVE_INFINITY,
        whenFull: 'block',
        segmentBytes: 67_108_864,
        segmentMaxAgeMs: 3_600_000,
        commitIntervalMs: 5,
        commitBytes: 1_048_576,
        bufferBytes: 16_777_216,
        checkpointIntervalMs: 1_000,
        stalledAfterMs: 1_000,
        key: undefined,
        spill: { afterMs: 1_000, bufferShare: 0.5 },
        replay: { rate: Number.POSITIVE_INFINITY, share: 0.5 },
      },
      profiles: join(home.folder, 'devices'),
      profilesReload: 'change',
      unrouted: { policy: 'local', deadLetterTopic: 'unrouted.dlq' },
      log: { level: 'info', format: 'auto' },
      shutdownTimeoutMs: 30_000,
    });
  });

  test('each key of the configuration comes to the value that the file gives it', () => {
    const { config, faults } = home.load(`
mqtt:
  listeners:
    - { type: tcp, host: 0.0.0.0, port: 1884 }
    - { host: "::1", port: 0 }
  inflight.quota: 128
admin: { port: 0 }
kafka:
  bootstrap.servers: broker-1:9092, [::1]:9093
  client.id: edge-7
  local: { port: 9999, data: /var/lib/kafka }
  producer: { acks: all, linger.ms: 5, enable.idempotence: true }
  topics:
    create: false
    replication.factor: 3
    config: { retention.ms: 604800000, cleanup.policy: delete }
unrouted: dead-letter
unrouted.topic: strays
log: { level: debug, format: json }
shutdown.timeout.ms: 0
`);
    expect(faults).toEqual([]);
    expect(config).toMatchObject({
      mqtt: {
        listeners: [
          { type: 'tcp', host: '0.0.0.0', port: 1884 },
          { type: 'tcp', host: '::1', port: 0 },
        ],
        inflightQuota: 128,
      },
      admin: { host: '127.0.0.1', port: 0 },
      kafka: {
        bootstrapServers: ['broker-1:9092', '[::1]:9093'],
        clientId: 'edge-7',
        local: { port: 9999, dataDir: '/var/lib/kafka' },
        producer: { acks: 'all', 'linger.ms': 5, 'enable.idempotence': true },
        topics: {
          create: false,
          partitions: 8,
          replicationFactor: 3,
          config: { 'retention.ms': '604800000', 'cleanup.policy': 'delete' },
        },
      },
      unrouted: { policy: 'dead-letter', deadLetterTopic: 'strays' },
      log: { level: 'debug', format: 'json' },
      shutdownTimeoutMs: 0,
    });
  });

  test('brokers may be a list', () => {
    const { config, faults } = home.load('kafka: { bootstrap.servers: [a:1, "b:2,c:3"] }');
    expect(faults).toEqual([]);
    expect(config.kafka.bootstrapServers).toEqual(['a:1', 'b:2', 'c:3']);
  });

  test('a section whose keys are all comments is no fault', () => {
    const { faults } = home.load('mqtt:\nkafka:\n  # bootstrap.servers: a:1\n  topics:\n');
    expect(faults).toEqual([]);
  });

  test('anchors and aliases of YAML are followed', () => {
    const { config, faults } = home.load(
      'admin: { host: &here 127.0.0.2 }\nmqtt: { listeners: [{ host: *here }] }',
    );
    expect(faults).toEqual([]);
    expect(config.mqtt.listeners[0]?.host).toBe('127.0.0.2');
  });

  describe('that nobody named', () => {
    const loadThere = (): LoadedConfig => {
      // In a process of its own, because the working directory is the process's.
      const script = `
        import { loadConfig } from ${JSON.stringify(LOAD)};
        console.log(JSON.stringify(loadConfig(undefined, {})));
      `;
      const options = { cwd: home.folder, encoding: 'utf8' } as const;
      return JSON.parse(
        execFileSync(process.execPath, ['--input-type=module', '-e', script], options),
      ) as LoadedConfig;
    };

    test('without a name sluice.yaml of the working directory is the configuration', () => {
      home.load('kafka: { client.id: mine }');
      expect(loadThere()).toMatchObject({
        file: 'sluice.yaml',
        faults: [],
        config: { kafka: { clientId: 'mine' } },
      });
    });

    test('without any file the shipped configuration is taken, and its data are kept in the working directory', () => {
      const { file, faults, config, profiles } = loadThere();
      expect(faults).toEqual([]);
      expect(file).toBe(join(ROOT, 'sluice.yaml'));
      expect(profiles.length).toBeGreaterThanOrEqual(3);
      expect(config.kafka.local.dataDir).toBe(join(realpathSync(home.folder), '.sluice/kafka'));
    });
  });
});

describe('faults', () => {
  test('all faults are told at once, each with line, key, what is there and what should be', () => {
    const loaded = home.load(`
mqtt:
  listeners:
    - { type: tcp, host: 127.0.0.1, port: 70000 }
    - { type: udp, prot: 1 }
  inflght.quota: 3
  inflight: { quota: 4 }
admin: { host: 127.0.0.1, port: x }
kafka.client.id: foo
kafka:
  bootstrap.servers: foo
  producer: { acks: all, linger: { ms: 25 } }
  topics: { partitions: 0, create: yes please }
  partitions: 4
  client-id: edge
unrouted: deadletter
unrouted.topic: "a b"
shutdown.timeout.ms: 1.5
wholly.unheard.of: 1
`);
    expect(home.lines(loaded)).toEqual([
      'sluice.yaml:3 mqtt.listeners[0].port: found 70000, expected an integer from 0 to 65535',
      'sluice.yaml:4 mqtt.listeners[1].type: found "udp", expected tcp or tls or ws or wss or unix',
      'sluice.yaml:4 mqtt.listeners[1].prot: found an unknown key, expected `port` (did you mean that?)',
      'sluice.yaml:5 mqtt.inflght.quota: found an unknown key, expected `inflight.quota` (did you mean that?)',
      'sluice.yaml:6 mqtt.inflight: found an unknown key, expected one key with dots, `inflight.quota:`',
      'sluice.yaml:7 admin.port: found "x", expected an integer from 0 to 65535',
      'sluice.yaml:8 kafka.client.id: found an unknown key, expected `client.id:` below `kafka:`',
      'sluice.yaml:10 kafka.bootstrap.servers: found "foo", expected host:port, several with commas or as a list',
      'sluice.yaml:11 kafka.producer.linger: found a map, expected names with dots, `linger.ms:`',
      'sluice.yaml:12 kafka.topics.create: found "yes please", expected true or false',
      'sluice.yaml:12 kafka.topics.partitions: found 0, expected an integer from 1 to 100000',
      'sluice.yaml:13 kafka.partitions: found an unknown key, expected this key at `kafka: topics: partitions`',
      'sluice.yaml:14 kafka.client-id: found an unknown key, expected `client.id` (did you mean that?)',
      'sluice.yaml:15 unrouted: found "deadletter", expected local or dead-letter or refuse',
      'sluice.yaml:16 unrouted.topic: found "a b", expected a Kafka topic name: 1 to 245 of the characters a-z A-Z 0-9 . _ -',
      'sluice.yaml:17 shutdown.timeout.ms: found 1.5, expected an integer from 0 to 3600000',
      'sluice.yaml:18 wholly.unheard.of: found an unknown key, expected one of mqtt, admin, kafka, commands, presence, journal, profiles, profiles.reload, unrouted, unrouted.topic, audit, dlq, log, shutdown.timeout.ms',
    ]);
    // What is sound still counts, so that the other stages can look at their parts.
    expect(loaded.config).toMatchObject({
      admin: { host: '127.0.0.1', port: 8080 },
      kafka: { producer: { acks: 'all' }, topics: { partitions: 8 } },
    });
  });

  test.each(['platformatic', 'kafkajs'])('kafka.adapter: %s is refused: there is one producer', (adapter) => {
    expect(home.lines(home.load(`kafka: { adapter: ${adapter} }\n`))).toEqual([
      `sluice.yaml:1 kafka.adapter: found "${adapter}", expected native, or nothing: the gateway's own producer is the only one`,
    ]);
  });

  test('kafka.adapter: native, the only choice that is left of 0.1.0, is accepted', () => {
    expect(home.lines(home.load('kafka: { adapter: native }\n'))).toEqual([]);
  });

  test.each([
    ['', 'sluice.yaml: found an empty file, expected a configuration, e.g. profiles: devices'],
    [
      '# only a comment\n',
      'sluice.yaml: found an empty file, expected a configuration, e.g. profiles: devices',
    ],
    [
      '- a\n- b\n',
      'sluice.yaml:1: found a list, expected a map of mqtt, admin, kafka, commands, presence, journal, profiles, profiles.reload, unrouted, unrouted.topic, audit, dlq, log, shutdown.timeout.ms',
    ],
    [
      'just text',
      'sluice.yaml:1: found "just text", expected a map of mqtt, admin, kafka, commands, presence, journal, profiles, profiles.reload, unrouted, unrouted.topic, audit, dlq, log, shutdown.timeout.ms',
    ],
    [
      'admin: 1\nadmin: { port: 2 }\n',
      'sluice.yaml:2 admin: found the same key a second time, expected every key once',
    ],
    [
      'mqtt: []',
      'sluice.yaml:1 mqtt: found an empty list, expected a map of listeners, inflight.quota, read.ahead.bytes, memory.limit.bytes, max.packet.bytes, connect.timeout.ms, max.connections, refusal.delay.ms, sys.interval.ms, sessions',
    ],
    [
      'mqtt: { listeners: [] }',
      'sluice.yaml:1 mqtt.listeners: found an empty list, expected at least one listener',
    ],
    [
      'mqtt: { listeners: { port: 1 } }',
      'sluice.yaml:1 mqtt.listeners: found a map, expected a list of listeners: - { type: tcp, host: 127.0.0.1, port: 1883 }',
    ],
    [
      'mqtt: { memory.limit.bytes: 1048576, max.packet.bytes: 2000000 }',
      'sluice.yaml:1 mqtt.memory.limit.bytes: found 1048576, expected at least max.packet.bytes (2000000)',
    ],
    [
      'kafka: { bootstrap.servers: "a:1,b:70000" }',
      'sluice.yaml:1 kafka.bootstrap.servers: found "a:1,b:70000", expected host:port, several with commas or as a list',
    ],
    [
      'kafka: { bootstrap.servers: [] }',
      'sluice.yaml:1 kafka.bootstrap.servers: found an empty list, expected host:port, several with commas or as a list',
    ],
    [
      'kafka: { bootstrap.servers: [a:1, 5] }',
      'sluice.yaml:1 kafka.bootstrap.servers[1]: found 5, expected host:port, several with commas or as a list',
    ],
    ['admin: { port: }', 'sluice.yaml:1 admin.port: found nothing, expected an integer from 0 to 65535'],
    [
      'profiles: 5',
      'sluice.yaml:1 profiles: found 5, expected a folder of device profiles, relative to this file',
    ],
    [
      'profiles: elsewhere',
      'sluice.yaml:1 profiles: found no folder elsewhere, expected a folder with device profiles, *.yaml',
    ],
  ])('the configuration %j is refused: %s', (config, expected) => {
    expect(home.lines(home.load(config))).toEqual([expected]);
  });

  test('a fault of YAML syntax has its line, and nothing is guessed from such a file', () => {
    const lines = home.lines(home.load('admin:\n  port: [1\nkafka: {\n'));
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines)
      expect(line).toMatch(/^sluice\.yaml:\d+: found YAML that can't be read: .*, expected YAML 1\.2$/);
  });

  test('a configuration file that is not there is a fault', () => {
    const loaded = loadConfig(join(home.folder, 'gone.yaml'), {});
    expect(home.lines(loaded)).toEqual([
      'gone.yaml: found no such file, expected a YAML file that can be read',
    ]);
  });

  test('aliases that multiply without end are a fault', () => {
    const bomb = [
      'a0: &a0 x',
      ...Array.from({ length: 12 }, (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n},`.repeat(9)}]`),
    ];
    const lines = home.lines(home.load(bomb.join('\n')));
    expect(lines).toEqual([
      'sluice.yaml: found Excessive alias count indicates a resource exhaustion attack, expected aliases that resolve',
    ]);
  });

  test('a fault never shows a secret', () => {
    const loaded = home.load(`
kafka:
  bootstrap.servers: https://user:hunter2@broker
  producer:
    sasl.jaas.config: [hunter2]
    sasl.password: { of: hunter2 }
  ssl.key.password: hunter2
`);
    const text = JSON.stringify(loaded.faults);
    expect(loaded.faults.length).toBeGreaterThan(2);
    expect(text).not.toContain('hunter2');
    const other = loaded.locate({
      path: ['kafka', 'producer', 'sasl.password'],
      found: 'hunter2',
      expected: 'x',
    });
    expect(other).toMatchObject({ found: 'a value (hidden)', line: 5 });
  });
});

describe('a fault that another stage found', () => {
  test('a fault of another stage gets the line of its key, or of what is nearest above it', () => {
    const loaded = home.load('profiles: devices\nkafka:\n  producer:\n    linger.ms: -1\n');
    const fault = { found: '-1', expected: '0 or more' };
    expect(loaded.locate({ path: ['kafka', 'producer', 'linger.ms'], ...fault })).toEqual({
      file: loaded.file,
      line: 4,
      key: 'kafka.producer.linger.ms',
      ...fault,
    });
    expect(loaded.locate({ path: ['kafka', 'topics', 'partitions'], ...fault }).line).toBe(2);
  });

  test('a fault in a profile gets the file of that profile', () => {
    const loaded = home.load('profiles: devices');
    const profile = loaded.profiles[0]!;
    const located = loaded.locate({ path: ['produce', 'topic'], found: 'x', expected: 'y' }, profile);
    expect(located).toEqual({ file: profile.file, line: 5, key: 'produce.topic', found: 'x', expected: 'y' });
  });

  test('a fault in a key that a variable set names the variable', () => {
    const loaded = home.load('profiles: devices', {
      environment: { SLUICE_KAFKA__PRODUCER__LINGER_MS: '-1' },
    });
    expect(
      loaded.locate({ path: ['kafka', 'producer', 'linger.ms'], found: '-1', expected: '0 or more' }),
    ).toEqual({
      file: 'environment',
      line: 0,
      key: 'SLUICE_KAFKA__PRODUCER__LINGER_MS',
      found: '-1',
      expected: '0 or more',
    });
  });
});

describe('device profiles', () => {
  const lines = (...files: string[]): string[] =>
    home.lines(
      home.load('profiles: devices', {
        profiles: Object.fromEntries(files.map((text, index) => [`p${index}.yaml`, text])),
      }),
    );

  test('a device profile has its defaults, and its paths are absolute', () => {
    const { profiles, faults } = home.load('profiles: devices', {
      profiles: {
        'full.yml': `
type: full
topic: a/{device}
decode: { protobuf: { file: ../proto/a.proto, message: p.A } }
device: imei
time: { field: t, unit: us }
sequence: { field: n }
attributes: { floor: "3", place: "{device}" }
metrics:
  temperature: { field: t.c, unit: Cel }
  door: { field: d }
produce: { topic: out, key: "{device}", value: raw }
ack: receive
simulate:
  levels: { device: [x] }
  dropout: 0.5
  signals:
    t.c: { base: 1, peak.hour: 3, min: 0 }
    d: { choices: [true, shut] }
`,
        'raw.yaml': 'type: raw\ntopic: r/{device}\ndecode: raw\ndevice: "{device}"\nproduce: { topic: raw }',
        'notes.txt': 'not a profile',
      },
    });
    expect(faults).toEqual([]);
    const signal = {
      base: 0,
      amplitude: 0,
      peakHour: 15,
      noise: 0,
      drift: 0,
      counter: false,
      integer: false,
    };
    expect(profiles).toEqual([
      {
        file: join(home.folder, 'devices/full.yml'),
        type: 'full',
        topic: 'a/{device}',
        decode: { kind: 'protobuf', file: join(home.folder, 'proto/a.proto'), message: 'p.A' },
        device: { field: 'imei' },
        time: { field: 't', unit: 'us' },
        sequence: { field: 'n' },
        attributes: new Map([
          ['floor', '3'],
          ['place', '{device}'],
        ]),
        metrics: new Map([
          ['temperature', { field: 't.c', unit: 'Cel' }],
          ['door', { field: 'd' }],
        ]),
        produce: { topic: 'out', key: '{device}', value: 'raw' },
        ack: CONTRACTS.receive,
        simulate: {
          levels: new Map([['device', ['x']]]),
          dropout: 0.5,
          signals: new Map<string, object>([
            ['t.c', { ...signal, base: 1, peakHour: 3, min: 0 }],
            ['d', { ...signal, choices: [true, 'shut'] }],
          ]),
        },
      },
      {
        file: join(home.folder, 'devices/raw.yaml'),
        type: 'raw',
        topic: 'r/{device}',
        decode: { kind: 'raw' },
        device: { template: '{device}' },
        attributes: new Map(),
        metrics: new Map(),
        produce: { topic: 'raw', value: 'raw' },
        ack: CONTRACTS.kafka,
      },
    ]);
  });

  test('the faults of all device profiles are told at once', () => {
    expect(
      lines(
        `
type: sensor
topic: fleet/{device}/telemetry
decode: protobuf
device: {device}
time: { field: ts, unit: minutes }
attributes: { floor: 3 }
metrics:
  temperature: temp
  humidity: { feild: hum, unit: 1 }
  "": { field: x }
produce: { topic: telemetry, value: json }
acks: kafka
simulate:
  dropout: 1
  signals: { temp: { base: warm, peak: { hour: 3 } } }
`,
        PROFILE,
        'type: third\ndecode: { protobuf: { file: a.proto } }\n',
      ),
    ).toEqual([
      'devices/p0.yaml:3 decode: found "protobuf", expected json, cbor, msgpack, sparkplug, raw, or a map of protobuf, csv, text, avro, thrift',
      'devices/p0.yaml:4 device: found a map, {device} without quotes, expected "{device}" in quotes',
      'devices/p0.yaml:5 time.unit: found "minutes", expected s or ms or us or ns',
      'devices/p0.yaml:6 attributes.floor: found 3, expected text, or a template of topic levels, in quotes',
      'devices/p0.yaml:8 metrics.temperature: found "temp", expected a map such as { field: temp, unit: Cel }',
      "devices/p0.yaml:9 metrics.humidity.field: found nothing, expected a decoded field's path, with dots for nested fields",
      'devices/p0.yaml:9 metrics.humidity.unit: found 1, expected a UCUM unit, in quotes if it is not a word',
      'devices/p0.yaml:9 metrics.humidity.feild: found an unknown key, expected `field` (did you mean that?)',
      'devices/p0.yaml:10 metrics.: found "", expected a name of at least one character',
      'devices/p0.yaml:11 produce.value: found "json", expected normalised or raw',
      'devices/p0.yaml:12 acks: found an unknown key, expected `ack` (did you mean that?)',
      'devices/p0.yaml:14 simulate.dropout: found 1, expected a share from 0 to below 1',
      'devices/p0.yaml:15 simulate.signals.temp.base: found "warm", expected a number',
      'devices/p0.yaml:15 simulate.signals.temp.peak: found an unknown key, expected one key with dots, `peak.hour:`',
      'devices/p2.yaml:1 topic: found nothing, expected a topic pattern, e.g. fleet/{site}/{device}/telemetry',
      'devices/p2.yaml:1 device: found nothing, expected a template of topic levels, e.g. "{device}", or a decoded field\'s path, with dots for nested fields',
      'devices/p2.yaml:1 produce: found nothing, expected a map such as { topic: telemetry }',
      "devices/p2.yaml:2 decode.protobuf.message: found nothing, expected the message's full name, e.g. fleet.EnvSensor, or a map of level, byte or field, and messages",
    ]);
  });

  test('a device type that another profile has is refused', () => {
    expect(lines(PROFILE, PROFILE)).toEqual([
      'devices/p1.yaml:1 type: found "sensor", expected a type of its own: devices/p0.yaml has this one',
    ]);
  });

  test('a device profile says what a full journal does with its records, where its contract makes use of the journal', () => {
    const journal = 'journal: { when.full: drop-oldest }\n';
    const { profiles, faults } = home.load('profiles: devices', {
      profiles: { 'p0.yaml': `${PROFILE}ack: kafka-or-journal\n${journal}` },
    });
    expect(faults).toEqual([]);
    expect(profiles).toMatchObject([
      { type: 'sensor', ack: CONTRACTS['kafka-or-journal'], whenFull: 'drop-oldest' },
    ]);
    expect(lines(`${PROFILE}${journal}`)).toEqual([
      'devices/p0.yaml:6 journal.when.full: found "drop-oldest", expected nothing: ack: kafka makes no use of the journal',
    ]);
    expect(lines(`${PROFILE}ack: journal\njournal: { when.full: forget }\n`)).toEqual([
      'devices/p0.yaml:7 journal.when.full: found "forget", expected block or drop-oldest or drop-newest',
    ]);
  });

  test('a simulated level that the topic does not have is refused', () => {
    expect(lines(`${PROFILE}simulate: { levels: { site: [a] } }\n`)).toEqual([
      'devices/p0.yaml:6 simulate.levels.site: found "site", expected a named level of fleet/{device}/telemetry',
    ]);
  });

  test('an empty profile, or one with broken YAML, is a fault', () => {
    const [empty, broken] = lines('', 'type: [');
    expect(empty).toBe('devices/p0.yaml: found an empty file, expected a device profile');
    expect(broken).toMatch(/^devices\/p1\.yaml:1: found YAML that can't be read/);
  });

  test('a folder without a device profile is a fault', () => {
    home.write('devices/notes.txt', 'nothing');
    expect(home.lines(home.load('profiles: devices', { profiles: {} }))).toEqual([
      'sluice.yaml:1 profiles: found no *.yaml in devices, expected a folder with device profiles, *.yaml',
    ]);
  });
});

test('a journal whose keys contradict each other is named key by key', () => {
  const one = home.load(`
profiles: devices
journal:
  directories: [a, a]
  max.bytes: 1048576
  segment.bytes: 1048576
  key.file: journal.key
  key.env: JOURNAL_KEY
  replay.share: 0
  max.age.ms: 7d
`);
  expect(home.lines(one)).toEqual([
    'sluice.yaml:8 journal.replay.share: found 0, expected a share above 0, up to 1',
    'sluice.yaml:9 journal.max.age.ms: found "7d", expected milliseconds, 60000 or more, or unlimited',
  ]);
  const more = home.load(`
profiles: devices
journal:
  directories: [a, a]
  max.bytes: 1048576
  segment.bytes: 1048576
  key.file: journal.key
  key.env: JOURNAL_KEY
`);
  expect(home.lines(more)).toEqual([
    'sluice.yaml:3 journal.directories: found a list, expected folders that differ',
    'sluice.yaml:4 journal.max.bytes: found 1048576, expected at least four times segment.bytes (1048576)',
    'sluice.yaml:7 journal.key.env: found "JOURNAL_KEY", expected nothing: key.file says already where the key is',
  ]);
});
