import { linkSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { generate } from 'mqtt-packet';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { everybody } from '../../../src/core/principal.ts';
import { Ingress } from '../../../src/mqtt/ingress.ts';
import type { ListenerSpec } from '../../../src/mqtt/edge/listener-spec.ts';
import { CertificateAuthority, type IssuedCertificate } from '../../support/certificates.ts';
import { until } from '../../support/until.ts';
import { connectPacket, HeldSink, publish, RecordingLogger, TestClock } from '../harness.ts';

let authority: CertificateAuthority;
let server: IssuedCertificate;
let device: IssuedCertificate;
beforeAll(() => {
  authority = new CertificateAuthority();
  server = authority.issue('localhost', { subjectAltName: 'IP:127.0.0.1,IP:::1,DNS:localhost' });
  device = authority.issue('device-7');
});
afterAll(() => {
  authority.remove();
});

const serverTls = () => ({ cert: server.file, key: server.file });
const at = (type: 'tcp' | 'tls' | 'ws' | 'wss', host = '127.0.0.1'): ListenerSpec => ({
  type,
  host,
  port: 0,
  ...(type === 'tls' || type === 'wss' ? { tls: serverTls() } : {}),
});

async function start(...listeners: ListenerSpec[]) {
  const sink = new HeldSink();
  const clock = new TestClock();
  const logger = new RecordingLogger();
  const ingress = new Ingress({ listeners, sink, clock, logger });
  await ingress.start();
  onTestFinished(() => ingress.close());
  const addresses = ingress.addresses();
  const [first] = addresses;
  return {
    ingress,
    sink,
    clock,
    logger,
    addresses,
    port: first!.port,
  };
}

async function client(url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const connected = await connectAsync(url, {
    ca: readFileSync(authority.file),
    reconnectPeriod: 0,
    connectTimeout: 10_000,
    ...options,
  });
  onTestFinished(async () => {
    await connected.endAsync(true);
  });
  return connected;
}

/** The raw bytes of a socket that a test speaks through. */
async function open(
  connecting: Socket,
): Promise<{ socket: Socket; bytes: () => Buffer; closed: () => boolean }> {
  const chunks: Buffer[] = [];
  let closed = false;
  connecting.on('data', (chunk: Buffer) => chunks.push(chunk));
  connecting.on('error', () => {});
  connecting.on('close', () => (closed = true));
  onTestFinished(() => {
    connecting.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    connecting.once('connect', resolve);
    connecting.once('error', reject);
  });
  return { socket: connecting, bytes: () => Buffer.concat(chunks), closed: () => closed };
}

const CONNACK = Buffer.from([0x20, 2, 0, 0]);
const refusals = (logger: RecordingLogger): string =>
  JSON.stringify(logger.lines.map(({ fields }) => fields));

describe('a listener', () => {
  it.each(['tcp', 'tls', 'ws', 'wss'] as const)(
    'of type %s carries MQTT both ways, small and large',
    async (type) => {
      const { sink, addresses } = await start(at(type));
      sink.completing = true;
      const mqtt = await client(addresses[0]!.url);
      const received: Buffer[] = [];
      mqtt.on('message', (_topic, payload) => received.push(payload));
      await mqtt.subscribeAsync('fleet/#', { qos: 1 });
      const sizes = [0, 1, 125, 126, 70_000, 200_000];
      for (const size of sizes) await mqtt.publishAsync('fleet/d/t', Buffer.alloc(size, 7), { qos: 1 });
      await until(() => received.length === sizes.length);
      expect(received.map(({ length }) => length)).toEqual(sizes);
      expect(received.every((payload) => payload.every((byte) => byte === 7))).toBe(true);
      expect(sink.accepted).toHaveLength(sizes.length);
    },
  );

  it('says where it is with the scheme of its type', async () => {
    const { addresses } = await start(at('tcp'), at('tls'), at('ws', '0.0.0.0'), at('wss'), {
      type: 'ws',
      host: 'localhost',
      port: 0,
      path: '/mqtt',
    });
    const schemes = addresses.map(({ url }) => url.replace(/:\d+/, ''));
    expect(schemes).toEqual([
      'mqtt://127.0.0.1',
      'mqtts://127.0.0.1',
      'ws://127.0.0.1',
      'wss://127.0.0.1',
      'ws://localhost/mqtt',
    ]);
  });

  it.each(['::1', '::'])('listens on IPv6 address %s', async (host) => {
    const { addresses } = await start(at('tcp', host));
    expect(addresses[0]!.url).toMatch(/^mqtt:\/\/\[::1\]:\d+$/);
    await client(addresses[0]!.url);
  });

  it('of type unix is a file that goes away with it, and replaces one that nobody listens at', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-unix-'));
    onTestFinished(() => {
      rmSync(folder, { recursive: true, force: true });
    });
    const path = join(folder, 'mqtt.sock');
    // What a listener leaves behind that was killed: Node removes the file only when it closes in good order.
    const abandoned = createServer().listen(path);
    await new Promise((resolve) => abandoned.once('listening', resolve));
    const left = join(folder, 'left.sock');
    linkSync(path, left);
    await new Promise((resolve) => abandoned.close(resolve));

    const { ingress, addresses } = await start({ type: 'unix', path: left });
    expect(addresses[0]!.url).toBe(`mqtt+unix://${left}`);
    const { socket, bytes } = await open(connectTcp({ path: left }));
    socket.write(generate(connectPacket()));
    await until(() => bytes().equals(CONNACK));
    const second = new Ingress({
      listeners: [{ type: 'unix', path: left }],
      sink: new HeldSink(),
      clock: new TestClock(),
      logger: new RecordingLogger(),
    });
    await expect(second.start()).rejects.toMatchObject({ code: 'LISTENER_PORT_IN_USE' });
    await ingress.close();
    await expect(open(connectTcp({ path: left }))).rejects.toThrow('ENOENT');
  });
});

describe('TLS', () => {
  const tlsOptions = (port: number, more: ConnectionOptions = {}): ConnectionOptions => ({
    host: '127.0.0.1',
    port,
    ca: readFileSync(authority.file),
    ...more,
  });

  it('lets only clients in that have a certificate of the right authority, and says so', async () => {
    const { port, addresses, logger, ingress } = await start({
      type: 'tls',
      host: '127.0.0.1',
      port: 0,
      tls: { ...serverTls(), clientCa: authority.file },
    });
    await client(addresses[0]!.url, { cert: device.certificate, key: device.key });

    const stranger = new CertificateAuthority('Others');
    onTestFinished(() => {
      stranger.remove();
    });
    const foreign = stranger.issue('device-8');
    for (const more of [{}, { cert: foreign.certificate, key: foreign.key }]) {
      const { closed } = await open(connectTls(tlsOptions(port, more)));
      await until(closed);
    }
    await until(() => ingress.stats.closed['handshake-failed'] === 2);
    expect(refusals(logger)).toMatch(/certificate is not accepted/);
    expect(ingress.stats.connections).toBe(1);
  });

  it.each(['tls', 'wss'] as const)(
    'shows the certificate of a client to who authenticates it, over %s',
    async (type) => {
      const shown: (string | undefined)[] = [];
      const ingress = new Ingress({
        listeners: [{ type, host: '127.0.0.1', port: 0, tls: { ...serverTls(), clientCa: authority.file } }],
        sink: new HeldSink(),
        clock: new TestClock(),
        logger: new RecordingLogger(),
        authenticator: {
          authenticate: (credentials) => {
            shown.push(credentials.certificate?.subject);
            return everybody.authenticate(credentials);
          },
        },
      });
      await ingress.start();
      onTestFinished(() => ingress.close());
      const pem = readFileSync(device.file);
      await client(ingress.addresses()[0]!.url, { cert: pem, key: pem });
      expect(shown).toEqual(['CN=device-7']);
    },
  );

  it('says why a handshake failed', async () => {
    const { port, logger, ingress } = await start(at('tls'));
    const { socket, closed } = await open(connectTcp({ host: '127.0.0.1', port }));
    socket.write(generate(connectPacket()));
    await until(closed);
    await until(() => ingress.stats.closed['handshake-failed'] === 1);
    expect(refusals(logger)).toMatch(/TLS: .*(version|packet|record)/i);
    expect(refusals(logger)).toMatch(/127\.0\.0\.1:\d+/);
  });

  it('takes a new certificate without a restart, and keeps the old one while the new is not sound', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
    onTestFinished(() => {
      rmSync(folder, { recursive: true, force: true });
    });
    const cert = join(folder, 'cert.pem');
    const key = join(folder, 'key.pem');
    writeFileSync(cert, server.certificate);
    writeFileSync(key, server.key);
    const { port, clock, logger } = await start({
      type: 'tls',
      host: '127.0.0.1',
      port: 0,
      tls: { cert, key },
    });
    const serial = async (): Promise<string> => {
      const secured = connectTls(tlsOptions(port));
      await new Promise((resolve, reject) => secured.once('secureConnect', resolve).once('error', reject));
      const { serialNumber } = secured.getPeerCertificate();
      secured.destroy();
      return serialNumber;
    };
    const old = await serial();
    const renewed = authority.issue('renewed', { subjectAltName: 'IP:127.0.0.1' });
    writeFileSync(cert, renewed.certificate);
    clock.advance(5_000);
    expect(logger.lines.at(-1)).toMatchObject({ level: 'error' });
    expect(await serial()).toBe(old);
    writeFileSync(key, renewed.key);
    clock.advance(5_000);
    expect(await serial()).not.toBe(old);
  });

  it.each([
    ['LISTENER_TLS_FILE', () => ({ cert: '/nowhere/cert.pem', key: server.file })],
    ['LISTENER_TLS_INVALID', () => ({ cert: server.file, key: device.file })],
    ['LISTENER_TLS_INVALID', () => ({ cert: authority.file, key: authority.file })],
  ])('does not start with files that are wrong: %s', async (code, tls) => {
    const ingress = new Ingress({
      listeners: [at('tcp'), { type: 'tls', host: '127.0.0.1', port: 0, tls: tls() }],
      sink: new HeldSink(),
      clock: new TestClock(),
      logger: new RecordingLogger(),
    });
    await expect(ingress.start()).rejects.toMatchObject({ code });
  });

  it('does not wait for ever for a handshake', async () => {
    const { port, clock, ingress } = await start(at('tls'));
    const { closed } = await open(connectTcp({ host: '127.0.0.1', port }));
    const waits = (): boolean => {
      clock.advance(10_000);
      return closed();
    };
    await until(waits);
    expect(ingress.stats.closed['connect-timeout']).toBe(1);
  });
});

describe('WebSocket', () => {
  const upgrade = (port: number, headers: Record<string, string>, path = '/mqtt') =>
    new Promise<{ status: number | undefined; protocol: string | undefined; body: string }>(
      (resolve, reject) => {
        const asking = request({ host: '127.0.0.1', port, path, headers });
        asking.on('response', (response) => {
          let body = '';
          response.on('data', (text: Buffer) => (body += text.toString()));
          response.on('end', () => {
            resolve({ status: response.statusCode, protocol: undefined, body });
          });
        });
        asking.on('upgrade', (response, socket) => {
          socket.destroy();
          resolve({ status: 101, protocol: response.headers['sec-websocket-protocol'], body: '' });
        });
        asking.on('error', reject);
        asking.end();
      },
    );
  const good = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol': 'mqtt',
  };

  it('answers with the subprotocol of MQTT that the client offers ([MQTT-6.0.0-4])', async () => {
    const { port } = await start(at('ws'));
    expect(await upgrade(port, good)).toMatchObject({ status: 101, protocol: 'mqtt' });
    const old = { ...good, 'Sec-WebSocket-Protocol': 'chat, mqttv3.1, mqtt' };
    expect(await upgrade(port, old)).toMatchObject({ status: 101, protocol: 'mqttv3.1' });
  });

  it('refuses what is no MQTT over WebSocket, and says why', async () => {
    const { port, ingress } = await start({ type: 'ws', host: '127.0.0.1', port: 0, path: '/mqtt' });
    const without = { ...good, 'Sec-WebSocket-Protocol': 'chat' };
    expect(await upgrade(port, without)).toMatchObject({ status: 400, body: /subprotocol mqtt/ });
    expect(await upgrade(port, good, '/elsewhere')).toMatchObject({ status: 404, body: /\/mqtt/ });
    expect(await upgrade(port, { ...good, 'Sec-WebSocket-Version': '8' })).toMatchObject({ status: 426 });
    expect(await upgrade(port, { ...good, 'Sec-WebSocket-Key': 'short' })).toMatchObject({ status: 400 });
    expect(await upgrade(port, {})).toMatchObject({ status: 426 });
    await until(() => ingress.stats.closed['handshake-failed'] === 5);
    expect(ingress.stats.connections).toBe(0);
  });

  it('closes a WebSocket with a text frame, and says what is wrong ([MQTT-6.0.0-1])', async () => {
    const { port, logger, ingress } = await start(at('ws'));
    const socket = new WebSocket(`ws://127.0.0.1:${port}/any/path`, 'mqtt');
    await new Promise((resolve) => socket.once('open', resolve));
    const code = new Promise((resolve) => socket.once('close', resolve));
    socket.send('hello');
    expect(await code).toBe(1003);
    expect(ingress.stats.closed['protocol-violation']).toBe(1);
    expect(refusals(logger)).toMatch(/MQTT-6\.0\.0-1/);
  });

  it('answers pings, and takes packets in any pieces, several in one frame too ([MQTT-6.0.0-2])', async () => {
    const { port, sink, ingress } = await start(at('ws'));
    sink.completing = true;
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, 'mqtt');
    await new Promise((resolve) => socket.once('open', resolve));
    const received: Buffer[] = [];
    let pongs = 0;
    socket.on('message', (bytes: Buffer) => received.push(bytes));
    socket.on('pong', () => pongs++);
    const bytes = Buffer.concat([generate(connectPacket()), generate(publish(1)), generate(publish(2))]);
    socket.ping('one');
    for (let from = 0; from < bytes.length; from += 7) {
      socket.send(bytes.subarray(from, from + 7), { fin: (from / 7) % 3 === 2 || from + 7 >= bytes.length });
    }
    await until(() => Buffer.concat(received).length === 12);
    expect(Buffer.concat(received)).toEqual(Buffer.from([0x20, 2, 0, 0, 0x40, 2, 0, 1, 0x40, 2, 0, 2]));
    expect(pongs).toBe(1);
    socket.close();
    await until(() => ingress.stats.connections === 0);
    expect(ingress.stats.closed['connection-lost']).toBe(1);
  });
});

describe('PROXY protocol', () => {
  const HEADER = 'PROXY TCP4 192.0.2.7 10.0.0.1 49153 1883\r\n';
  const proxied = (type: 'tcp' | 'tls' | 'ws'): ListenerSpec => {
    const spec: ListenerSpec = at(type);
    return { ...spec, proxyProtocol: true };
  };

  it.each([1, 7, HEADER.length, 1_000])(
    'tells the client from the load balancer, in pieces of %s bytes',
    async (piece) => {
      const { port, logger } = await start(proxied('tcp'));
      const { socket, bytes, closed } = await open(connectTcp({ host: '127.0.0.1', port, noDelay: true }));
      const wire = Buffer.concat([Buffer.from(HEADER), generate(connectPacket())]);
      for (let from = 0; from < wire.length; from += piece) {
        await new Promise((resolve) => socket.write(wire.subarray(from, from + piece), resolve));
      }
      await until(() => bytes().equals(CONNACK));
      socket.write(generate(connectPacket()));
      await until(closed);
      expect(refusals(logger)).toMatch(/192\.0\.2\.7:49153/);
    },
  );

  it('refuses a connection without a header', async () => {
    const { port, ingress, logger } = await start(proxied('tcp'));
    const { socket, closed } = await open(connectTcp({ host: '127.0.0.1', port }));
    socket.write(generate(connectPacket()));
    await until(closed);
    expect(ingress.stats.closed['handshake-failed']).toBe(1);
    expect(refusals(logger)).toMatch(/PROXY protocol/);
  });

  it.each([true, false])('works in front of TLS, in one packet with it or not: %s', async (together) => {
    const { port, logger } = await start(proxied('tls'));
    const { socket } = await open(connectTcp({ host: '127.0.0.1', port, noDelay: true }));
    if (together) socket.cork();
    socket.write(HEADER);
    const secured = connectTls({ socket, host: '127.0.0.1', ca: readFileSync(authority.file) });
    if (together)
      process.nextTick(() => {
        socket.uncork();
      });
    const chunks: Buffer[] = [];
    secured.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {});
    secured.write(generate(connectPacket()));
    await until(() => Buffer.concat(chunks).equals(CONNACK));
    secured.write(generate(connectPacket()));
    await until(() => logger.lines.length > 0);
    expect(refusals(logger)).toMatch(/192\.0\.2\.7:49153/);
  });

  it('works in front of WebSocket', async () => {
    const { port, logger } = await start(proxied('ws'));
    const { socket, bytes } = await open(connectTcp({ host: '127.0.0.1', port }));
    const head = [
      'GET / HTTP/1.1',
      'Host: gateway',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Protocol: mqtt',
    ];
    socket.write(`${HEADER}${head.join('\r\n')}\r\n\r\n`);
    await until(() => bytes().includes('s3pPLMBiTxaQ9kYGzzhZRbK+xOo='));
    socket.write(Buffer.from([0x81, 0x80, 0, 0, 0, 0]));
    await until(() => logger.lines.length > 0);
    expect(refusals(logger)).toMatch(/192\.0\.2\.7:49153/);
  });
});
