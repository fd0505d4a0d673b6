import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { silentLogger } from '../../src/core/logger.ts';
import { Ingress } from '../../src/mqtt/ingress.ts';
import { until } from '../support/until.ts';
import { HeldSink, publish, RawClient, range, startIngress, subscribe, TestClock } from './harness.ts';

describe('start', () => {
  it('names the address and what to do when the port is taken, and leaves nothing open', async () => {
    const squatter = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => squatter.once('listening', resolve));
    onTestFinished(() => void squatter.close());
    const { port } = squatter.address() as AddressInfo;
    const ingress = new Ingress({
      listeners: [
        { type: 'tcp', host: '127.0.0.1', port: 0 },
        { type: 'tcp', host: '127.0.0.1', port },
      ],
      sink: new HeldSink(),
      clock: new TestClock(),
      logger: silentLogger,
    });
    await expect(ingress.start()).rejects.toMatchObject({
      code: 'LISTENER_PORT_IN_USE',
      message: expect.stringContaining(`127.0.0.1:${port}`) as string,
    });
    await expect(ingress.start()).rejects.toMatchObject({ code: 'LISTENER_PORT_IN_USE' });
  });

  it('serves several listeners', async () => {
    const sink = new HeldSink();
    const ingress = new Ingress({
      listeners: range(2).map(() => ({ type: 'tcp', host: '127.0.0.1', port: 0 })),
      sink,
      clock: new TestClock(),
      logger: silentLogger,
    });
    await ingress.start();
    onTestFinished(() => ingress.close());
    const [one, two] = ingress.addresses();
    expect(one!.port).not.toBe(two!.port);
    for (const { port } of ingress.addresses()) {
      const client = await RawClient.connect(port, { clientId: `on ${port}` });
      client.send(publish(1));
    }
    await sink.holds(2);
  });
});

describe('stop', () => {
  it('takes no further connections and publications, and lets those in flight be acknowledged', async () => {
    const { ingress, port, sink } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(publish(1), publish(2));
    await sink.holds(2);
    await ingress.stopAccepting();
    device.send(publish(3));
    await expect(RawClient.open(port)).rejects.toThrow();
    let drained = false;
    const draining = ingress.drained().then(() => (drained = true));
    sink.accepted[1]!.complete();
    // Its PINGRESP comes behind every PUBACK that may leave.
    await device.settles();
    expect(drained).toBe(false);
    expect(device.ids('puback')).toEqual([]);
    sink.accepted[0]!.complete();
    await draining;
    await device.receives('puback', 2);
    await ingress.close();
    await device.closes();
    expect(device.ids('puback')).toEqual([1, 2]);
    expect(sink.payloads).toEqual(['1', '2']);
    expect(ingress.stats).toMatchObject({ connections: 0, closed: { stopped: 1 } });
  });

  it('waits for what is parked', async () => {
    const { ingress, port, sink } = await startIngress();
    sink.room = 1;
    const device = await RawClient.connect(port);
    device.send(...range(5).map((id) => publish(id, 'a', String(id), { qos: 0 })), { cmd: 'disconnect' });
    await device.closes();
    await ingress.stopAccepting();
    const draining = ingress.drained();
    sink.makeRoom();
    await sink.holds(5);
    sink.completeAll();
    await draining;
    expect(ingress.stats).toMatchObject({ inFlight: 0, parkedMessages: 0 });
  });

  it('sends acknowledgements that are due before it closes', async () => {
    const { ingress, port, sink } = await startIngress();
    const device = await RawClient.connect(port);
    device.send(publish(1));
    await sink.holds(1);
    sink.completeAll();
    await ingress.close();
    await device.closes();
    expect(device.ids('puback')).toEqual([1]);
  });

  it('ends clients that have a will, and those that wait for it', async () => {
    const { ingress, port } = await startIngress();
    const device = await RawClient.connect(port, { will: { topic: 'state', payload: 'gone' } });
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['state', 0]));
    await watcher.receives('suback');
    await ingress.close();
    await device.closes();
    await watcher.closes();
    expect(ingress.stats.connections).toBe(0);
  });

  it('can come before start and twice', async () => {
    const ingress = new Ingress({
      listeners: [],
      sink: new HeldSink(),
      clock: new TestClock(),
      logger: silentLogger,
    });
    await ingress.stopAccepting();
    await ingress.drained();
    await ingress.close();
    await ingress.start();
    await ingress.close();
    await ingress.close();
  });

  it('does not wait for ever for a client that reads nothing of what it is sent', async () => {
    const { ingress, port, clock } = await startIngress();
    const watcher = await RawClient.connect(port);
    watcher.send(subscribe(1, ['a', 0]));
    await watcher.receives('suback');
    watcher.pause();
    // Until the buffers of both kernels are full, and as much waits here as may wait for one subscriber.
    await until(
      () => {
        ingress.publish('a', Buffer.alloc(1_000_000));
        return ingress.stats.subscriberDrops > 0;
      },
      { everyMs: 1 },
    );
    const startMs = clock.monotonicMs();
    await ingress.drained();
    // What waits to be read has used up the time for it.
    expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(2_000);
    await ingress.close();
    await until(() => ingress.stats.connections === 0, { everyMs: 1 });
  });

  it('does not wait for ever for a client that does not close its side', async () => {
    const { ingress, port, clock, sink } = await startIngress();
    const device = await RawClient.connect(port);
    device.pause();
    device.send(publish(1));
    await sink.holds(1);
    sink.completeAll();
    const startMs = clock.monotonicMs();
    await ingress.close();
    expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(2_000);
    await until(() => ingress.stats.connections === 0, { everyMs: 1 });
  });
});
