import { describe, expect, it, onTestFinished } from 'vitest';
import { Ingress } from '../../../src/mqtt/ingress.ts';
import { HeldSink, publish, RawClient, RecordingLogger, subscribe, TestClock } from '../harness.ts';
import { MemoryDirectory } from '../../durable-log/memory-directory.ts';

async function start(sessions = new MemoryDirectory()) {
  const clock = new TestClock();
  const sink = new HeldSink();
  const ingress = new Ingress({
    listeners: [{ type: 'tcp', host: '127.0.0.1', port: 0 }],
    sys: { version: '1.2.3', intervalMs: 10_000 },
    sessions,
    sink,
    clock,
    logger: new RecordingLogger(),
  });
  await ingress.start();
  onTestFinished(() => ingress.close());
  return { ingress, clock, sink, port: ingress.addresses()[0]!.port };
}

const view = (client: RawClient): [string, string, boolean][] =>
  client.of('publish').map(({ topic, payload, retain }) => [topic, String(payload), retain]);

describe('$SYS/broker', () => {
  it('has the figures of the broker, retained, for who subscribes to them', async () => {
    const { port, clock } = await start();
    const monitor = await RawClient.connect(port, { clientId: 'monitor' });
    clock.advance(10_000);
    monitor.send(subscribe(1, ['$SYS/broker/#', 1]));
    await monitor.receives('publish', 13);
    const values = new Map(view(monitor).map(([topic, payload]) => [topic, payload]));
    expect(new Set(view(monitor).map(([, , retain]) => retain))).toEqual(new Set([true]));
    expect(values.get('$SYS/broker/version')).toBe('sluice version 1.2.3');
    expect(values.get('$SYS/broker/uptime')).toBe('10 seconds');
    expect(values.get('$SYS/broker/clients/connected')).toBe('1');
  });

  it('has a new value when it has changed, and says nothing otherwise', async () => {
    const { port, clock, sink } = await start();
    const monitor = await RawClient.connect(port, { clientId: 'monitor' });
    monitor.send(subscribe(1, ['$SYS/broker/publish/messages/received', 0]));
    await monitor.receives('publish');
    clock.advance(20_000);
    await monitor.settles();
    monitor.send(publish(1), publish(2));
    await sink.holds(2);
    clock.advance(10_000);
    await monitor.receives('publish', 2);
    expect(view(monitor)).toEqual([
      ['$SYS/broker/publish/messages/received', '0', true],
      ['$SYS/broker/publish/messages/received', '2', false],
    ]);
  });

  it('is not matched by wildcards at the beginning ([MQTT-4.7.2-1]), and not kept on disk', async () => {
    const disk = new MemoryDirectory();
    const { port, clock, ingress } = await start(disk);
    const curious = await RawClient.connect(port, { clientId: 'curious' });
    curious.send(subscribe(1, ['#', 1], ['+/broker/#', 1]));
    await curious.receives('suback');
    clock.advance(10_000);
    await curious.settles();
    expect(view(curious)).toEqual([]);
    await ingress.close();
    for (const { bytes } of disk.files.values()) expect(bytes.includes('$SYS')).toBe(false);
  });

  it('does not say who connects, disconnects and subscribes', async () => {
    const { port } = await start();
    const spy = await RawClient.connect(port, { clientId: 'spy' });
    spy.send(subscribe(1, ['$SYS/#', 0]));
    await spy.receives('publish', 13);
    const other = await RawClient.connect(port, { clientId: 'secret-name' });
    other.send(subscribe(1, ['secret-filter', 0]));
    await other.receives('suback');
    other.send(
      { cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['secret-filter'] },
      { cmd: 'disconnect' },
    );
    await other.closes();
    await spy.settles();
    expect(JSON.stringify(view(spy))).not.toContain('secret');
    expect(view(spy).every(([topic]) => topic.startsWith('$SYS/broker/'))).toBe(true);
  });
});
