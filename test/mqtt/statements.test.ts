import { generate } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import { connectPacket, publish, RawClient, range, startIngress, subscribe } from './harness.ts';

/*
 * Statements of the standard that no other test is about, see docs/mqtt-conformance.md. Each test carries the ids
 * of what it shows.
 */

const payloads = (client: RawClient): string[] => client.of('publish').map(({ payload }) => String(payload));

/** A client that has subscribed. */
async function subscriber(port: number, clientId: string, ...filters: [string, 0 | 1 | 2][]) {
  const client = await RawClient.connect(port, { clientId });
  client.send(subscribe(1, ...filters));
  await client.receives('suback');
  return client;
}

const text = (value: string): number[] => {
  const bytes = Buffer.from(value, 'utf8');
  return [bytes.length >> 8, bytes.length & 0xff, ...bytes];
};

/** A CONNECT with the given flags and payload, well-formed or not. */
const rawConnect = (flags: number, ...payload: number[]): Uint8Array => {
  const body = [...text('MQTT'), 4, flags, 0, 0, ...payload];
  return Uint8Array.from([0x10, body.length, ...body]);
};

describe('CONNECT with', () => {
  it.each([
    ['Will Retain and no will ([MQTT-3.1.2-11], [MQTT-3.1.2-15])', rawConnect(0x22, ...text('id'))],
    ['a will topic and no will flag ([MQTT-3.1.2-11])', rawConnect(2, ...text('id'), ...text('t'), 0, 0)],
    ['a will flag and no will ([MQTT-3.1.2-9])', rawConnect(0x06, ...text('id'))],
    ['a user name and no flag for it ([MQTT-3.1.2-18])', rawConnect(2, ...text('id'), ...text('user'))],
    ['a flag for a user name and none ([MQTT-3.1.2-19])', rawConnect(0x82, ...text('id'))],
    [
      'a password and no flag for it ([MQTT-3.1.2-20])',
      rawConnect(0x82, ...text('id'), ...text('user'), ...text('secret')),
    ],
    ['a flag for a password and none ([MQTT-3.1.2-21])', rawConnect(0xc2, ...text('id'), ...text('user'))],
    ['no client id at all ([MQTT-3.1.3-3])', rawConnect(2)],
    [
      'a will topic that is not UTF-8 ([MQTT-3.1.3-10])',
      rawConnect(0x06, ...text('id'), 0, 2, 0xc3, 0x28, 0, 0),
    ],
    ['a user name that is not UTF-8 ([MQTT-3.1.3-11])', rawConnect(0x82, ...text('id'), 0, 2, 0xc3, 0x28)],
  ])('%s is closed without CONNACK', async (_name, packet) => {
    const { port, ingress } = await startIngress();
    const device = await RawClient.open(port);
    device.send(packet);
    await device.closes();
    expect(device.bytes).toEqual([]);
    expect(ingress.stats.closed['protocol-violation']).toBe(1);
  });

  it('every field has them read in the order of the standard ([MQTT-3.1.3-1], [MQTT-3.1.3-3])', async () => {
    const { port, sink } = await startIngress();
    const device = await RawClient.open(port);
    device.send(
      rawConnect(0xce, ...text('me'), ...text('w/t'), ...text('gone'), ...text('user'), ...text('secret')),
    );
    await device.receives('connack');
    device.drop();
    await sink.holds(1);
    expect(sink.accepted).toMatchObject([{ clientId: 'me', topic: 'w/t', payload: 'gone', qos: 1 }]);
  });

  it('an empty client id that is rejected gets code 2 and is closed ([MQTT-3.1.3-7], [MQTT-3.1.3-9])', async () => {
    const { port } = await startIngress();
    const device = await RawClient.open(port);
    device.send(rawConnect(0, ...text('')));
    await device.closes();
    expect(device.bytes).toEqual([0x20, 2, 0, 2]);
  });
});

describe('wills', () => {
  it('are not published where there is none ([MQTT-3.1.2-12])', async () => {
    const { port, sink } = await startIngress();
    const watcher = await subscriber(port, 'watcher', ['#', 2]);
    const device = await RawClient.connect(port);
    device.drop();
    watcher.send(publish(2, 'after'));
    await watcher.receives('publish');
    expect(sink.accepted).toMatchObject([{ topic: 'after' }]);
  });

  it.each([
    [false, '[MQTT-3.1.2-16]'],
    [true, '[MQTT-3.1.2-17]'],
  ])('are retained if Will Retain is 1, and only then: %s (%s)', async (retain) => {
    const { port, sink } = await startIngress();
    const device = await RawClient.connect(port, { will: { topic: 'w', payload: 'gone', qos: 1, retain } });
    device.drop();
    await sink.holds(1);
    const late = await subscriber(port, 'late', ['w', 1]);
    await late.settles();
    expect(late.of('publish').map((packet) => [String(packet.payload), packet.retain])).toEqual(
      retain ? [['gone', true]] : [],
    );
  });
});

describe('topics', () => {
  it('keep a byte order mark: with one and without are two ([MQTT-1.5.3-3], [MQTT-4.7.3-4])', async () => {
    const { port, sink } = await startIngress();
    const watcher = await subscriber(port, 'watcher', ['\ufeffa', 0]);
    watcher.send(publish(1, 'a', 'without'), publish(2, '\ufeffa', 'with'), publish(3, 'A', 'upper case'));
    await watcher.receives('publish');
    await watcher.settles();
    expect(payloads(watcher)).toEqual(['with']);
    expect(watcher.of('publish')[0]!.topic).toBe('\ufeffa');
    expect(sink.accepted.map(({ topic }) => topic)).toEqual(['a', '\ufeffa', 'A']);
  });
});

describe('retained messages', () => {
  it('outlive the session of whoever published them ([MQTT-3.1.2-7])', async () => {
    const { port, sink } = await startIngress();
    const first = await RawClient.connect(port, { clientId: 'first' });
    first.send(publish(1, 'a', 'kept', { retain: true }), { cmd: 'disconnect' });
    await first.closes();
    await sink.holds(1);
    const again = await RawClient.connect(port, { clientId: 'first', clean: true });
    again.send(subscribe(1, ['a', 0]));
    await again.receives('publish');
    expect(payloads(again)).toEqual(['kept']);
  });

  it('are replaced also by one of QoS 0 ([MQTT-3.3.1-7])', async () => {
    const { port, sink } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(
      publish(1, 'a', 'old', { qos: 2, retain: true }),
      publish(0, 'a', 'new', { qos: 0, retain: true }),
    );
    await sink.holds(2);
    const watcher = await subscriber(port, 'watcher', ['a', 2]);
    await watcher.receives('publish');
    await watcher.settles();
    expect(watcher.of('publish').map(({ payload, qos }) => [String(payload), qos])).toEqual([['new', 0]]);
  });
});

describe('what subscribers get', () => {
  it('has no DUP because the device set it ([MQTT-3.3.1-3])', async () => {
    const { port } = await startIngress();
    const watcher = await subscriber(port, 'watcher', ['a', 2]);
    const device = await RawClient.connect(port);
    device.send(publish(1, 'a', 'x', { dup: true }), publish(2, 'a', 'y', { dup: true, qos: 2 }));
    await watcher.receives('publish', 2);
    expect(watcher.of('publish').map(({ dup }) => dup)).toEqual([false, false]);
  });

  it('comes again in the order in which it came first ([MQTT-4.6.0-1])', async () => {
    const { port } = await startIngress();
    const first = await RawClient.connect(port, { clientId: 'away', clean: false });
    first.send(subscribe(1, ['#', 2]));
    await first.receives('suback');
    const device = await RawClient.connect(port);
    device.send(...range(20).map((id) => publish(id, `t/${id}`, String(id), { qos: id % 2 === 0 ? 1 : 2 })));
    await first.receives('publish', 20);
    const ids = first.of('publish').map(({ messageId }) => messageId);
    first.drop();
    const second = await RawClient.connect(port, { clientId: 'away', clean: false });
    await second.receives('publish', 20);
    expect(payloads(second)).toEqual(range(20).map(String));
    // [MQTT-4.4.0-1]: under the identifiers that they had.
    expect(second.of('publish').map(({ messageId, dup }) => [messageId, dup])).toEqual(
      ids.map((id) => [id, true]),
    );
  });

  it('is released in the order of its PUBRECs, and again after a reconnect ([MQTT-4.4.0-1], [MQTT-4.6.0-4])', async () => {
    const { port } = await startIngress();
    const first = await RawClient.connect(port, { clientId: 'away', clean: false });
    first.send(subscribe(1, ['a', 2]));
    await first.receives('suback');
    const device = await RawClient.connect(port);
    device.send(...range(5).map((id) => publish(id, 'a', String(id), { qos: 2 })));
    await first.receives('publish', 5);
    const ids = first.of('publish').map(({ messageId }) => messageId!);
    first.send(...ids.map((messageId) => ({ cmd: 'pubrec' as const, messageId })));
    await first.receives('pubrel', 5);
    expect(first.of('pubrel').map(({ messageId }) => messageId)).toEqual(ids);
    first.drop();
    const second = await RawClient.connect(port, { clientId: 'away', clean: false });
    await second.receives('pubrel', 5);
    expect(second.of('pubrel').map(({ messageId }) => messageId)).toEqual(ids);
    expect(second.of('publish')).toEqual([]);
  });
});

describe('SUBSCRIBE', () => {
  it('gets one SUBACK under its identifier, with a code for each filter in their order ([MQTT-2.3.1-7], [MQTT-3.8.4-2], [MQTT-3.8.4-4], [MQTT-3.8.4-5], [MQTT-3.9.3-1], [MQTT-3.9.3-2])', async () => {
    const { port } = await startIngress();
    const watcher = await RawClient.connect(port);
    watcher.send(subscribe(4711, ['a', 2], ['b', 0], ['c/+', 1], ['#', 0], ['d', 2]));
    await watcher.receives('suback');
    expect(watcher.of('suback')).toMatchObject([{ messageId: 4711, granted: [2, 0, 1, 0, 2] }]);
    watcher.send(publish(1, 'a', '1', { qos: 2 }), publish(2, 'c/x', '2', { qos: 2 }));
    await watcher.receives('publish', 2);
    expect(watcher.of('publish').map(({ qos }) => qos)).toEqual([2, 1]);
  });

  it('to the same filter replaces the subscription and sends retained messages again ([MQTT-3.8.4-3])', async () => {
    const { port, sink } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(publish(1, 'a', 'kept', { retain: true }));
    await sink.holds(1);
    const watcher = await subscriber(port, 'watcher', ['a', 0]);
    await watcher.receives('publish');
    watcher.send(subscribe(2, ['a', 1]));
    await watcher.receives('publish', 2);
    device.send(publish(2, 'a', 'live'));
    await watcher.receives('publish', 3);
    await watcher.settles();
    expect(watcher.of('publish').map(({ payload, qos, retain }) => [String(payload), qos, retain])).toEqual([
      ['kept', 0, true],
      ['kept', 1, true],
      ['live', 1, false],
    ]);
  });
});

describe('UNSUBSCRIBE', () => {
  it.each([
    ['flags 0 ([MQTT-3.10.1-1])', [0xa0, 5, 0, 1, 0, 1, 0x61]],
    ['a filter that is not UTF-8 ([MQTT-3.10.3-1])', [0xa2, 6, 0, 1, 0, 2, 0xc3, 0x28]],
  ])('with %s is closed', async (_name, bytes) => {
    const { port, ingress } = await startIngress();
    const watcher = await RawClient.connect(port);
    watcher.send(Uint8Array.from(bytes));
    await watcher.closes();
    expect(ingress.stats.closed['protocol-violation']).toBe(1);
  });

  it('removes the filters of that very text, several at once, and is answered also where there is none ([MQTT-3.10.4-1], [MQTT-3.10.4-5], [MQTT-3.10.4-6])', async () => {
    const { port } = await startIngress();
    const watcher = await subscriber(port, 'watcher', ['a/b', 0], ['a/c', 0], ['a/d', 0]);
    watcher.send({ cmd: 'unsubscribe', messageId: 7, unsubscriptions: ['a/+', 'A/B', '#'] });
    await watcher.receives('unsuback');
    watcher.send(publish(1, 'a/b', '1'), publish(2, 'a/c', '2'), publish(3, 'a/d', '3'));
    await watcher.receives('publish', 3);
    watcher.send({ cmd: 'unsubscribe', messageId: 8, unsubscriptions: ['a/b', 'a/d'] });
    await watcher.receives('unsuback', 2);
    watcher.send(publish(4, 'a/b', '4'), publish(5, 'a/d', '5'), publish(6, 'a/c', '6'));
    await watcher.receives('publish', 4);
    await watcher.settles();
    expect(payloads(watcher)).toEqual(['1', '2', '3', '6']);
    expect(watcher.of('unsuback')).toMatchObject([{ messageId: 7 }, { messageId: 8 }]);
  });

  it('lets what has begun with QoS 1 and 2 come to its end ([MQTT-3.10.4-3])', async () => {
    const { port } = await startIngress();
    const first = await RawClient.connect(port, { clientId: 'away', clean: false });
    first.send(subscribe(1, ['a', 2]));
    await first.receives('suback');
    first.send(publish(1, 'a', 'one', { qos: 1 }), publish(2, 'a', 'two', { qos: 2 }));
    await first.receives('publish', 2);
    const two = first.of('publish')[1]!.messageId!;
    first.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a'] });
    await first.receives('unsuback');
    first.send({ cmd: 'pubrec', messageId: two });
    await first.receives('pubrel');
    expect(first.of('pubrel')).toMatchObject([{ messageId: two }]);
    first.drop();
    const second = await RawClient.connect(port, { clientId: 'away', clean: false });
    await second.receives('publish');
    await second.receives('pubrel');
    expect(second.of('publish').map(({ payload, dup }) => [String(payload), dup])).toEqual([['one', true]]);
    expect(second.of('pubrel')).toMatchObject([{ messageId: two }]);
  });
});

describe('a connection', () => {
  it('needs nothing that is not in the standard ([MQTT-7.0.0-2])', async () => {
    const { port } = await startIngress();
    const device = await RawClient.open(port);
    device.send(generate(connectPacket()), publish(1), subscribe(2, ['a', 1]), { cmd: 'pingreq' });
    await device.receives('pingresp');
    await device.receives('suback');
    expect(device.received[0]).toMatchObject({ cmd: 'connack', returnCode: 0 });
  });
});
