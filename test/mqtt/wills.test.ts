import { describe, expect, it } from 'vitest';
import { until } from '../support/until.ts';
import { publish, RawClient, range, startIngress, subscribe } from './harness.ts';

const will = { topic: 'state/device', payload: 'gone', qos: 1 as const };

describe('the will of a connection that ends without DISCONNECT', () => {
  it('reaches the sink as a publication of its client, and local subscribers', async () => {
    const { port, sink, ingress } = await startIngress();
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['state/#', 1]));
    await watcher.receives('suback');
    const device = await RawClient.connect(port, { will: { ...will, retain: true } });
    device.drop();
    await sink.holds(1);
    expect(sink.accepted).toMatchObject([
      { topic: 'state/device', payload: 'gone', qos: 1, retain: true, clientId: 'device', packetId: 0 },
    ]);
    sink.completeAll();
    await watcher.receives('publish');
    expect(ingress.stats).toMatchObject({
      wills: 1,
      inFlight: 0,
      acknowledged: [0, 0, 0],
      received: [0, 0, 0],
    });
  });

  it('comes behind everything that its connection had sent', async () => {
    const { port, sink, ingress } = await startIngress({ inflightQuota: 2 });
    const device = await RawClient.connect(port, { will });
    device.send(...range(4).map((id) => publish(id)));
    await device.settles();
    device.drop();
    await until(() => ingress.stats.connections === 0, { everyMs: 1 });
    const payloads: string[] = [];
    while (payloads.length < 5) {
      await sink.holds(1);
      payloads.push(...sink.payloads);
      sink.completeAll();
    }
    expect(payloads).toEqual(['1', '2', '3', '4', 'gone']);
    await until(() => ingress.stats.parkedBytes === 0, { everyMs: 1 });
  });

  it('is not discarded when its client is back and sends the rest again', async () => {
    const { port, sink, ingress } = await startIngress();
    sink.room = 0;
    const device = await RawClient.connect(port, { will });
    device.send(publish(1));
    await device.settles();
    device.drop();
    await until(() => ingress.stats.connections === 0 && ingress.stats.wills === 1, { everyMs: 1 });
    const young = await RawClient.connect(port);
    young.send(publish(1, 'a', 'again'));
    await young.settles();
    sink.makeRoom();
    await sink.holds(2);
    expect(sink.payloads).toEqual(['gone', 'again']);
    sink.completeAll();
    await young.receives('puback');
    expect(ingress.stats).toMatchObject({ parkedMessages: 0, inFlight: 0 });
  });

  it('follows what was refused and so ended the connection', async () => {
    const { port, sink } = await startIngress();
    const device = await RawClient.connect(port, { will });
    device.send(publish(1));
    await sink.holds(1);
    sink.accepted[0]!.complete(3);
    await sink.holds(2);
    expect(sink.payloads).toEqual(['1', 'gone']);
  });
});

describe('no will reaches the sink', () => {
  it('of a connection that ended with DISCONNECT, to a $ topic, or that only clears a retained message', async () => {
    const { port, sink, ingress } = await startIngress();
    const polite = await RawClient.connect(port, { clientId: 'polite', will });
    polite.send({ cmd: 'disconnect' });
    await polite.closes();
    const liar = await RawClient.connect(port, { clientId: 'liar', will: { ...will, topic: '$SYS/x' } });
    liar.drop();
    const empty = await RawClient.connect(port, {
      clientId: 'empty',
      will: { ...will, payload: '', retain: true },
    });
    empty.drop();
    await until(() => ingress.stats.connections === 0, { everyMs: 1 });
    const last = await RawClient.connect(port, { clientId: 'last', will: { ...will, payload: 'last' } });
    last.drop();
    await sink.holds(1);
    expect(sink.payloads).toEqual(['last']);
  });

  it('when it is the gateway that stops', async () => {
    const { port, sink, ingress } = await startIngress();
    const device = await RawClient.connect(port, { will });
    await ingress.stopAccepting();
    await ingress.close();
    await device.closes();
    expect(sink.payloads).toEqual([]);
    expect(ingress.stats.wills).toBe(0);
  });
});
