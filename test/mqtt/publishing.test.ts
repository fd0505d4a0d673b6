import { describe, expect, it } from 'vitest';
import { Outcome } from '../../src/core/publication.ts';
import { until } from '../support/until.ts';
import { publish, RawClient, range, startIngress } from './harness.ts';

describe('publishing', () => {
  it('hands a publication over as it came', async () => {
    const { port, sink, clock } = await startIngress();
    const device = await RawClient.connect(port, { clientId: 'sensor-1' });
    device.send(publish(7, 'a/b', 'hello', { qos: 1, retain: true, dup: true }));
    await sink.holds(1);
    expect(sink.accepted[0]).toMatchObject({
      topic: 'a/b',
      payload: 'hello',
      qos: 1,
      retain: true,
      dup: true,
      packetId: 7,
      clientId: 'sensor-1',
    });
    expect(clock.wallMs()).toBeGreaterThan(0);
  });

  it('gives no PUBACK before the publication is complete', async () => {
    const { port, sink } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(publish(1), publish(2));
    await sink.holds(2);
    await device.settles();
    expect(device.ids('puback')).toEqual([]);
    sink.completeAll();
    await device.receives('puback', 2);
    expect(device.ids('puback')).toEqual([1, 2]);
  });

  it('lets PUBACKs leave in order of receipt, whatever order 1,000 completions come in ([MQTT-4.6.0-2])', async () => {
    const { port, sink } = await startIngress({ inflightQuota: 1_000 });
    const device = await RawClient.connect(port);
    device.send(...range(1_000).map((id) => publish(id)));
    await sink.holds(1_000);
    const shuffled = sink.accepted
      .map((accepted, index) => ({ accepted, rank: (index * 7_919) % 1_000 }))
      .toSorted((a, b) => a.rank - b.rank);
    for (const [index, { accepted }] of shuffled.entries()) {
      accepted.complete();
      if (index % 50 === 0) await new Promise(setImmediate);
    }
    await device.receives('puback', 1_000);
    expect(device.ids('puback')).toEqual(range(1_000));
  });

  it('keeps PUBACKs and PUBRECs in two orders: neither waits for the other', async () => {
    const { port, sink } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(
      publish(1, 'a', '1', { qos: 2 }),
      publish(2, 'a', '2', { qos: 1 }),
      publish(3, 'a', '3', { qos: 2 }),
      publish(4, 'a', '4', { qos: 1 }),
    );
    await sink.holds(4);
    sink.accepted[3]!.complete();
    sink.accepted[2]!.complete();
    sink.accepted[1]!.complete();
    await device.receives('puback', 2);
    expect(device.ids('puback')).toEqual([2, 4]);
    expect(device.ids('pubrec')).toEqual([]);
    sink.accepted[0]!.complete();
    await device.receives('pubrec', 2);
    expect(device.ids('pubrec')).toEqual([1, 3]);
  });

  it('acknowledges what is complete before accept returns', async () => {
    const { port, sink } = await startIngress();
    sink.completing = true;
    const device = await RawClient.connect(port);
    device.send(...range(50).map((id) => publish(id)));
    await device.receives('puback', 50);
    expect(device.ids('puback')).toEqual(range(50));
  });

  it('takes QoS 0 without an answer and counts it when it is complete', async () => {
    const { port, sink, ingress } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(...range(3).map((id) => publish(id, 'a', String(id), { qos: 0 })));
    await sink.holds(3);
    expect(ingress.stats.received).toEqual([3, 0, 0]);
    expect(ingress.stats.acknowledged).toEqual([0, 0, 0]);
    sink.completeAll();
    expect(ingress.stats.acknowledged).toEqual([3, 0, 0]);
    expect(ingress.stats.inFlight).toBe(0);
  });

  it('acknowledges a dead letter, and what was only for local subscribers', async () => {
    const { port, sink } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(publish(1), publish(2));
    await sink.holds(2);
    sink.accepted[0]!.complete(Outcome.DeadLettered);
    sink.accepted[1]!.complete(Outcome.Local);
    await device.receives('puback', 2);
  });

  it('closes the connection of a refused publication without acknowledging it, and says why', async () => {
    const { port, sink, logger, ingress } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(publish(1), publish(2), publish(3));
    await sink.holds(3);
    sink.accepted[0]!.complete();
    sink.accepted[1]!.complete(Outcome.Refused);
    sink.accepted[2]!.complete();
    await device.closes();
    expect(device.ids('puback')).toEqual([1]);
    expect(ingress.stats.closed.refused).toBe(1);
    expect(logger.lines).toMatchObject([{ fields: { client: 'device', reason: 'refused' } }]);
  });

  it('closes only the connection whose publication makes the sink fail', async () => {
    const { port, sink, ingress } = await startIngress();
    const device = await RawClient.connect(port, { clientId: 'poison' });
    const other = await RawClient.connect(port, { clientId: 'other' });
    const accept = sink.accept.bind(sink);
    sink.accept = (publication, origin, token) => {
      if (publication.clientId === 'poison') throw new Error('a bug');
      return accept(publication, origin, token);
    };
    device.send(publish(1));
    await device.closes();
    expect(device.ids('puback')).toEqual([]);
    other.send(publish(1));
    await sink.holds(1);
    sink.completeAll();
    await other.receives('puback');
    expect(ingress.stats.inFlight).toBe(0);
  });

  it('acknowledges and drops what goes to $ topics, counts it, and logs it once a window', async () => {
    const { port, sink, ingress, logger, clock } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(publish(1, 'a'), publish(2, '$SYS/x'), publish(3, '$SYS/x', '3', { qos: 2 }));
    await sink.holds(1);
    await device.receives('pubrec');
    expect(device.ids('puback')).toEqual([]);
    sink.completeAll();
    await device.receives('puback', 2);
    expect(device.ids('puback')).toEqual([1, 2]);
    expect(ingress.stats.reservedTopicDrops).toBe(2);
    expect(logger.lines).toHaveLength(1);
    clock.advance(60_000);
    expect(logger.lines.at(-1)).toMatchObject({ fields: { count: 1 } });
  });

  it('survives a sink that completes twice', async () => {
    const { port, sink, logger, ingress } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(publish(1), publish(2));
    await sink.holds(2);
    sink.accepted[1]!.complete();
    sink.accepted[1]!.complete();
    sink.accepted[0]!.complete();
    await device.receives('puback', 2);
    expect(ingress.stats.inFlight).toBe(0);
    expect(logger.lines).toMatchObject([{ level: 'error', message: 'completed more than once' }]);
  });
});

describe('QoS 2', () => {
  it('completes the handshake: PUBREC after the sink, PUBCOMP after PUBREL', async () => {
    const { port, sink } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(publish(5, 'a', 'x', { qos: 2 }));
    await sink.holds(1);
    await device.settles();
    expect(device.ids('pubrec')).toEqual([]);
    sink.completeAll();
    await device.receives('pubrec');
    device.send({ cmd: 'pubrel', messageId: 5 });
    await device.receives('pubcomp');
    expect(device.ids('pubcomp')).toEqual([5]);
  });

  it('produces a repeated publication once and answers both ([MQTT-4.3.3-2])', async () => {
    const { port, sink, ingress } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(publish(5, 'a', 'x', { qos: 2 }), publish(5, 'a', 'x', { qos: 2, dup: true }));
    await sink.holds(1);
    await device.settles();
    expect(device.ids('pubrec')).toEqual([]);
    sink.completeAll();
    await device.receives('pubrec', 2);
    device.send(publish(5, 'a', 'x', { qos: 2, dup: true }));
    await device.receives('pubrec', 3);
    expect(sink.accepted).toEqual([]);
    expect(ingress.stats.repeated).toBe(2);
    // The ledger hears of each.
    expect(sink.suppressions).toEqual(['a', 'a']);
  });

  it('takes a packet identifier as new after PUBREL', async () => {
    const { port, sink } = await startIngress();
    sink.completing = true;
    const device = await RawClient.connect(port);
    for (const round of range(2)) {
      device.send(publish(5, 'a', String(round), { qos: 2 }));
      await device.receives('pubrec', round);
      device.send({ cmd: 'pubrel', messageId: 5 });
      await device.receives('pubcomp', round);
    }
    expect(sink.payloads).toEqual(['1', '2']);
  });

  it('answers a PUBREL that it knows nothing of, in order', async () => {
    const { port } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(...[9, 3, 6].map((messageId) => ({ cmd: 'pubrel' as const, messageId })));
    await device.receives('pubcomp', 3);
    expect(device.ids('pubcomp')).toEqual([9, 3, 6]);
  });

  it('remembers packet identifiers over a reconnect of a persistent session', async () => {
    const { port, sink, ingress } = await startIngress();
    const first = await RawClient.connect(port, { clean: false });
    first.send(publish(5, 'a', 'x', { qos: 2 }), publish(6, 'a', 'y', { qos: 2 }));
    await sink.holds(2);
    sink.accepted[0]!.complete();
    await first.receives('pubrec');
    first.drop();
    await until(() => ingress.stats.connections === 0, { everyMs: 1 });

    const second = await RawClient.connect(port, { clean: false });
    second.send(publish(5, 'a', 'x', { qos: 2, dup: true }), publish(6, 'a', 'y', { qos: 2, dup: true }));
    await second.receives('pubrec');
    await second.settles();
    expect(second.ids('pubrec')).toEqual([5]);
    sink.accepted[1]!.complete();
    await second.receives('pubrec', 2);
    expect(second.ids('pubrec')).toEqual([5, 6]);
    expect(sink.accepted).toHaveLength(2);
  });

  it('ends a client that never releases its packet identifiers', async () => {
    const { port, sink, ingress } = await startIngress({ inflightQuota: 10_000 });
    const device = await RawClient.connect(port);
    device.send(...range(4_097).map((id) => publish(id, 'a', 'x', { qos: 2 })));
    await device.closes();
    expect(sink.accepted).toHaveLength(4_096);
    expect(ingress.stats.closed['protocol-violation']).toBe(1);
  });

  it('forgets them with a clean session', async () => {
    const { port, sink } = await startIngress();
    sink.completing = true;
    for (const round of range(2)) {
      const device = await RawClient.connect(port, { clean: true });
      device.send(publish(5, 'a', String(round), { qos: 2 }));
      await device.receives('pubrec');
    }
    expect(sink.payloads).toEqual(['1', '2']);
  });
});
