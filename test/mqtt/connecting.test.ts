import { connectAsync } from 'mqtt';
import { generate } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import { until } from '../support/until.ts';
import { connectPacket, publish, RawClient, range, startIngress, subscribe } from './harness.ts';

const CONNECT_V5 = generate(
  { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId: 'new', clean: true, keepalive: 0 },
  { protocolVersion: 5 },
);

describe('CONNECT', () => {
  it('is answered, and the client can publish at once without waiting for the CONNACK', async () => {
    const { port, sink } = await startIngress();
    const device = await RawClient.open(port);
    device.send(connectPacket(), publish(1), { cmd: 'pingreq' });
    await sink.holds(1);
    await device.receives('pingresp');
    expect(device.received.map(({ cmd }) => cmd)).toEqual(['connack', 'pingresp']);
  });

  it('may come with everything else in one piece, DISCONNECT and the end of the stream included', async () => {
    const { port, sink } = await startIngress();
    const device = await RawClient.open(port);
    device.send(connectPacket(), ...range(20).map((id) => publish(id, 'a', String(id), { qos: 0 })), {
      cmd: 'disconnect',
    });
    device.end();
    await sink.holds(20);
    await device.closes();
    expect(sink.payloads).toEqual(range(20).map(String));
  });

  it('may come byte by byte', async () => {
    const { port, sink } = await startIngress();
    const device = await RawClient.open(port);
    for (const byte of Buffer.concat([generate(connectPacket()), generate(publish(1, 'a', 'slow'))])) {
      device.send(Uint8Array.of(byte));
      await new Promise(setImmediate);
    }
    await sink.holds(1);
    expect(sink.payloads).toEqual(['slow']);
  });

  it('with an empty client id and a clean session gets an id of its own ([MQTT-3.1.3-6])', async () => {
    const { port, sink } = await startIngress();
    for (const id of range(2)) {
      const device = await RawClient.connect(port, { clientId: '' });
      device.send(publish(id));
    }
    await sink.holds(2);
    const ids = sink.accepted.map(({ clientId }) => clientId);
    expect(new Set(ids).size).toBe(2);
    expect(ids[0]).toMatch(/^auto-/);
  });

  it('with an empty client id and a persistent session is rejected with code 2 ([MQTT-3.1.3-8])', async () => {
    const { port } = await startIngress();
    const device = await RawClient.open(port);
    // mqtt-packet refuses to write this one.
    device.send(Buffer.from([0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0, 0, 0, 0, 0]));
    await device.closes();
    expect(device.bytes).toEqual([0x20, 2, 0, 2]);
  });

  it('of MQTT 5 gets CONNACK 0x84 in version 5 encoding, and a log line that says what to do', async () => {
    const { port, logger, ingress } = await startIngress();
    const device = await RawClient.open(port);
    device.send(CONNECT_V5);
    await device.closes();
    expect(device.bytes).toEqual([0x20, 3, 0, 0x84, 0]);
    expect(ingress.stats.closed['unsupported-version']).toBe(1);
    expect(JSON.stringify(logger.lines)).toContain('set its protocol version to 4');
  });

  it('of MQTT 3.1 is accepted, one of an unknown level answered with code 1 ([MQTT-3.1.2-2])', async () => {
    const { port } = await startIngress();
    const old = await RawClient.open(port);
    old.send({ ...connectPacket(), protocolId: 'MQIsdp', protocolVersion: 3 } as never);
    await old.receives('connack');
    const future = await RawClient.open(port);
    const bytes = generate(connectPacket());
    bytes[8] = 9;
    future.send(bytes);
    await future.closes();
    expect(future.bytes).toEqual([0x20, 2, 0, 1]);
  });

  it('accepts long client ids', async () => {
    const { port, sink } = await startIngress();
    const clientId = 'x'.repeat(1_000);
    const device = await RawClient.connect(port, { clientId });
    device.send(publish(1));
    await sink.holds(1);
    expect(sink.accepted[0]!.clientId).toBe(clientId);
  });

  it('says truly whether a session was present, also for a client that never subscribes', async () => {
    const { port } = await startIngress();
    const present = async (clean: boolean): Promise<boolean> => {
      const client = await RawClient.connect(port, { clientId: 'p', clean });
      client.send({ cmd: 'disconnect' });
      await client.closes();
      return client.of('connack')[0]!.sessionPresent;
    };
    expect(await present(false)).toBe(false);
    expect(await present(false)).toBe(true);
    expect(await present(true)).toBe(false);
    expect(await present(false)).toBe(false);
  });

  it('must come in time', async () => {
    const { port, clock, ingress } = await startIngress({ connectTimeoutMs: 5_000 });
    const silent = await RawClient.open(port);
    const slow = await RawClient.open(port);
    slow.send(generate(connectPacket()).subarray(0, 5));
    await until(() => ingress.stats.connections === 2, { everyMs: 1 });
    clock.advance(4_000);
    expect(silent.closed).toBe(false);
    clock.advance(2_500);
    await silent.closes();
    await slow.closes();
    expect(ingress.stats.closed['connect-timeout']).toBe(2);
  });

  it('must be small', async () => {
    const { port, ingress } = await startIngress({ maxConnectBytes: 1_000 });
    const device = await RawClient.open(port);
    device.send(Buffer.from([0x10, 0xff, 0x7f]), Buffer.alloc(100));
    await device.closes();
    expect(ingress.stats.closed['packet-too-large']).toBe(1);
  });

  it('is not accepted above the number of connections', async () => {
    const { port, ingress } = await startIngress({ maxConnections: 1 });
    await RawClient.connect(port, { clientId: 'one' });
    const second = await RawClient.open(port);
    await second.closes();
    expect(ingress.stats.closed['too-many-connections']).toBe(1);
  });

  it('works with the mqtt package', async () => {
    const { url, sink } = await startIngress();
    sink.completing = true;
    const client = await connectAsync(url, { clientId: 'package' });
    await Promise.all(
      range(500).map((id) => client.publishAsync(`a/${id % 7}`, String(id), { qos: (id % 3) as 0 | 1 | 2 })),
    );
    await client.endAsync();
    expect(sink.payloads.toSorted((a, b) => Number(a) - Number(b))).toEqual(range(500).map(String));
  });
});

describe('what is no proper MQTT closes that connection alone', () => {
  const afterConnect: [name: string, bytes: number[]][] = [
    ['a second CONNECT', [...generate(connectPacket())]],
    ['a packet of type 0', [0x00, 0]],
    ['a packet of type 15', [0xf0, 0]],
    ['a packet that only servers send', [0x20, 2, 0, 0]],
    ['a remaining length of five bytes', [0x30, 0x80, 0x80, 0x80, 0x80, 1]],
    ['PUBLISH with QoS 3', [0x36, 5, 0, 1, 0x61, 0, 1]],
    ['PUBLISH with QoS 0 and DUP', [0x38, 3, 0, 1, 0x61]],
    ['PUBLISH with packet identifier 0', [0x32, 5, 0, 1, 0x61, 0, 0]],
    ['PUBLISH with an empty topic', [0x30, 2, 0, 0]],
    ['PUBLISH with a topic longer than the packet', [0x30, 3, 0, 9, 0x61]],
    ['PUBLISH without a topic', [0x30, 0]],
    ['PUBLISH cut off in the packet identifier', [0x32, 4, 0, 1, 0x61, 0]],
    ['PUBLISH with + in the topic', [0x30, 3, 0, 1, 0x2b]],
    ['PUBLISH with # in the topic', [0x30, 3, 0, 1, 0x23]],
    ['PUBLISH with NUL in the topic', [0x30, 3, 0, 1, 0]],
    ['PUBLISH with invalid UTF-8 in the topic', [0x30, 4, 0, 2, 0xc3, 0x28]],
    ['PUBLISH with a surrogate in the topic', [0x30, 5, 0, 3, 0xed, 0xa0, 0x80]],
    ['PUBLISH with a topic of more than 1,024 bytes', [...generate(publish(1, 'x'.repeat(1_025)))]],
    ['PUBLISH with a topic of more than 100 levels', [...generate(publish(1, '/'.repeat(100)))]],
    ['PUBREL with other flags', [0x60, 2, 0, 1]],
    ['PUBREL with packet identifier 0', [0x62, 2, 0, 0]],
    ['PUBREL of three bytes', [0x62, 3, 0, 1, 0]],
    ['PUBACK with flags', [0x41, 2, 0, 1]],
    ['SUBSCRIBE with flags 0', [0x80, 6, 0, 1, 0, 1, 0x61, 0]],
    ['SUBSCRIBE with packet identifier 0', [0x82, 6, 0, 0, 0, 1, 0x61, 0]],
    ['SUBSCRIBE without a filter', [0x82, 2, 0, 1]],
    ['SUBSCRIBE with QoS 3', [0x82, 6, 0, 1, 0, 1, 0x61, 3]],
    ['SUBSCRIBE with an invalid filter', [0x82, 7, 0, 1, 0, 2, 0x61, 0x2b, 0]],
    ['SUBSCRIBE with a filter of more than 1,024 bytes', [...generate(subscribe(1, ['x'.repeat(1_025), 0]))]],
    ['SUBSCRIBE with a filter of more than 100 levels', [...generate(subscribe(1, ['/'.repeat(100), 0]))]],
    ['UNSUBSCRIBE without a filter', [0xa2, 2, 0, 1]],
    ['PINGREQ with content', [0xc0, 1, 0]],
    ['DISCONNECT with flags', [0xe1, 0]],
  ];

  it.each(afterConnect)('%s', async (_name, bytes) => {
    const { port, sink, ingress, logger } = await startIngress();
    const bystander = await RawClient.connect(port, { clientId: 'bystander' });
    const device = await RawClient.connect(port, { clientId: 'bad' });
    device.send(Uint8Array.from(bytes), publish(1));
    await device.closes();
    await bystander.settles();
    expect(sink.accepted).toEqual([]);
    expect(ingress.stats.closed['protocol-violation']).toBe(1);
    expect(logger.lines).toMatchObject([{ fields: { client: 'bad', reason: 'protocol-violation' } }]);
  });

  const insteadOfConnect: [name: string, bytes: number[]][] = [
    ['PUBLISH first', [0x30, 3, 0, 1, 0x61]],
    ['an HTTP request', [...Buffer.from(`GET / HTTP/1.1\r\nHost: ${'x'.repeat(200)}\r\n\r\n`)]],
    ['CONNECT with flags', [0x11, 0]],
    ['CONNECT cut off', [0x10, 3, 0, 4, 0x4d]],
    ['another protocol', [0x10, 12, 0, 4, 0x41, 0x4d, 0x51, 0x50, 4, 2, 0, 0, 0, 0]],
    ['the reserved connect flag', [0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 3, 0, 0, 0, 0]],
    ['Will QoS 3', [0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0x1e, 0, 0, 0, 0]],
    ['Will QoS without a will', [0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0x0a, 0, 0, 0, 0]],
    ['a password without a user', [0x10, 14, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0x42, 0, 0, 0, 0, 0, 0]],
    ['NUL in the client id', [0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 1, 0]],
    ['bytes behind the last field', [0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 0, 0]],
    [
      'a will topic with a wildcard',
      [...generate(connectPacket({ will: { topic: 'a', payload: '' } }))].with(-3, 0x23),
    ],
  ];

  it.each(insteadOfConnect)('%s', async (_name, bytes) => {
    const { port, ingress } = await startIngress();
    const device = await RawClient.open(port);
    device.send(Uint8Array.from(bytes));
    await device.closes();
    expect(device.bytes).toEqual([]);
    expect(ingress.stats.closed['protocol-violation']).toBe(1);
  });

  it('a packet above the limit, before it has come', async () => {
    const { port, ingress } = await startIngress({ maxPacketBytes: 1_000 });
    const device = await RawClient.connect(port);
    device.send(Uint8Array.of(0x30, 0xe9, 0x07));
    await device.closes();
    expect(ingress.stats.closed['packet-too-large']).toBe(1);
    expect(ingress.stats.parkedBytes).toBe(0);
  });

  it('is logged once for each client and window, and counted every time', async () => {
    const { port, ingress, logger, clock } = await startIngress();
    for (const type of [0x00, 0xf0, 0xf0]) {
      const device = await RawClient.connect(port, { clientId: 'bad' });
      device.send(Uint8Array.of(type, 0));
      await device.closes();
    }
    expect(ingress.stats.closed['protocol-violation']).toBe(3);
    expect(logger.lines).toHaveLength(1);
    clock.advance(60_000);
    expect(logger.lines).toMatchObject([{}, { fields: { count: 2 } }]);
  });

  it('is logged by machine where no client id is known, however many connections it makes', async () => {
    const { port, logger } = await startIngress();
    for (const byte of [0x00, 0x20]) {
      const scanner = await RawClient.open(port);
      scanner.send(Uint8Array.of(byte, 0));
      await scanner.closes();
    }
    expect(logger.lines).toMatchObject([{ fields: { client: '127.0.0.1' } }]);
  });

  it('but MQTT 3.1 may repeat SUBSCRIBE and PUBREL with DUP', async () => {
    const { port } = await startIngress();
    const old = await RawClient.open(port);
    old.send({ ...connectPacket(), protocolId: 'MQIsdp', protocolVersion: 3 } as never);
    const again = Buffer.from(generate(subscribe(1, ['a', 1])));
    again[0] = 0x8a;
    old.send(again, Uint8Array.of(0x6a, 2, 0, 7));
    await old.receives('suback');
    await old.receives('pubcomp');
  });
});

describe('keepalive', () => {
  it('ends a connection after one and a half silent intervals, not before ([MQTT-3.1.2-24])', async () => {
    const { port, clock, ingress } = await startIngress();
    const device = await RawClient.connect(port, { keepalive: 10 });
    clock.advance(14_500);
    await device.settles();
    clock.advance(14_500);
    expect(ingress.stats.closed['keepalive-timeout']).toBe(0);
    clock.advance(2_000);
    await device.closes();
    expect(ingress.stats.closed['keepalive-timeout']).toBe(1);
  });

  it('does not end a device that only publishes', async () => {
    const { port, clock, sink, ingress } = await startIngress();
    sink.completing = true;
    const device = await RawClient.connect(port, { keepalive: 10 });
    for (const id of range(10)) {
      clock.advance(9_000);
      device.send(publish(id));
      await device.receives('puback', id);
    }
    expect(ingress.stats.closed['keepalive-timeout']).toBe(0);
  });

  it('of 0 never ends a connection', async () => {
    const { port, clock } = await startIngress();
    const device = await RawClient.connect(port, { keepalive: 0 });
    clock.advance(10_000_000);
    await device.settles();
  });

  it('is answered while 20 publications hang', async () => {
    const { port, clock, sink } = await startIngress();
    const device = await RawClient.connect(port, { keepalive: 10 });
    device.send(...range(20).map((id) => publish(id)));
    await sink.holds(20);
    for (let minutes = 0; minutes < 3; minutes += 0.15) {
      clock.advance(9_000);
      await device.settles();
    }
    expect(device.ids('puback')).toEqual([]);
    sink.completeAll();
    await device.receives('puback', 20);
  });
});
