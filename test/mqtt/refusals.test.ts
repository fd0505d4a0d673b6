import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { silentLogger } from '../../src/core/logger.ts';
import { ConnectionHub } from '../../src/mqtt/connection/connection-hub.ts';
import { DEFAULT_LIMITS } from '../../src/mqtt/limits.ts';
import { LocalBroker } from '../../src/mqtt/broker/local-broker.ts';
import { IngressStats } from '../../src/mqtt/stats.ts';
import { until } from '../support/until.ts';
import { connectPacket, HeldSink, publish, RawClient, startIngress, TestClock } from './harness.ts';

const tooNew = { ...connectPacket({ clientId: 'new' }), protocolId: 'MQIsdp' } as ReturnType<
  typeof connectPacket
>;

describe('a client that is refused', () => {
  it('is told, and disconnected, after a delay: it can not come again at once', async () => {
    const { port, clock, ingress } = await startIngress({ refusalDelayMs: 1_000 });
    const client = await RawClient.open(port);
    client.send(tooNew);
    await until(() => ingress.stats.closed['unsupported-version'] === 1, { everyMs: 1 });
    clock.advance(500);
    // Another client is served from its CONNECT to its PINGRESP: what the first was sent would have come.
    const other = await RawClient.connect(port, { clientId: 'other' });
    await other.settles();
    expect([client.closed, client.of('connack')]).toEqual([false, []]);
    clock.advance(1_500);
    await client.closes();
    expect(client.of('connack')).toMatchObject([{ returnCode: 1 }]);
    await until(() => ingress.stats.connections === 1, { everyMs: 1 });
  });

  it('holds up no session: the same client id connects in the meantime', async () => {
    const { port, sink, ingress } = await startIngress({ refusalDelayMs: 60_000 });
    const bad = await RawClient.connect(port);
    bad.send(Uint8Array.of(0xf0, 0));
    await until(() => ingress.stats.closed['protocol-violation'] === 1, { everyMs: 1 });
    const good = await RawClient.connect(port);
    good.send(publish(1));
    await sink.holds(1);
    expect(bad.closed).toBe(false);
  });

  it('does not wait where too many do, and nobody does when the gateway stops', async () => {
    const { port, ingress } = await startIngress({ refusalDelayMs: 60_000, maxBraked: 1 });
    const first = await RawClient.open(port);
    first.send(tooNew);
    await until(() => ingress.stats.closed['unsupported-version'] === 1, { everyMs: 1 });
    const second = await RawClient.open(port);
    second.send(tooNew);
    await second.closes();
    expect(first.closed).toBe(false);
    await ingress.close();
    await first.closes();
  });
});

describe('a client on whose CONNECT is not decided', () => {
  it('is told so when the time for its CONNECT is over, and does not keep its session', async () => {
    const clock = new TestClock();
    const stats = new IngressStats();
    const limits = { ...DEFAULT_LIMITS, connectTimeoutMs: 1_000 };
    const broker = await LocalBroker.open({ limits, stats, clock, logger: silentLogger });
    const handle = broker.handle.bind(broker);
    let decides = false;
    // As an authentication does that never answers.
    broker.handle = (channel) => (decides ? handle(channel) : { close: () => {} });
    const sink = new HeldSink();
    const hub = new ConnectionHub({ limits, sink, broker, stats, clock, logger: silentLogger });
    const server = createServer((socket) => {
      socket.on('data', hub.accept(socket, 'here:1'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(async () => {
      hub.stopClock();
      for (const connection of hub.connections) connection.transport.destroy();
      server.close();
      await broker.close(Promise.resolve());
    });
    const { port } = server.address() as { port: number };
    const waiting = await RawClient.open(port);
    waiting.send(connectPacket());
    await until(() => stats.sessions === 1, { everyMs: 1 });
    clock.advance(2_000);
    await waiting.closes();
    expect(waiting.of('connack')).toMatchObject([{ returnCode: 3 }]);
    expect(stats.closed['connect-timeout']).toBe(1);
    await until(() => stats.sessions === 0, { everyMs: 1 });
    decides = true;
    await RawClient.connect(port);
  });
});
