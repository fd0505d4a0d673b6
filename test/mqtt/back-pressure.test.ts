import { describe, expect, it } from 'vitest';
import { Outcome } from '../../src/core/publication.ts';
import { until } from '../support/until.ts';
import { publish, RawClient, range, startIngress } from './harness.ts';

const KILOBYTE = 'x'.repeat(1_000);

describe('the soft bound', () => {
  it('lets the sink have no more than the quota, and gives it the rest in order', async () => {
    const { port, sink, ingress } = await startIngress({ inflightQuota: 8 });
    const device = await RawClient.connect(port);
    device.send(...range(100).map((id) => publish(id)));
    await device.settles();
    expect(sink.accepted).toHaveLength(8);
    expect(ingress.stats).toMatchObject({ inFlight: 8, parkedMessages: 92 });
    const payloads: string[] = [];
    while (payloads.length < 100) {
      await sink.holds(1);
      payloads.push(...sink.payloads);
      expect(sink.accepted.length).toBeLessThanOrEqual(8);
      sink.completeAll();
      await new Promise(setImmediate);
    }
    await device.receives('puback', 100);
    expect(payloads).toEqual(range(100).map(String));
    expect(device.ids('puback')).toEqual(range(100));
    expect(ingress.stats).toMatchObject({ inFlight: 0, parkedMessages: 0, parkedBytes: 0 });
  });

  it('counts what is complete but can not be acknowledged yet', async () => {
    const { port, sink } = await startIngress({ inflightQuota: 4 });
    const device = await RawClient.connect(port);
    device.send(...range(10).map((id) => publish(id)));
    await sink.holds(4);
    for (const index of [1, 2, 3]) sink.accepted[index]!.complete();
    await device.settles();
    expect(sink.accepted).toHaveLength(4);
    sink.accepted[0]!.complete();
    await sink.holds(8);
  });

  it('serves PINGREQ, PUBREL and DISCONNECT behind what is parked', async () => {
    const { port, sink, ingress } = await startIngress({ inflightQuota: 1 });
    const device = await RawClient.connect(port);
    device.send(...range(10).map((id) => publish(id)), { cmd: 'pingreq' }, { cmd: 'pubrel', messageId: 77 });
    await device.receives('pingresp');
    await device.receives('pubcomp');
    expect(sink.accepted).toHaveLength(1);
    device.send({ cmd: 'disconnect' });
    await device.closes();
    expect(ingress.stats.closed.disconnected).toBe(1);
  });

  it('parks what the sink has no room for, and tries again in order when it is told', async () => {
    const { port, sink } = await startIngress();
    sink.room = 3;
    const device = await RawClient.connect(port);
    device.send(...range(10).map((id) => publish(id)));
    await device.settles();
    // Not asked again before it says so, whatever else happens on the connection.
    sink.accepted[2]!.complete();
    device.send(publish(11));
    await device.settles();
    expect(sink.refusals).toBe(1);
    sink.makeRoom(2);
    // At once: whoever gives room must see who took it, before it asks the next one.
    expect(sink.payloads).toEqual(range(5).map(String));
    sink.makeRoom();
    await sink.holds(11);
    expect(sink.payloads).toEqual(range(11).map(String));
    for (const accepted of sink.accepted.toSpliced(2, 1)) accepted.complete();
    await device.receives('puback', 11);
    expect(device.ids('puback')).toEqual(range(11));
  });

  it('does not hand over a second publication while the sink still has the first', async () => {
    const { port, sink } = await startIngress();
    sink.closedTopics.add('closed');
    const parked = await RawClient.connect(port, { clientId: 'parked' });
    parked.send(publish(1, 'closed', 'parked'));
    await parked.settles();
    const accept = sink.accept.bind(sink);
    sink.accept = (publication, origin, token) => {
      const before = publication.payload.toString();
      sink.closedTopics.clear();
      sink.makeRoom();
      expect(publication.payload.toString()).toBe(before);
      return accept(publication, origin, token);
    };
    const other = await RawClient.connect(port, { clientId: 'other' });
    other.send(publish(1, 'open', 'other'));
    await sink.holds(2);
    expect(sink.payloads).toEqual(['other', 'parked']);
    sink.completeAll();
    await parked.receives('puback');
    await other.receives('puback');
  });

  it('keeps the order of everything behind a parked publication, whatever its QoS', async () => {
    const { port, sink } = await startIngress();
    sink.room = 0;
    const device = await RawClient.connect(port);
    device.send(...range(30).map((id) => publish(id, 'a', String(id), { qos: (id % 3) as 0 | 1 | 2 })));
    await device.settles();
    sink.makeRoom();
    await sink.holds(30);
    expect(sink.payloads).toEqual(range(30).map(String));
  });

  it('holds up nobody else', async () => {
    const { port, sink } = await startIngress({ inflightQuota: 1 });
    const flooding = await RawClient.connect(port, { clientId: 'flooding' });
    flooding.send(...range(50).map((id) => publish(id)));
    await sink.holds(1);
    const calm = await RawClient.connect(port, { clientId: 'calm' });
    calm.send(publish(1));
    await sink.holds(2);
    sink.accepted[1]!.complete();
    await calm.receives('puback');
  });

  it('does not slow QoS 0 down to the window of QoS 1', async () => {
    const { port, sink } = await startIngress({ inflightQuota: 4 });
    const device = await RawClient.connect(port);
    device.send(...range(64).map((id) => publish(id, 'a', String(id), { qos: 0 })));
    await sink.holds(64);
  });
});

describe('the hard bound', () => {
  it('stops reading, stops the keepalive clock, and recovers', async () => {
    const { port, sink, clock, ingress } = await startIngress({ inflightQuota: 2, readAheadBytes: 20_000 });
    const device = await RawClient.connect(port, { keepalive: 10 });
    const count = 20_000;
    device.send(...range(count).map((id) => publish(id, 'a', KILOBYTE)));
    await until(() => ingress.stats.pausedConnections === 1, { everyMs: 1 });
    await until(() => device.stuckBytes > 1_000_000, { everyMs: 1, what: 'the device to be held back' });
    expect(ingress.stats.parkedBytes).toBeLessThan(100_000);
    clock.advance(600_000);
    expect(ingress.stats.closed['keepalive-timeout']).toBe(0);

    sink.completing = true;
    sink.completeAll();
    await device.receives('puback', count);
    expect(device.ids('puback')).toEqual(range(count));
    expect(ingress.stats).toMatchObject({ pausedConnections: 0, parkedBytes: 0, parkedMessages: 0 });
    await device.settles();
    clock.advance(20_000);
    await device.closes();
    expect(ingress.stats.closed['keepalive-timeout']).toBe(1);
  });

  it.each([
    ['large', 300, KILOBYTE],
    ['small', 3_000, ''],
  ])(
    'shrinks with the number of connections: all together stay below the limit, %s packets',
    async (_size, count, payload) => {
      const limit = 1_000_000;
      const { port, sink, ingress } = await startIngress({ inflightQuota: 1, memoryLimitBytes: limit });
      const devices = await Promise.all(
        range(40).map((index) => RawClient.connect(port, { clientId: `d${index}` })),
      );
      let most = 0;
      const watch = setInterval(() => (most = Math.max(most, ingress.stats.parkedBytes)), 1);
      for (const device of devices) device.send(...range(count).map((id) => publish(id, 'a', payload)));
      await until(() => ingress.stats.pausedConnections === 40, { everyMs: 1 });
      sink.completing = true;
      sink.completeAll();
      for (const device of devices) await device.receives('puback', count);
      clearInterval(watch);
      expect(most).toBeGreaterThan(0);
      expect(most).toBeLessThanOrEqual(limit);
      expect(ingress.stats.parkedBytes).toBe(0);
    },
  );

  it('lets large packets come when many of them together would not fit', async () => {
    const { port, sink, ingress, clock } = await startIngress({ memoryLimitBytes: 400_000 });
    sink.completing = true;
    const devices = await Promise.all(
      range(8).map((index) => RawClient.connect(port, { clientId: `d${index}` })),
    );
    for (const device of devices) device.send(publish(1, 'a', 'x'.repeat(200_000)));
    const settled = (): boolean => {
      clock.advance(500);
      return ingress.stats.closed['out-of-memory'] + sink.accepted.length === devices.length;
    };
    await until(settled, { everyMs: 5 });
    expect(sink.accepted.length).toBeGreaterThan(0);
    expect(ingress.stats.parkedBytes).toBe(0);
  });

  it('does not read a device that floods and never reads its PUBACKs', async () => {
    const { port, sink, ingress, clock } = await startIngress();
    sink.accept = (_publication, origin, token) => {
      origin.complete(token, Outcome.Delivered);
      return true;
    };
    const device = await RawClient.connect(port, { keepalive: 10 });
    device.pause();
    const flood = Buffer.concat(
      Array.from({ length: 5_000 }, () => Buffer.from([0x32, 5, 0, 1, 0x61, 0, 1])),
    );
    await until(
      () => {
        if (device.stuckBytes < 1_000_000) device.send(flood);
        const { pausedConnections, parkedMessages } = ingress.stats;
        return device.stuckBytes >= 1_000_000 && pausedConnections === 1 && parkedMessages === 0;
      },
      { everyMs: 1, what: 'the device to be held back' },
    );
    // It is held for not reading, so silence counts.
    clock.advance(20_000);
    await until(() => ingress.stats.closed['keepalive-timeout'] === 1, { everyMs: 1 });
  });
});
