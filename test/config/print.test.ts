import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { drawBlueprint, type Blueprint } from '../../src/assembly/blueprint.ts';
import { printedConfig, printedProfile } from '../../src/config/print.ts';
import { ConfigFolder, PROFILE } from './files.ts';

let home: ConfigFolder;
beforeEach(() => {
  home = new ConfigFolder();
  home.write('devices/sensor.yaml', PROFILE);
});
afterEach(() => {
  home.remove();
});

function drawn(config: string, environment: Record<string, string> = {}): Blueprint {
  const { faults, blueprint } = drawBlueprint(home.write('sluice.yaml', config), environment);
  expect(faults).toEqual([]);
  return blueprint;
}

const print = ({ loaded, producer }: Blueprint): string =>
  printedConfig(loaded, producer).replaceAll(`${home.folder}/`, '');

const CONFIG = `
mqtt:
  listeners: [{ type: ws, port: 8083, path: /mqtt }]
kafka:
  bootstrap.servers: [broker-1:9092, broker-2:9092]
  producer: { linger.ms: 10, acks: all }
  topics: { config: { retention.ms: 1000 } }
commands:
  - { topic: orders, mqtt.topic: "devices/{device}/orders", reply: { mqtt.topic: "r/{device}", topic: answers } }
journal: { max.age.ms: 86400000 }
presence: { topic: presence }
`;

describe('the configuration in force', () => {
  test('each printed value has its origin: the default, a line of the file, or a variable', () => {
    const text = print(
      drawn(CONFIG, { SLUICE_ADMIN__PORT: '9999', SLUICE_KAFKA__PRODUCER__BATCH_SIZE: '65536' }),
    );
    const lines = text.split('\n').map((line) => line.trim());
    expect(lines).toEqual(
      expect.arrayContaining([
        'inflight.quota: 64 # default',
        '- type: ws # sluice.yaml:2',
        'proxy.protocol: false # default',
        'port: 9999 # SLUICE_ADMIN__PORT',
        '- broker-2:9092 # sluice.yaml:4',
        'linger.ms: 10 # sluice.yaml:5',
        'batch.size: 65536 # SLUICE_KAFKA__PRODUCER__BATCH_SIZE',
        'compression.type: lz4 # default',
        'retention.ms: 1000 # sluice.yaml:6',
        'max.age.ms: 86400000 # sluice.yaml:9',
      ]),
    );
    const values = lines.filter((line) => /: \S/.test(line) && !line.startsWith('#'));
    expect(values.length).toBeGreaterThan(80);
    const origin = / # (default|sluice\.yaml:\d+|SLUICE_\w+)$/;
    expect(values.filter((line) => !origin.test(line))).toEqual([]);
  });

  test('the printed configuration says which key needs no restart', () => {
    expect(print(drawn('profiles: devices'))).toMatch(
      /^# A change of any key but profiles needs a restart\.\n/,
    );
  });

  test('the printed configuration is a configuration that means the same', () => {
    const first = drawn(CONFIG, { SLUICE_KAFKA__PRODUCER__ACKS: 'all', SLUICE_LOG__LEVEL: 'debug' });
    const again = drawn(print(first));
    expect(again.config).toEqual({
      ...first.config,
      kafka: { ...first.config.kafka, producer: expect.anything() as unknown },
    });
    expect(again.producer).toEqual(first.producer);
  });

  test('a secret is not printed, whether a file or a variable has it', () => {
    const text = print(
      drawn(
        `
kafka:
  bootstrap.servers: broker:9093
  security.protocol: SASL_SSL
  sasl.mechanism: PLAIN
  sasl.username: hunter
  schema.registry: { url: "https://user:hunter2@registry:8081", basic.auth.user.info: "me:hunter2" }
`,
        { SLUICE_KAFKA__SASL_PASSWORD: 'hunter2' },
      ),
    );
    expect(text).not.toContain('hunter');
    expect(parse(text)).toMatchObject({
      kafka: {
        'security.protocol': 'SASL_SSL',
        'sasl.password': '***',
        'sasl.username': '***',
        'schema.registry': { url: 'https://***@registry:8081', 'basic.auth.user.info': '***' },
      },
    });
    expect(text).toContain('# SLUICE_KAFKA__SASL_PASSWORD');
  });
});

describe('a device profile in force', () => {
  test('a printed profile has each value with its origin, and is a profile that means the same', () => {
    home.write(
      'devices/sensor.yaml',
      `${PROFILE}metrics: { temperature: { field: t, unit: Cel, range: { max: 60 } } }\nack: journal\n`,
    );
    const { loaded, profiles } = drawn('profiles: devices');
    const text = printedProfile(loaded, profiles[0]!)!.replaceAll(`${home.folder}/`, '');
    expect(text).toContain('max: 60 # devices/sensor.yaml:6\n');
    expect(text).toContain('else: mark # default\n');
    expect(text).toContain('ack: journal # devices/sensor.yaml:7\n');
    home.write('devices/sensor.yaml', text);
    expect(drawn('profiles: devices').profiles).toEqual(profiles);
  });

  test('the profile of replies to commands, which no file has, is not printed', () => {
    const { loaded, profiles } = drawn(CONFIG);
    const replies = profiles.find(({ type }) => type === 'replies to orders')!;
    expect(printedProfile(loaded, replies)).toBeUndefined();
  });
});
