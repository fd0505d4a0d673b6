import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { silentLogger } from '../../src/core/logger.ts';
import { Ingress } from '../../src/mqtt/ingress.ts';
import type { PortSpec } from '../../src/mqtt/edge/listener-spec.ts';
import { HeldSink, TestClock } from '../mqtt/harness.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import { until } from '../support/until.ts';
import { mosquittoClients, pahoMqtt, run, type ForeignClient } from './foreign-clients.ts';

type Carrier = PortSpec['type'];
const CARRIERS: readonly Carrier[] = ['tcp', 'tls', 'ws', 'wss'];

let authority: CertificateAuthority;
let ingress: Ingress;
const sink = new HeldSink();
const ports = new Map<Carrier, number>();
const urls = new Map<Carrier, string>();

beforeAll(async () => {
  authority = new CertificateAuthority();
  const { file } = authority.issue('localhost', { subjectAltName: 'IP:127.0.0.1' });
  sink.completing = true;
  ingress = new Ingress({
    listeners: CARRIERS.map((type) => ({
      type,
      host: '127.0.0.1',
      port: 0,
      ...(type === 'tls' || type === 'wss' ? { tls: { cert: file, key: file } } : {}),
    })),
    sink,
    clock: new TestClock(),
    logger: silentLogger,
  });
  await ingress.start();
  for (const [index, { port, url }] of ingress.addresses().entries()) {
    ports.set(CARRIERS[index]!, port);
    urls.set(CARRIERS[index]!, url);
  }
});
afterAll(async () => {
  await ingress.close();
  authority.remove();
});

/** The arguments that make a client trust our certificate. */
const trusting = (carrier: Carrier, args: readonly string[]): readonly string[] =>
  carrier === 'tls' || carrier === 'wss' ? args : [];

describe.each(CARRIERS)('over %s', (carrier) => {
  it('the package mqtt publishes and subscribes at every QoS, with MQTT 3.1.1 and 3.1', async () => {
    for (const protocolVersion of [4, 3] as const) {
      const client = await connectAsync(urls.get(carrier)!, {
        ca: readFileSync(authority.file),
        protocolId: protocolVersion === 3 ? 'MQIsdp' : 'MQTT',
        protocolVersion,
        clientId: `mqttjs-${carrier}`,
        reconnectPeriod: 0,
      });
      onTestFinished(async () => {
        await client.endAsync(true);
      });
      const received: string[] = [];
      client.on('message', (topic, payload, { qos }) =>
        received.push(`${topic} ${payload.toString()} ${qos}`),
      );
      await client.subscribeAsync(`mqttjs/${carrier}/#`, { qos: 2 });
      for (const qos of [0, 1, 2] as const)
        await client.publishAsync(`mqttjs/${carrier}/a`, `${qos}`, { qos });
      await until(() => received.length === 3);
      expect(received).toEqual([0, 1, 2].map((qos) => `mqttjs/${carrier}/a ${qos} ${qos}`));
      await client.endAsync();
    }
  });
});

describe("Python's paho-mqtt", () => {
  const paho: ForeignClient = pahoMqtt();

  it.for(CARRIERS)(
    'over %s publishes and subscribes at every QoS',
    async (carrier, { skip }: TestContext) => {
      if ('missing' in paho) return skip(paho.missing);
      const script = join(import.meta.dirname, 'paho_client.py');
      const args = [
        script,
        carrier,
        '127.0.0.1',
        String(ports.get(carrier)),
        ...trusting(carrier, [authority.file]),
      ];
      const client = run('python3', args, paho.environment);
      expect(await client.ended, client.output()).toBe(0);
      const received = /received (.*)/.exec(client.output())![1]!.split(' ');
      const sent = Array.from({ length: 30 }, (_, number) => `${number}/${number % 3}`);
      expect([...received].sort()).toEqual([...sent].sort());
      for (const qos of ['0', '1', '2']) {
        const ofQos = (all: readonly string[]): string[] => all.filter((one) => one.endsWith(`/${qos}`));
        expect(ofQos(received)).toEqual(ofQos(sent));
      }
    },
  );
});

describe('mosquitto_pub and mosquitto_sub', () => {
  const mosquitto: ForeignClient = mosquittoClients();

  it.for(['tcp', 'tls'] as const)(
    'over %s publish and subscribe at every QoS',
    async (carrier, { skip }: TestContext) => {
      if ('missing' in mosquitto) return skip(mosquitto.missing);
      const where = [
        '-h',
        '127.0.0.1',
        '-p',
        String(ports.get(carrier)),
        ...trusting(carrier, ['--cafile', authority.file]),
      ];
      const start = (program: string, ...args: string[]) =>
        run(`${mosquitto.folder}${program}`, [...where, ...args], mosquitto.environment);
      // Retained, because mosquitto_sub doesn't say in time that it has subscribed.
      for (const qos of ['0', '1', '2']) {
        const publisher = start(
          'mosquitto_pub',
          '-t',
          `${carrier}/${qos}`,
          '-q',
          qos,
          '-m',
          `message ${qos}`,
          '-r',
        );
        expect(await publisher.ended, publisher.output()).toBe(0);
      }
      const subscriber = start('mosquitto_sub', '-t', `${carrier}/+`, '-q', '2', '-C', '3', '-F', '%p at %q');
      expect(await subscriber.ended).toBe(0);
      expect(subscriber.output().trim().split('\n').sort()).toEqual(
        [0, 1, 2].map((qos) => `message ${qos} at ${qos}`),
      );
    },
  );
});
