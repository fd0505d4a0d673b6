import { describe, expect, it } from 'vitest';
import { connectPacket, publish, RawClient, startIngress, subscribe } from './harness.ts';

describe('while the gateway stops', () => {
  it('what was taken is acknowledged, and what comes then is neither taken nor acknowledged', async () => {
    const { port, sink, ingress } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(publish(1));
    await sink.holds(1);
    await ingress.stopAccepting();
    device.send(publish(2), publish(3, 'a', 'x', { qos: 2 }), publish(4, 'a', 'x', { qos: 0 }));
    await device.settles();
    sink.completeAll();
    await ingress.drained();
    await device.receives('puback');
    expect(device.ids('puback')).toEqual([1]);
    expect(device.ids('pubrec')).toEqual([]);
    expect(sink.accepted).toEqual([]);
    expect(ingress.stats.untaken).toBe(3);
  });

  it('pings, subscriptions, PUBREL and DISCONNECT are served', async () => {
    const { port, sink, ingress } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(publish(7, 'a', 'x', { qos: 2 }));
    await sink.holds(1);
    await ingress.stopAccepting();
    sink.completeAll();
    await device.receives('pubrec');
    device.send(publish(8), { cmd: 'pubrel', messageId: 7 }, subscribe(1, ['a', 1]), { cmd: 'pingreq' });
    await device.receives('pubcomp');
    await device.receives('suback');
    await device.receives('pingresp');
    device.send({ cmd: 'disconnect' });
    await device.closes();
    expect(ingress.stats.closed).toMatchObject({ disconnected: 1, stopped: 0 });
  });

  it('a connection that is open and has not said CONNECT is told that the server is not available', async () => {
    const { port, ingress } = await startIngress();
    const late = await RawClient.open(port);
    await ingress.stopAccepting();
    late.send(connectPacket());
    await late.closes();
    expect(late.of('connack')).toMatchObject([{ returnCode: 3 }]);
  });
});
