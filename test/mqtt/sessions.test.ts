import { describe, expect, it } from 'vitest';
import { until } from '../support/until.ts';
import { connectPacket, publish, RawClient, range, startIngress, subscribe } from './harness.ts';

describe('the end of a connection', () => {
  it('after DISCONNECT, what is parked is still produced, in order', async () => {
    const { port, sink, ingress } = await startIngress();
    sink.room = 2;
    const device = await RawClient.connect(port);
    device.send(...range(10).map((id) => publish(id, 'a', String(id), { qos: (id % 2) as 0 | 1 })), {
      cmd: 'disconnect',
    });
    await device.closes();
    sink.makeRoom();
    await sink.holds(10);
    expect(sink.payloads).toEqual(range(10).map(String));
    sink.completeAll();
    expect(ingress.stats).toMatchObject({ inFlight: 0, parkedMessages: 0, parkedBytes: 0 });
  });

  it('by the network, what is parked goes on too', async () => {
    const { port, sink, ingress } = await startIngress({ inflightQuota: 2 });
    const device = await RawClient.connect(port);
    device.send(...range(10).map((id) => publish(id)));
    await device.settles();
    device.drop();
    await until(() => ingress.stats.connections === 0, { everyMs: 1 });
    const payloads: string[] = [];
    while (payloads.length < 10) {
      await sink.holds(1);
      payloads.push(...sink.payloads);
      sink.completeAll();
    }
    expect(payloads).toEqual(range(10).map(String));
    await until(() => ingress.stats.parkedMessages === 0, { everyMs: 1 });
  });
});

describe('a client id that connects again', () => {
  it('ends the old connection, which is not acknowledged any more ([MQTT-3.1.4-2])', async () => {
    const { port, sink, ingress } = await startIngress();
    const old = await RawClient.connect(port);
    old.send(publish(1), publish(2));
    await sink.holds(2);
    const young = await RawClient.connect(port);
    await old.closes();
    young.send(publish(3));
    await sink.holds(3);
    sink.completeAll();
    await young.receives('puback');
    await young.settles();
    expect(young.ids('puback')).toEqual([3]);
    expect(old.ids('puback')).toEqual([]);
    expect(ingress.stats.closed['taken-over']).toBe(1);
    expect(ingress.stats.sessions).toBe(1);
  });

  it('discards what the old connection had parked, unacknowledged', async () => {
    const { port, sink, ingress } = await startIngress({ inflightQuota: 2 });
    const old = await RawClient.connect(port);
    old.send(...range(6).map((id) => publish(id, 'a', `old ${id}`)));
    await old.settles();
    const young = await RawClient.connect(port);
    expect(ingress.stats.discarded).toBe(4);
    expect(sink.refusals).toBe(0);
    sink.completeAll();
    young.send(...range(2, 3).map((id) => publish(id, 'a', `young ${id}`, { dup: true })));
    await sink.holds(2);
    expect(sink.payloads).toEqual(['young 3', 'young 4']);
    expect(ingress.stats.parkedBytes).toBe(0);
  });

  it('also when the old connection was lost long before', async () => {
    const { port, sink, ingress } = await startIngress({ inflightQuota: 1 });
    const old = await RawClient.connect(port);
    old.send(...range(3).map((id) => publish(id)));
    await old.settles();
    old.drop();
    await until(() => ingress.stats.connections === 0, { everyMs: 1 });
    expect(ingress.stats.parkedMessages).toBe(2);
    const young = await RawClient.connect(port);
    expect(ingress.stats).toMatchObject({ parkedMessages: 0, discarded: 2 });
    young.send(publish(2));
    await sink.holds(2);
    expect(sink.payloads).toEqual(['1', '2']);
  });

  it("waits behind what is parked of a connection that ended with DISCONNECT: the device's order is kept", async () => {
    const { port, sink, ingress } = await startIngress();
    sink.room = 0;
    for (const round of range(3)) {
      const device = await RawClient.connect(port);
      device.send(publish(1, 'a', `${round} a`, { qos: 0 }), publish(2, 'a', `${round} b`, { qos: 0 }), {
        cmd: 'disconnect',
      });
      await device.closes();
    }
    const last = await RawClient.connect(port);
    last.send(publish(1, 'a', 'last'));
    await last.settles();
    expect(sink.accepted).toEqual([]);
    // Room for one at a time: whoever comes out of turn would be seen.
    for (const count of range(7)) {
      sink.makeRoom(1);
      await sink.holds(count);
      // Whatever else the turn brings has come when a ping is answered.
      await last.settles();
      expect(sink.accepted).toHaveLength(count);
    }
    expect(sink.payloads).toEqual(['1 a', '1 b', '2 a', '2 b', '3 a', '3 b', 'last']);
    sink.makeRoom();
    sink.completeAll();
    await last.receives('puback');
    expect(ingress.stats).toMatchObject({ parkedMessages: 0, inFlight: 0 });
  });

  it('leaves nothing behind when the sink has room again for what was discarded', async () => {
    const { port, sink, ingress } = await startIngress();
    for (const round of range(3)) {
      sink.room = 0;
      const old = await RawClient.connect(port);
      old.send(publish(round));
      await old.settles();
      old.drop();
      const young = await RawClient.connect(port);
      young.send({ cmd: 'disconnect' });
      await young.closes();
      sink.makeRoom();
    }
    await until(() => ingress.stats.connections === 0, { everyMs: 1 });
    const last = await RawClient.connect(port);
    last.send(publish(1, 'a', 'last'));
    await sink.holds(1);
    expect(sink.payloads).toEqual(['last']);
    expect(ingress.stats).toMatchObject({ parkedMessages: 0, parkedBytes: 0, discarded: 3 });
  });

  it('waits even where there is room for what it sends', async () => {
    const { port, sink } = await startIngress();
    sink.closedTopics.add('a');
    const first = await RawClient.connect(port);
    first.send(publish(1, 'a', 'first', { qos: 0 }), { cmd: 'disconnect' });
    await first.closes();
    const lost = await RawClient.connect(port);
    lost.send(publish(1, 'b', 'lost'));
    await lost.settles();
    lost.drop();
    const last = await RawClient.connect(port);
    last.send(publish(1, 'b', 'last'));
    await last.settles();
    expect(sink.accepted).toEqual([]);
    sink.closedTopics.clear();
    sink.makeRoom();
    await sink.holds(2);
    expect(sink.payloads).toEqual(['first', 'last']);
  });

  it('is refused for now when its earlier connections hold too much', async () => {
    const { port, sink, ingress } = await startIngress({ readAheadBytes: 5_000 });
    sink.room = 0;
    const first = await RawClient.connect(port);
    first.send(publish(1, 'a', 'x'.repeat(6_000), { qos: 0 }), { cmd: 'disconnect' });
    await first.closes();
    const second = await RawClient.open(port);
    second.send(connectPacket(), publish(1, 'b', 'behind a CONNECT that is refused'));
    await second.closes();
    expect(second.bytes).toEqual([0x20, 2, 0, 3]);
    expect(ingress.stats.closed['session-busy']).toBe(1);
    sink.makeRoom();
    await sink.holds(1);
    const third = await RawClient.connect(port);
    third.send(publish(1, 'b', 'third'));
    await sink.holds(2);
    expect(sink.payloads[1]).toBe('third');
  });

  it('in a storm leaves one connection, the last', async () => {
    const { port, ingress, sink } = await startIngress();
    const clients = await Promise.all(range(30).map(() => RawClient.open(port)));
    for (const client of clients) client.send(connectPacket({ clean: false }), publish(1));
    await until(() => ingress.stats.connections === 1, { everyMs: 1 });
    const survivors = clients.filter(({ closed }) => !closed);
    await until(() => clients.filter(({ closed }) => !closed).length === 1, { everyMs: 1 });
    expect(ingress.stats.sessions).toBe(1);
    const survivor = survivors.find(({ closed }) => !closed)!;
    survivor.send(publish(2, 'a', 'alive'));
    await until(() => sink.payloads.includes('alive'), { everyMs: 1 });
  });

  it('does not produce twice, nor show subscribers twice, a parked QoS 2 publication that it repeats', async () => {
    const { port, sink } = await startIngress();
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['a', 2]));
    await watcher.receives('suback');
    sink.room = 0;
    const old = await RawClient.connect(port, { clean: false });
    old.send(publish(5, 'a', 'x', { qos: 2 }));
    await watcher.receives('publish');
    old.drop();
    const young = await RawClient.connect(port, { clean: false });
    young.send(publish(5, 'a', 'x', { qos: 2, dup: true }));
    await young.settles();
    sink.makeRoom();
    await sink.holds(1);
    sink.completeAll();
    await young.receives('pubrec');
    await watcher.settles();
    expect(watcher.of('publish')).toHaveLength(1);
    expect(sink.accepted).toEqual([]);
  });
});
