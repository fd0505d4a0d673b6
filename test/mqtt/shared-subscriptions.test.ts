import { generate } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import { MemoryDirectory } from '../durable-log/memory-directory.ts';
import { until } from '../support/until.ts';
import {
  connectPacket,
  HeldSink,
  publish,
  RawClient,
  range,
  startIngress,
  subscribe,
  type TestIngress,
} from './harness.ts';
import { newHub, turns, Wire } from './hub-rig.ts';

const payloads = (client: RawClient): string[] => client.of('publish').map(({ payload }) => String(payload));

interface Membership {
  readonly clean?: boolean;
  readonly qos?: 0 | 1 | 2;
  readonly filter?: string;
}

async function member(
  { port }: TestIngress,
  clientId: string,
  { clean = true, qos = 1, filter = '$share/g/a/#' }: Membership = {},
): Promise<RawClient> {
  const client = await RawClient.connect(port, { clientId, clean });
  client.send(subscribe(1, [filter, qos]));
  await client.receives('suback');
  return client;
}

const total = (clients: readonly RawClient[]): number =>
  clients.reduce((sum, client) => sum + client.of('publish').length, 0);

describe('a shared subscription', () => {
  it('gives each message to one member, in turn, and everything to others who have subscribed', async () => {
    const test = await startIngress();
    const members = [await member(test, 'm1'), await member(test, 'm2'), await member(test, 'm3')];
    const other = await member(test, 'other', { filter: 'a/#' });
    const rival = await member(test, 'rival', { filter: '$share/h/a/+' });
    const device = await RawClient.connect(test.port);
    device.send(...range(9).map((id) => publish(id, 'a/x')));
    await other.receives('publish', 9);
    await rival.receives('publish', 9);
    await until(() => total(members) === 9, { everyMs: 1 });
    expect(members.map((client) => client.of('publish').length)).toEqual([3, 3, 3]);
    expect(members.flatMap(payloads).toSorted()).toEqual(range(9).map(String));
    members[0]!.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['$share/g/a/#'] });
    await members[0]!.receives('unsuback');
    device.send(...range(4, 10).map((id) => publish(id, 'a/x')));
    await until(() => total(members) === 13, { everyMs: 1 });
    expect(members.map((client) => client.of('publish').length)).toEqual([3, 5, 5]);
  });

  it('gives what a member has not acknowledged to another one when it goes', async () => {
    const test = await startIngress();
    const first = await member(test, 'first', { qos: 2 });
    const device = await RawClient.connect(test.port);
    device.send(
      publish(1, 'a', 'acknowledged'),
      publish(2, 'a', 'open', { qos: 2 }),
      publish(3, 'a', 'open too'),
    );
    await first.receives('publish', 3);
    first.send({ cmd: 'puback', messageId: first.of('publish')[0]!.messageId! });
    await first.settles();
    const second = await member(test, 'second', { qos: 2 });
    expect(second.of('publish')).toEqual([]);
    first.drop();
    await second.receives('publish', 2);
    expect(second.of('publish').map(({ payload, qos, dup }) => [String(payload), qos, dup])).toEqual([
      ['open', 2, false],
      ['open too', 1, false],
    ]);
  });

  it('passes over a member that does not read', async () => {
    const { hub, stats, broker, sink } = await newHub({ maxSubscriberBytes: 100_000 }, new HeldSink());
    sink.completing = true;
    const slow = new Wire();
    const quick = new Wire();
    for (const [index, wire] of [slow, quick].entries()) {
      const receive = hub.accept(wire, 'test:1');
      receive(generate(connectPacket({ clientId: `m${index}` })));
      receive(generate(subscribe(1, ['$share/g/#', 0])));
    }
    const device = hub.accept(new Wire(), 'test:1');
    device(generate(connectPacket()));
    await turns(1);
    const written = [slow.written.length, quick.written.length];
    Object.assign(slow, { writableLength: 150_000 });
    for (const id of range(10)) {
      device(generate(publish(id, 'a')));
      await turns(1);
    }
    expect([slow.written.length, quick.written.length]).toEqual([written[0], written[1]! + 10]);
    expect(stats.subscriberDrops).toBe(0);
    hub.stopClock();
    await broker.close(Promise.resolve());
  });

  it('is sent no retained messages', async () => {
    const test = await startIngress();
    const device = await RawClient.connect(test.port);
    device.send(publish(1, 'a/x', 'kept', { retain: true }));
    await device.settles();
    const client = await member(test, 'm');
    await client.settles();
    expect(client.of('publish')).toEqual([]);
  });

  it('is queued for a member whose session is kept while nobody is there, also after a restart', async () => {
    const disk = new MemoryDirectory();
    const test = await startIngress({}, disk);
    const kept = await member(test, 'kept', { clean: false });
    const device = await RawClient.connect(test.port);
    kept.drop();
    await until(() => test.ingress.stats.connections === 1, { everyMs: 1 });
    device.send(publish(1, 'a', 'before'));
    await device.settles();
    await test.ingress.close();
    const second = await startIngress({}, disk);
    const again = await RawClient.connect(second.port);
    again.send(publish(1, 'a', 'after'));
    await again.settles();
    const back = await RawClient.connect(second.port, { clientId: 'kept', clean: false });
    await back.receives('publish', 2);
    expect(payloads(back)).toEqual(['before', 'after']);
    again.send(publish(2, 'a', 'live'));
    await back.receives('publish', 3);
  });

  it.each(['$share/g', '$share//a', '$share/g/'])(
    'that is not well formed, as %s, is refused in the SUBACK, and the rest is granted',
    async (filter) => {
      const { port } = await startIngress();
      const client = await RawClient.connect(port);
      client.send(subscribe(1, [filter, 1], ['a', 1]));
      await client.receives('suback');
      expect(client.of('suback')).toMatchObject([{ granted: [0x80, 1] }]);
    },
  );
});
