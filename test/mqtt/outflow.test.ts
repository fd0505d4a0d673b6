import { describe, expect, it } from 'vitest';
import { MemoryDirectory } from '../durable-log/memory-directory.ts';
import { until } from '../support/until.ts';
import { connectPacket, publish, RawClient, range, startIngress, subscribe } from './harness.ts';

describe('what goes out', () => {
  it('has a code in the SUBACK for each filter, also for one that comes twice, of which the last counts', async () => {
    const { port } = await startIngress();
    const client = await RawClient.connect(port);
    client.send(subscribe(7, ['a', 0], ['b', 1], ['a', 2]), publish(1, 'a', 'x', { qos: 2 }));
    await client.receives('publish');
    expect(client.of('suback')).toMatchObject([{ messageId: 7, granted: [0, 1, 2] }]);
    expect(client.of('publish')).toMatchObject([{ qos: 2 }]);
  });

  it('is every retained message that matches, while the client reads slowly, and each once', async () => {
    const { port, sink } = await startIngress();
    sink.completing = true;
    const device = await RawClient.connect(port);
    const text = 'x'.repeat(2_000);
    const count = 2_000;
    device.send(
      ...range(count).map((id) => publish(id, `r/${id}`, `${id} ${text}`, { qos: 1, retain: true })),
    );
    await device.receives('puback', count);
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.pause();
    watcher.send(subscribe(1, ['r/+', 0]));
    await device.settles();
    // It has subscribed already: what is retained now it gets once, and live, or as it was.
    device.send(publish(1, `r/${count}`, 'changed', { retain: true }));
    await device.receives('puback', count + 1);
    watcher.resume();
    await watcher.receives('publish', count);
    await watcher.settles();
    const topics = watcher.of('publish').map(({ topic }) => topic);
    expect(new Set(topics).size).toBe(count);
    const last = watcher.of('publish').filter(({ topic }) => topic === `r/${count}`);
    expect(last.at(-1)).toMatchObject({ payload: Buffer.from('changed'), retain: false });
  });

  it('carries large payloads whole, to several subscribers with several QoS', async () => {
    const { port } = await startIngress();
    const clients = await Promise.all(range(3).map((id) => RawClient.connect(port, { clientId: `c${id}` })));
    for (const [index, client] of clients.entries()) {
      client.send(subscribe(1, ['a', index as 0 | 1 | 2]));
      await client.receives('suback');
    }
    const text = 'large '.repeat(20_000);
    const device = await RawClient.connect(port);
    device.send(publish(1, 'a', text, { qos: 2 }), publish(2, 'a', 'small', { qos: 2 }));
    for (const [index, client] of clients.entries()) {
      await client.receives('publish', 2);
      expect(client.of('publish').map(({ payload, qos }) => [String(payload) === text, qos])).toEqual([
        [true, index],
        [false, index],
      ]);
    }
  });

  it('is a PUBREL for every PUBREC, and nothing for an acknowledgement that is not owed', async () => {
    const { port } = await startIngress();
    const client = await RawClient.connect(port);
    client.send(
      { cmd: 'puback', messageId: 1 },
      { cmd: 'pubcomp', messageId: 2 },
      { cmd: 'pubrec', messageId: 3 },
    );
    await client.receives('pubrel');
    await client.settles();
    expect(client.of('pubrel')).toMatchObject([{ messageId: 3 }]);
    expect(client.received).toHaveLength(3);
  });
});

describe('a connection whose SUBSCRIBE waits for the disk', () => {
  it('is let go at once when it is lost, what came behind the SUBSCRIBE counts, and its will is published', async () => {
    const disk = new MemoryDirectory();
    const { port, ingress, sink } = await startIngress({}, disk);
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['w', 0]));
    await watcher.receives('suback');
    const device = await RawClient.open(port);
    device.send(connectPacket({ clean: false, will: { topic: 'w', payload: 'gone' } }));
    await device.receives('connack');
    disk.hang();
    device.send(...range(50).map((id) => subscribe(id, [`t/${id}`, 1])), publish(1, 'a', 'behind'));
    await until(() => ingress.stats.controlPackets >= 4, { everyMs: 1 });
    device.drop();
    await watcher.receives('publish');
    expect(sink.payloads).toEqual(['behind', 'gone']);
    expect(ingress.stats.connections).toBe(1);
    disk.goOn();
  });
});

describe('a CONNECT', () => {
  it('with a will to a $SYS topic is refused', async () => {
    const { port } = await startIngress();
    const liar = await RawClient.open(port);
    liar.send(connectPacket({ will: { topic: '$SYS/x', payload: 'x' } }));
    await liar.closes();
    expect(liar.of('connack')).toMatchObject([{ returnCode: 5 }]);
  });

  it('of MQTT 3.1 with flags that its version does not use is let in', async () => {
    const { port } = await startIngress();
    for (const flags of [0x03, 0x2a, 0x3a]) {
      const old = await RawClient.open(port);
      old.send(
        Buffer.from([0x10, 15, 0, 6, ...Buffer.from('MQIsdp'), 3, flags, 0, 0, 0, 1, 0x30 + (flags & 7)]),
      );
      await old.receives('connack');
      expect(old.of('connack')).toMatchObject([{ returnCode: 0 }]);
    }
  });
});
