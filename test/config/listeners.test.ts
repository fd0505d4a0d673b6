import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LoadedConfig } from '../../src/config/load.ts';
import { ConfigFolder } from './files.ts';

let home: ConfigFolder;
beforeEach(() => {
  home = new ConfigFolder();
});
afterEach(() => {
  home.remove();
});

const load = (...listeners: string[]): LoadedConfig =>
  home.load(`profiles: devices\nmqtt:\n  listeners:\n${listeners.map((one) => `    - ${one}\n`).join('')}`);

describe('mqtt.listeners', () => {
  test('a listener has the port of its type, and finds its files beside the configuration', () => {
    const { config, faults, file } = load(
      '{}',
      '{ type: tls, host: 0.0.0.0, tls: { cert: tls/server.pem, key: /etc/key.pem, client.ca: ca.pem } }',
      '{ type: ws, path: /mqtt, proxy.protocol: true }',
      '{ type: wss, host: "::", tls: { cert: a, key: b } }',
      '{ type: unix, path: run/mqtt.sock }',
    );
    expect(faults).toEqual([]);
    const folder = join(file, '..');
    expect(config.mqtt.listeners).toMatchObject([
      { type: 'tcp', host: '127.0.0.1', port: 1883, tls: undefined, proxyProtocol: false },
      {
        type: 'tls',
        host: '0.0.0.0',
        port: 8883,
        tls: { cert: join(folder, 'tls/server.pem'), key: '/etc/key.pem', clientCa: join(folder, 'ca.pem') },
      },
      { type: 'ws', port: 8083, path: '/mqtt', proxyProtocol: true },
      {
        type: 'wss',
        host: '::',
        port: 8084,
        path: undefined,
        tls: expect.not.objectContaining({ clientCa: expect.anything() as unknown }) as unknown,
      },
      { type: 'unix', path: join(folder, 'run/mqtt.sock') },
    ]);
  });

  test('a listener is refused with a key that its type has no use for, and without one that it needs', () => {
    const { faults } = load(
      '{ type: tls }',
      '{ type: tcp, tls: { cert: a, key: b }, path: /mqtt }',
      '{ type: unix, host: 127.0.0.1, port: 1 }',
      '{ type: ws, path: mqtt }',
      '{ type: wss, tls: { cert: a } }',
      '{ type: quic }',
    );
    expect(faults.map(({ line, key, found }) => `${line} ${key}: ${found}`)).toEqual([
      '4 mqtt.listeners[0].tls: nothing',
      '5 mqtt.listeners[1].tls: a map',
      '5 mqtt.listeners[1].path: "/mqtt"',
      '6 mqtt.listeners[2].host: "127.0.0.1"',
      '6 mqtt.listeners[2].port: 1',
      '6 mqtt.listeners[2].path: nothing',
      '7 mqtt.listeners[3].path: "mqtt"',
      '8 mqtt.listeners[4].tls.key: nothing',
      '9 mqtt.listeners[5].type: "quic"',
    ]);
  });
});
