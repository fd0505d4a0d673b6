import { describe, expect, it, onTestFinished } from 'vitest';
import type { PresenceObserver } from '../../src/core/device-sessions.ts';
import { Ingress } from '../../src/mqtt/ingress.ts';
import { until } from '../support/until.ts';
import { HeldSink, RawClient, RecordingLogger, TestClock } from './harness.ts';

async function start() {
  const told: string[] = [];
  const presence: PresenceObserver = {
    connected: ({
      deviceId,
      protocolVersion,
      keepAliveSeconds,
      cleanSession,
      sessionPresent,
      listener,
      remote,
    }) => {
      expect([listener, remote.split(':')[0]]).toEqual([expect.stringMatching(/^127.0.0.1:/), '127.0.0.1']);
      told.push(
        `${deviceId} ${protocolVersion} ${keepAliveSeconds}s clean=${cleanSession} present=${sessionPresent}`,
      );
    },
    disconnected: ({ deviceId }, reason, willSent) => {
      told.push(`${deviceId} ${reason}${willSent ? ' will' : ''}`);
    },
  };
  const clock = new TestClock();
  const ingress = new Ingress({
    listeners: [{ type: 'tcp', host: '127.0.0.1', port: 0 }],
    presence,
    sink: new HeldSink(),
    clock,
    logger: new RecordingLogger(),
  });
  await ingress.start();
  onTestFinished(() => ingress.close());
  const tells = (count: number): Promise<void> => until(() => told.length >= count, { everyMs: 1 });
  return { told, tells, clock, ingress, port: ingress.addresses()[0]!.port };
}

const will = { topic: 'state', payload: 'gone', qos: 1 as const };

describe('presence', () => {
  it('tells of each connection that got in, and why it ended, in order for each device', async () => {
    const { told, tells, port, clock, ingress } = await start();
    const first = await RawClient.connect(port, { clientId: 'a', clean: false, keepalive: 10, will });
    await RawClient.connect(port, { clientId: 'a', clean: false, keepalive: 10, will });
    await first.closes();
    clock.advance(20_000);
    await tells(4);
    const polite = await RawClient.connect(port, { clientId: 'b', will });
    polite.send({ cmd: 'disconnect' });
    await tells(6);
    const bad = await RawClient.connect(port, { clientId: 'c' });
    bad.send(Uint8Array.of(0xf0, 0));
    await tells(8);
    const lost = await RawClient.connect(port, { clientId: 'd' });
    lost.drop();
    await tells(10);
    await RawClient.connect(port, { clientId: 'e', will });
    await ingress.stopAccepting();
    await ingress.close();
    expect(told).toEqual([
      'a 3.1.1 10s clean=false present=false',
      'a taken-over will',
      'a 3.1.1 10s clean=false present=true',
      'a keepalive-timeout will',
      'b 3.1.1 0s clean=true present=false',
      'b disconnected',
      'c 3.1.1 0s clean=true present=false',
      'c protocol-violation',
      'd 3.1.1 0s clean=true present=false',
      'd connection-lost',
      'e 3.1.1 0s clean=true present=false',
      'e stopped',
    ]);
  });

  it('is silent about who did not get in', async () => {
    const { told, port, ingress } = await start();
    const client = await RawClient.open(port);
    client.send(Uint8Array.of(0x10, 2, 0, 0));
    await client.closes();
    await until(() => ingress.stats.connections === 0, { everyMs: 1 });
    expect(told).toEqual([]);
  });
});
