import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { variableName } from '../../src/config/environment.ts';
import type { LoadedConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import { fixedPaths } from '../../src/config/key.ts';
import { ConfigFolder } from './files.ts';

let home: ConfigFolder;
beforeEach(() => {
  home = new ConfigFolder();
});
afterEach(() => {
  home.remove();
});

function load(environment: Record<string, string | undefined>, config = 'profiles: devices'): LoadedConfig {
  return home.load(config, { environment });
}

describe('a variable', () => {
  test('a SLUICE_ variable sets its key over what the file says', () => {
    const { config, faults } = load(
      {
        SLUICE_KAFKA__BOOTSTRAP_SERVERS: 'a:1,b:2',
        SLUICE_KAFKA__PRODUCER__LINGER_MS: '10',
        SLUICE_KAFKA__PRODUCER__COMPRESSION_TYPE: 'none',
        SLUICE_KAFKA__TOPICS__CONFIG__RETENTION_MS: '1000',
        SLUICE_KAFKA__TOPICS__CREATE: 'false',
        SLUICE_KAFKA__CLIENT_ID: '0815',
        SLUICE_MQTT__LISTENERS__0__PORT: '0',
        SLUICE_MQTT__LISTENERS__1__PORT: '1885',
        SLUICE_UNROUTED: 'refuse',
        SLUICE_UNROUTED_TOPIC: 'strays',
        SLUICE_SHUTDOWN_TIMEOUT_MS: '5',
        PATH: '/bin',
      },
      'kafka: { producer: { linger.ms: 25, acks: all } }\nmqtt: { listeners: [{ host: 0.0.0.0, port: 1883 }] }',
    );
    expect(faults).toEqual([]);
    expect(config).toMatchObject({
      kafka: {
        bootstrapServers: ['a:1', 'b:2'],
        producer: { acks: 'all', 'linger.ms': 10, 'compression.type': 'none' },
        topics: { create: false, config: { 'retention.ms': '1000' } },
        clientId: '0815',
      },
      mqtt: {
        listeners: [
          { type: 'tcp', host: '0.0.0.0', port: 0 },
          { type: 'tcp', host: '127.0.0.1', port: 1885 },
        ],
      },
      unrouted: { policy: 'refuse', deadLetterTopic: 'strays' },
      shutdownTimeoutMs: 5,
    });
  });

  test('a variable of listener 0 makes a listener where the file has none', () => {
    const { config, faults } = load({ SLUICE_MQTT__LISTENERS__0__PORT: '1884' });
    expect(faults).toEqual([]);
    expect(config.mqtt.listeners).toMatchObject([{ type: 'tcp', host: '127.0.0.1', port: 1884 }]);
  });

  test('a variable is known whatever its case', () => {
    const { config, faults } = load({ sluice_admin__port: '1', Sluice_Log__Level: 'debug' });
    expect(faults).toEqual([]);
    expect(config).toMatchObject({ admin: { port: 1 }, log: { level: 'debug' } });
  });

  test('an empty variable counts as unset', () => {
    const { config, faults } = load({ SLUICE_KAFKA__BOOTSTRAP_SERVERS: '', SLUICE_ADMIN__PORT: undefined });
    expect(faults).toEqual([]);
    expect(config.kafka.bootstrapServers).toBeUndefined();
  });

  test('a variable may hold a list or a map as YAML', () => {
    const { config, faults } = load({
      SLUICE_MQTT__LISTENERS: '[{ port: 1 }, { port: 2 }]',
      SLUICE_KAFKA__BOOTSTRAP_SERVERS: '[::1]:9092',
      SLUICE_KAFKA__PRODUCER: '{ acks: 1 }',
    });
    expect(faults).toEqual([]);
    expect(config.mqtt.listeners.map(({ port }) => port)).toEqual([1, 2]);
    expect(config.kafka.bootstrapServers).toEqual(['[::1]:9092']);
    expect(config.kafka.producer).toEqual({ acks: 1 });
  });

  test('every key of the configuration has a variable', () => {
    const paths = [...fixedPaths(configSchema)];
    expect(paths.length).toBeGreaterThan(25);
    for (const path of paths) {
      // A map where none can be: each of them is a fault of the variable's, so each was understood.
      const name = variableName(path);
      const unknown = load({ [name]: '[[]]' }).faults.filter(
        ({ found }) => found === 'a variable that names no key',
      );
      expect(unknown).toEqual([]);
    }
  });
});

describe('a variable with a fault', () => {
  test.each([
    ['SLUICE_ADMIN__PORT', 'x', 'found "x", expected an integer from 0 to 65535'],
    [
      'SLUICE_KAFKA_BOOTSTRAP_SERVERS',
      'a:1',
      'found a variable that names no key, expected SLUICE_KAFKA__BOOTSTRAP_SERVERS (did you mean that?)',
    ],
    [
      'SLUICE_MQTT__INFLIGHT_QOTA',
      '1',
      'found a variable that names no key, expected SLUICE_MQTT__INFLIGHT_QUOTA (did you mean that?)',
    ],
    [
      'SLUICE_COMPLETELY_ELSE',
      '1',
      'found a variable that names no key, expected SLUICE_ and a key, its levels joined by __',
    ],
    [
      'SLUICE_',
      '1',
      'found a variable that names no key, expected SLUICE_ and a key, its levels joined by __',
    ],
    [
      'SLUICE_MQTT__LISTENERS__7__PORT',
      '1',
      'found an index past the end of the list, or a level that is no map or list in the file, expected a key of the configuration, list items without gaps',
    ],
    [
      'SLUICE_KAFKA__PRODUCER__LINGER__MS',
      '1',
      'found a variable that names no key, expected SLUICE_ and a key, its levels joined by __',
    ],
  ])('%s=%s is refused: %s', (name, value, expected) => {
    expect(home.lines(load({ [name]: value }))).toEqual([`environment ${name}: ${expected}`]);
  });

  test('a faulty variable is named, and its secret is not shown', () => {
    const { faults } = load({ SLUICE_KAFKA__PRODUCER__SASL_PASSWORD: '[hunter2]' });
    expect(faults).toHaveLength(1);
    expect(JSON.stringify(faults)).not.toContain('hunter2');
  });
});

test('what Kubernetes sets beside a service named sluice is no fault', () => {
  const { faults } = load({
    SLUICE_SERVICE_HOST: '10.0.0.1',
    SLUICE_SERVICE_PORT: '1883',
    SLUICE_SERVICE_PORT_MQTT: '1883',
    SLUICE_PORT: 'tcp://10.0.0.1:1883',
    SLUICE_PORT_1883_TCP: 'tcp://10.0.0.1:1883',
    SLUICE_PORT_1883_TCP_ADDR: '10.0.0.1',
    SLUICE_EDGE_SERVICE_HOST: '10.0.0.1',
    SLUICE_EDGE_PORT_1883_TCP_PROTO: 'tcp',
  });
  expect(faults).toEqual([]);
});
