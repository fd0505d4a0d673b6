import { describe, expect, it } from 'vitest';
import { everybody, type Authenticator } from '../../src/core/principal.ts';
import { until } from '../support/until.ts';
import { connectPacket, publish, RawClient, startIngress } from './harness.ts';

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
    let decides = false;
    const authenticator: Authenticator = {
      authenticate: (credentials) =>
        decides ? everybody.authenticate(credentials) : new Promise<never>(() => {}),
    };
    const { port, ingress, clock } = await startIngress({ connectTimeoutMs: 1_000 }, undefined, {
      authenticator,
    });
    const waiting = await RawClient.open(port);
    waiting.send(connectPacket());
    await until(() => ingress.stats.controlPackets === 1, { everyMs: 1 });
    clock.advance(2_000);
    await waiting.closes();
    expect(waiting.of('connack')).toMatchObject([{ returnCode: 3 }]);
    expect(ingress.stats.closed['connect-timeout']).toBe(1);
    expect(ingress.stats.sessions).toBe(0);
    decides = true;
    await RawClient.connect(port);
  });
});
