import { connectAsync } from 'mqtt';
import { describe, expect, it } from 'vitest';
import { until } from '../support/until.ts';
import { publish, RawClient, range, startIngress, subscribe } from './harness.ts';

const view = (client: RawClient): [topic: string, payload: string, qos: number, retain: boolean][] =>
  client.of('publish').map(({ topic, payload, qos, retain }) => [topic, String(payload), qos, retain]);

describe('local subscribers', () => {
  it.each([
    [0, 0, 0],
    [0, 1, 0],
    [0, 2, 0],
    [1, 0, 0],
    [1, 1, 1],
    [1, 2, 1],
    [2, 0, 0],
    [2, 1, 1],
    [2, 2, 2],
  ] as const)(
    'published with QoS %i, subscribed with %i: delivered with %i ([MQTT-3.8.4-6])',
    async (sent, wanted, got) => {
      const { port } = await startIngress();
      const exact = await RawClient.connect(port, { clientId: 'exact' });
      const wild = await RawClient.connect(port, { clientId: 'wild' });
      exact.send(subscribe(1, ['a/b', wanted]));
      wild.send(subscribe(1, ['a/+', wanted]));
      await exact.receives('suback');
      await wild.receives('suback');
      const device = await RawClient.connect(port);
      device.send(publish(1, 'a/b', 'x', { qos: sent }));
      await exact.receives('publish');
      await wild.receives('publish');
      expect(view(exact)).toEqual([['a/b', 'x', got, false]]);
      expect(view(wild)).toEqual([['a/b', 'x', got, false]]);
    },
  );

  it('receive a message at receipt, while the sink still has it', async () => {
    const { port, sink } = await startIngress();
    sink.room = 0;
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['#', 0]));
    await watcher.receives('suback');
    const device = await RawClient.connect(port);
    device.send(publish(1, 'a', 'parked'));
    await watcher.receives('publish');
    expect(device.ids('puback')).toEqual([]);
  });

  it('get each message once, with the highest QoS of overlapping subscriptions ([MQTT-3.3.5-1])', async () => {
    const { port } = await startIngress();
    const watcher = await RawClient.connect(port, { clientId: 'watcher', clean: false });
    watcher.send(subscribe(1, ['a/b', 0], ['a/+', 1], ['#', 0]));
    await watcher.receives('suback');
    const device = await RawClient.connect(port);
    device.send(publish(1, 'a/b', 'x', { qos: 2 }));
    await watcher.receives('publish');
    await watcher.settles();
    expect(view(watcher)).toEqual([['a/b', 'x', 1, false]]);
  });

  it("keep a device's order, retained and not, for every QoS ([MQTT-4.6.0-5])", async () => {
    const { port, sink } = await startIngress();
    sink.completing = true;
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['a/#', 2]));
    await watcher.receives('suback');
    const device = await RawClient.connect(port);
    device.send(
      ...range(200).map((id) => publish(id, `a/${id % 3}`, String(id), { qos: 1, retain: id % 4 === 0 })),
    );
    await watcher.receives('publish', 200);
    expect(view(watcher).map(([, payload]) => payload)).toEqual(range(200).map(String));
  });

  it('do not get `$` topics by a wildcard at the beginning ([MQTT-4.7.2-1])', async () => {
    const { port } = await startIngress();
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['#', 0], ['+/new/clients', 0]));
    await watcher.receives('suback');
    await RawClient.connect(port, { clientId: 'newcomer' });
    await watcher.settles();
    expect(view(watcher)).toEqual([]);
  });

  it('see what the same client publishes behind its SUBSCRIBE, and nothing behind its UNSUBSCRIBE', async () => {
    const { port } = await startIngress();
    const client = await RawClient.connect(port);
    client.send(
      publish(1, 'a', 'before'),
      subscribe(1, ['a', 0]),
      publish(2, 'a', 'during'),
      { cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a'] },
      publish(3, 'a', 'after'),
      { cmd: 'pingreq' },
    );
    await client.receives('pingresp');
    await client.settles();
    expect(view(client)).toEqual([['a', 'during', 0, false]]);
  });

  it('that do not exist cost nothing: nothing is delivered or counted', async () => {
    const { port, ingress, sink } = await startIngress();
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['a', 0]));
    await watcher.receives('suback');
    const device = await RawClient.connect(port);
    device.send(publish(1, 'b'), publish(2, 'a'));
    await sink.holds(2);
    expect(ingress.stats.localDeliveries).toBe(1);
    watcher.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a'] });
    await watcher.receives('unsuback');
    device.send(publish(3, 'a'));
    await sink.holds(3);
    expect(ingress.stats.localDeliveries).toBe(1);
  });

  it('complete QoS 2 with the broker', async () => {
    const { url, port } = await startIngress();
    const watcher = await connectAsync(url, { clientId: 'watcher' });
    await watcher.subscribeAsync('a', { qos: 2 });
    const got: string[] = [];
    watcher.on('message', (_topic, payload) => got.push(String(payload)));
    const device = await RawClient.connect(port);
    device.send(...range(100).map((id) => publish(id, 'a', String(id), { qos: 2 })));
    await until(() => got.length === 100, { everyMs: 1 });
    expect(got).toEqual(range(100).map(String));
    await watcher.endAsync();
  });
});

describe('retained messages', () => {
  it('come to a new subscriber with RETAIN, with the right QoS, the latest only', async () => {
    const { port, sink, ingress } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(
      publish(1, 'a/1', 'old', { retain: true }),
      publish(2, 'a/1', 'new', { retain: true, qos: 2 }),
      publish(3, 'a/2', 'other', { retain: true, qos: 0 }),
    );
    await sink.holds(3);
    expect(ingress.stats.retainedMessages).toBe(2);
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['a/+', 1]));
    await watcher.receives('publish', 2);
    expect(view(watcher).toSorted()).toEqual([
      ['a/1', 'new', 1, true],
      ['a/2', 'other', 0, true],
    ]);
  });

  it('are cleared by an empty one, which is acknowledged and is no telemetry ([MQTT-3.3.1-10])', async () => {
    const { port, sink, ingress } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(publish(1, 'a', 'x', { retain: true }), publish(2, 'a', '', { retain: true }));
    await sink.holds(1);
    sink.completeAll();
    await device.receives('puback', 2);
    expect(device.ids('puback')).toEqual([1, 2]);
    expect(sink.accepted).toEqual([]);
    expect(ingress.stats.retainedMessages).toBe(0);
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['a', 1]));
    await watcher.receives('suback');
    await watcher.settles();
    expect(view(watcher)).toEqual([]);
  });

  it('reach subscribers of the time without RETAIN ([MQTT-3.3.1-9])', async () => {
    const { port } = await startIngress();
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['a', 1]), publish(9, 'a', 'x', { retain: true }));
    await watcher.receives('publish');
    await watcher.settles();
    expect(view(watcher)).toEqual([['a', 'x', 1, false]]);
  });

  it('are bounded', async () => {
    const { port, sink, ingress } = await startIngress({ maxRetainedMessages: 2 });
    const device = await RawClient.connect(port);
    device.send(...range(3).map((id) => publish(id, `t/${id}`, 'x', { retain: true })));
    await sink.holds(3);
    expect(ingress.stats).toMatchObject({ retainedMessages: 2, retainedRejected: 1 });
  });
});

describe('absent subscribers with a persistent session', () => {
  it('find queued what came with QoS 1 and 2, in order, without RETAIN; QoS 0 is not kept', async () => {
    const { port, sink } = await startIngress();
    const first = await RawClient.connect(port, { clientId: 'away', clean: false });
    first.send(subscribe(1, ['a/+', 1]));
    await first.receives('suback');
    first.send({ cmd: 'disconnect' });
    await first.closes();

    const device = await RawClient.connect(port);
    device.send(
      publish(1, 'a/1', '1', { qos: 1, retain: true }),
      publish(2, 'a/2', '2', { qos: 0 }),
      publish(3, 'a/3', '3', { qos: 2 }),
      publish(4, 'b', '4', { qos: 1 }),
    );
    await sink.holds(4);

    const second = await RawClient.connect(port, { clientId: 'away', clean: false });
    await second.receives('publish', 2);
    await second.settles();
    expect(view(second)).toEqual([
      ['a/1', '1', 1, false],
      ['a/3', '3', 1, false],
    ]);
    expect(second.of('connack')[0]!.sessionPresent).toBe(true);
    expect(second.received[0]!.cmd).toBe('connack');
  });

  it('get again, with DUP, what they have not acknowledged, and not what they have', async () => {
    const { port } = await startIngress();
    const first = await RawClient.connect(port, { clientId: 'away', clean: false });
    first.send(subscribe(1, ['a', 1]));
    await first.receives('suback');
    const device = await RawClient.connect(port);
    device.send(publish(1, 'a', '1'), publish(2, 'a', '2'));
    await first.receives('publish', 2);
    first.send({ cmd: 'puback', messageId: first.of('publish')[0]!.messageId! });
    await first.settles();
    first.drop();

    const second = await RawClient.connect(port, { clientId: 'away', clean: false });
    await second.receives('publish');
    await second.settles();
    expect(second.of('publish').map(({ payload, dup }) => [String(payload), dup])).toEqual([['2', true]]);
    second.send({ cmd: 'puback', messageId: second.of('publish')[0]!.messageId! });
    await second.settles();
    second.drop();
    const third = await RawClient.connect(port, { clientId: 'away', clean: false });
    await third.settles();
    expect(third.of('publish')).toEqual([]);
  });

  it('have a bounded queue', async () => {
    const { port, sink, ingress } = await startIngress({ maxQueuedMessages: 3 });
    const away = await RawClient.connect(port, { clientId: 'away', clean: false });
    away.send(subscribe(1, ['a', 1]));
    await away.receives('suback');
    away.send({ cmd: 'disconnect' });
    await away.closes();
    const device = await RawClient.connect(port);
    device.send(...range(5).map((id) => publish(id, 'a')));
    await sink.holds(5);
    expect(ingress.stats.queueDrops).toBe(2);
    const back = await RawClient.connect(port, { clientId: 'away', clean: false });
    await back.receives('publish', 3);
    expect(view(back).map(([, payload]) => payload)).toEqual(['1', '2', '3']);
  });

  it('lose their subscriptions with a clean session', async () => {
    const { port, sink, ingress } = await startIngress();
    const away = await RawClient.connect(port, { clientId: 'away', clean: false });
    away.send(subscribe(1, ['a', 1]));
    await away.receives('suback');
    away.drop();
    const clean = await RawClient.connect(port, { clientId: 'away', clean: true });
    clean.drop();
    await until(() => ingress.stats.sessions === 0, { everyMs: 1 });
    const device = await RawClient.connect(port);
    device.send(publish(1, 'a'));
    await sink.holds(1);
    expect(ingress.stats.localDeliveries).toBe(0);
  });

  it('are forgotten, the longest absent first, when there are too many', async () => {
    const { port, ingress } = await startIngress({ maxKeptSessions: 2 });
    for (const id of range(3)) {
      const client = await RawClient.connect(port, { clientId: `c${id}`, clean: false });
      client.send({ cmd: 'disconnect' });
      await client.closes();
      await until(() => ingress.stats.connections === 0, { everyMs: 1 });
    }
    expect(ingress.stats.sessions).toBe(2);
    const first = await RawClient.connect(port, { clientId: 'c1', clean: false });
    const last = await RawClient.connect(port, { clientId: 'c3', clean: false });
    expect(first.of('connack')[0]!.sessionPresent).toBe(false);
    expect(last.of('connack')[0]!.sessionPresent).toBe(true);
  });
});

describe('a slow subscriber', () => {
  it('misses QoS 0 messages instead of filling the memory, and holds up nobody', async () => {
    const { port, sink, ingress } = await startIngress({ maxSubscriberBytes: 100_000 });
    sink.completing = true;
    const slow = await RawClient.connect(port, { clientId: 'slow' });
    const quick = await RawClient.connect(port, { clientId: 'quick' });
    for (const client of [slow, quick]) {
      client.send(subscribe(1, ['#', 0]));
      await client.receives('suback');
    }
    slow.pause();
    const device = await RawClient.connect(port);
    const payload = 'x'.repeat(10_000);
    let sent = 0;
    await until(
      () => {
        device.send(...range(5, sent + 1).map((id) => publish(id, 'a', payload, { qos: 0 })));
        sent += 5;
        return ingress.stats.subscriberDrops > 0;
      },
      { everyMs: 2 },
    );
    await quick.receives('publish', sent);
    expect(ingress.stats.closed['slow-subscriber']).toBe(0);
  });

  it('of QoS 1 is disconnected, and finds the rest in its session', async () => {
    const { port, sink, ingress, logger } = await startIngress({
      maxSubscriberBytes: 100_000,
      maxQueuedMessages: 100_000,
    });
    sink.completing = true;
    const slow = await RawClient.connect(port, { clientId: 'slow', clean: false });
    slow.send(subscribe(1, ['#', 1]));
    await slow.receives('suback');
    slow.pause();
    const device = await RawClient.connect(port);
    const payload = 'x'.repeat(10_000);
    let sent = 0;
    await until(
      () => {
        if (ingress.stats.closed['slow-subscriber'] > 0) return true;
        device.send(...range(50, sent + 1).map((id) => publish(id, `a/${id}`, payload)));
        sent += 50;
        return false;
      },
      { everyMs: 5 },
    );
    await device.receives('puback', sent);
    expect(logger.lines).toMatchObject([{ fields: { client: 'slow', reason: 'slow-subscriber' } }]);
    const back = await RawClient.connect(port, { clientId: 'slow', clean: false });
    await back.receives('publish', sent);
    const topics = back.of('publish').map(({ topic }) => topic);
    expect(topics.slice(0, sent)).toEqual(range(sent).map((id) => `a/${id}`));
  });
});

describe('wills', () => {
  const will = { topic: 'state/device', payload: 'gone', qos: 1 as const };

  it('are published when the connection is lost, not after DISCONNECT ([MQTT-3.14.4-3])', async () => {
    const { port } = await startIngress();
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['state/+', 1]));
    await watcher.receives('suback');
    // Messages of devices and wills are one stream to a subscriber: neither makes the other look like a repeat.
    const device = await RawClient.connect(port);
    device.send(...range(50).map((id) => publish(id, 'state/x', 'telemetry')));
    await watcher.receives('publish', 50);
    const polite = await RawClient.connect(port, {
      clientId: 'polite',
      will: { ...will, payload: 'polite' },
    });
    polite.send({ cmd: 'disconnect' });
    await polite.closes();
    const lost = await RawClient.connect(port, { clientId: 'lost', will: { ...will, payload: 'lost' } });
    lost.drop();
    await watcher.receives('publish', 51);
    const bad = await RawClient.connect(port, { clientId: 'bad', will: { ...will, payload: 'bad' } });
    bad.send(Uint8Array.of(0xf0, 0));
    await watcher.receives('publish', 52);
    const silent = await RawClient.connect(port, {
      clientId: 'silent',
      will: { ...will, payload: 'silent' },
    });
    const again = await RawClient.connect(port, { clientId: 'silent' });
    await watcher.receives('publish', 53);
    await watcher.settles();
    expect(
      view(watcher)
        .map(([, payload]) => payload)
        .slice(50),
    ).toEqual(['lost', 'bad', 'silent']);
    expect([silent.closed, again.closed]).toEqual([true, false]);
  });

  it('can not write $ topics', async () => {
    const { port } = await startIngress();
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['$SYS/x', 1], ['end', 1]));
    await watcher.receives('suback');
    const liar = await RawClient.connect(port, { clientId: 'liar', will: { topic: '$SYS/x', payload: 'x' } });
    liar.drop();
    const honest = await RawClient.connect(port, {
      clientId: 'honest',
      will: { topic: 'end', payload: 'x' },
    });
    honest.drop();
    await watcher.receives('publish');
    expect(view(watcher).map(([topic]) => topic)).toEqual(['end']);
  });
});
