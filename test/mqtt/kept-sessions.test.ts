import { describe, expect, it } from 'vitest';
import { until } from '../support/until.ts';
import { publish, RawClient, range, startIngress, subscribe, type TestIngress } from './harness.ts';
import { MemoryDirectory } from '../durable-log/memory-directory.ts';

/** A gateway's MQTT edge with sessions on a disk that tests own. */
async function start(
  disk: MemoryDirectory,
  limits: Parameters<typeof startIngress>[0] = {},
): Promise<TestIngress & { disk: MemoryDirectory }> {
  return { ...(await startIngress(limits, disk)), disk };
}

const persistent = { clientId: 'pump', clean: false };

async function subscribed(test: TestIngress, qos: 1 | 2 = 1): Promise<RawClient> {
  const client = await RawClient.connect(test.port, persistent);
  client.send(subscribe(1, ['to/pump/#', qos]));
  await client.receives('suback');
  return client;
}

async function leaves(test: TestIngress, client: RawClient): Promise<void> {
  const others = test.ingress.stats.connections - 1;
  client.drop();
  await until(() => test.ingress.stats.connections <= others, { everyMs: 1 });
}

const payloads = (client: RawClient): string[] => client.of('publish').map(({ payload }) => String(payload));

const sent = (test: TestIngress, count: number): Promise<void> => test.sink.holds(count);

/** Clean stops, and losses of power that leave nothing, half or all of what was not synced. */
const ENDS = [
  ['a clean stop', undefined],
  ['a crash that loses what was not synced', 0],
  ['a crash in the middle of a write', 0.5],
  ['a kill -9', 1],
] as const;

async function restart(
  test: TestIngress & { disk: MemoryDirectory },
  share: number | undefined,
  limits: Parameters<typeof startIngress>[0] = {},
): Promise<TestIngress & { disk: MemoryDirectory }> {
  if (share === undefined) {
    await test.ingress.close();
    return start(test.disk, limits);
  }
  return start(test.disk.afterCrash(share), limits);
}

describe.each(ENDS)('a persistent session, after %s', (_name, share) => {
  it('is present, with the subscriptions that had their SUBACK', async () => {
    const first = await start(new MemoryDirectory());
    await subscribed(first);
    const second = await restart(first, share);
    const device = await RawClient.connect(second.port);
    device.send(publish(1, 'to/pump/x', 'while away'));
    await sent(second, 1);
    const back = await RawClient.connect(second.port, persistent);
    await back.receives('publish');
    expect(back.of('connack')).toMatchObject([{ sessionPresent: true, returnCode: 0 }]);
    device.send(publish(2, 'to/pump/x', 'live'));
    await back.receives('publish', 2);
    await back.settles();
    expect(payloads(back)).toEqual(['while away', 'live']);
    expect(second.logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('has no subscription any more that had its UNSUBACK', async () => {
    const first = await start(new MemoryDirectory());
    const pump = await subscribed(first);
    pump.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['to/pump/#'] });
    await pump.receives('unsuback');
    const second = await restart(first, share);
    const back = await RawClient.connect(second.port, persistent);
    back.send(publish(1, 'to/pump/x'));
    await sent(second, 1);
    await back.settles();
    expect(payloads(back)).toEqual([]);
  });

  it('produces a QoS 2 publication once that had its PUBREC, and again one that had none', async () => {
    const first = await start(new MemoryDirectory());
    const pump = await RawClient.connect(first.port, persistent);
    pump.send(publish(7, 'a', 'acknowledged', { qos: 2 }), publish(8, 'a', 'not', { qos: 2 }));
    await sent(first, 2);
    first.sink.accepted[0]!.complete();
    await pump.receives('pubrec');
    const second = await restart(first, share);
    const back = await RawClient.connect(second.port, persistent);
    back.send(
      publish(7, 'a', 'acknowledged', { qos: 2, dup: true }),
      publish(8, 'a', 'not', { qos: 2, dup: true }),
    );
    await back.receives('pubrec');
    expect(second.sink.payloads).toEqual(['not']);
    second.sink.completeAll();
    await back.receives('pubrec', 2);
    expect(back.ids('pubrec')).toEqual([7, 8]);
  });

  it('takes a packet identifier that had its PUBCOMP for a new publication', async () => {
    const first = await start(new MemoryDirectory());
    first.sink.completing = true;
    const pump = await RawClient.connect(first.port, persistent);
    pump.send(publish(7, 'a', 'old', { qos: 2 }));
    await pump.receives('pubrec');
    pump.send({ cmd: 'pubrel', messageId: 7 });
    await pump.receives('pubcomp');
    const second = await restart(first, share);
    const back = await RawClient.connect(second.port, persistent);
    back.send(publish(7, 'a', 'new', { qos: 2 }));
    await sent(second, 1);
    expect(second.sink.payloads).toEqual(['new']);
  });

  it('owes what was stored for it, in order, with the identifiers of what was on its way', async () => {
    const first = await start(new MemoryDirectory());
    const pump = await subscribed(first);
    const stored: string[] = [];
    const post = (reference: string): void => {
      const message = { clientId: 'pump', topic: 'to/pump/x', payload: Buffer.from(reference), reference };
      first.ingress.deviceSessions.publish(message, (outcome) => stored.push(outcome));
    };
    post('1');
    await pump.receives('publish');
    const [{ messageId } = {}] = pump.of('publish');
    await leaves(first, pump);
    for (const id of range(4, 2)) post(String(id));
    await until(() => stored.length === 5, { everyMs: 1 });
    expect(new Set(stored)).toEqual(new Set(['stored']));
    const second = await restart(first, share);
    expect(second.ingress.stats).toMatchObject({ queuedMessages: 5, sessions: 1, absentSessions: 1 });
    const back = await RawClient.connect(second.port, persistent);
    await back.receives('publish', 5);
    expect(payloads(back)).toEqual(range(5).map(String));
    expect(back.of('publish')[0]).toMatchObject({ dup: true, messageId });
    expect(new Set(back.of('publish').map((packet) => packet.messageId)).size).toBe(5);
  });

  it('goes on with QoS 2 to the client where it was', async () => {
    const first = await start(new MemoryDirectory());
    const pump = await subscribed(first, 2);
    const device = await RawClient.connect(first.port);
    device.send(publish(1, 'to/pump/x', 'once', { qos: 2 }));
    await pump.receives('publish');
    const { messageId } = pump.of('publish')[0]!;
    pump.send({ cmd: 'pubrec', messageId: messageId! });
    await pump.receives('pubrel');
    const second = await restart(first, share);
    const back = await RawClient.connect(second.port, persistent);
    await back.receives('pubrel');
    await back.settles();
    expect(back.of('publish')).toEqual([]);
    expect(back.of('pubrel')).toMatchObject([{ messageId }]);
    back.send({ cmd: 'pubcomp', messageId: messageId! });
    await back.settles();
    expect(second.ingress.stats.queuedMessages).toBe(0);
  });
});

describe('sessions on disk', () => {
  it('keep what is stored for a session until its client has acknowledged it, over any number of restarts', async () => {
    let test = await start(new MemoryDirectory());
    const pump = await subscribed(test);
    await leaves(test, pump);
    const device = await RawClient.connect(test.port);
    device.send(...range(10).map((id) => publish(id, 'to/pump/x', String(id))));
    await sent(test, 10);
    for (const round of range(5)) {
      test = await restart(test, undefined);
      const back = await RawClient.connect(test.port, persistent);
      await back.receives('publish', 12 - 2 * round);
      for (const { messageId } of back.of('publish').slice(0, 2))
        back.send({ cmd: 'puback', messageId: messageId! });
      await back.settles();
      expect(payloads(back)).toEqual(range(12 - 2 * round, 2 * round - 1).map(String));
      await leaves(test, back);
    }
    expect(test.ingress.stats).toMatchObject({ queuedMessages: 0, queuedBytes: 0 });
  });

  it('end with a clean session, also on disk', async () => {
    const first = await start(new MemoryDirectory());
    await subscribed(first);
    const clean = await RawClient.connect(first.port, { clientId: 'pump', clean: true });
    await until(() => first.ingress.stats.connections === 1, { everyMs: 1 });
    await leaves(first, clean);
    const second = await restart(first, undefined);
    expect(second.ingress.stats).toMatchObject({ sessions: 0, storedSubscriptions: 0 });
  });

  it('end when their client stays away too long, restarts included', async () => {
    const first = await start(new MemoryDirectory(), { sessionExpiryMs: 60_000 });
    const pump = await subscribed(first);
    await leaves(first, pump);
    first.clock.advance(50_000);
    await first.ingress.close();
    const second = await start(first.disk, { sessionExpiryMs: 60_000 });
    second.clock.advance(55_000);
    expect(second.ingress.stats.sessions).toBe(1);
    second.clock.advance(10_000);
    expect(second.ingress.stats).toMatchObject({ sessions: 0, sessionsExpired: 1, storedSubscriptions: 0 });
    const third = await restart(second, undefined);
    expect(third.ingress.stats.sessions).toBe(0);
  });

  it.each([
    ['years ahead', 10 * 31_557_600_000],
    ['back to 1970', -1_700_000_000_000],
  ])('stay when the clock is set %s, while the gateway runs and when it starts', async (_, offsetMs) => {
    const first = await start(new MemoryDirectory(), { sessionExpiryMs: 60_000 });
    const pump = await subscribed(first);
    if (offsetMs < 0) first.clock.wallOffsetMs = offsetMs;
    await leaves(first, pump);
    first.clock.wallOffsetMs = offsetMs;
    first.clock.advance(5_000);
    expect(first.ingress.stats).toMatchObject({ sessions: 1, sessionsExpired: 0 });
    await first.ingress.close();
    // The clock is right again, or at last.
    const second = await start(first.disk, { sessionExpiryMs: 60_000 });
    second.clock.advance(50_000);
    expect(second.ingress.stats).toMatchObject({ sessions: 1, sessionsExpired: 0 });
    second.clock.advance(20_000);
    expect(second.ingress.stats).toMatchObject({ sessions: 0, sessionsExpired: 1 });
  });

  it('include retained messages, and their deletion', async () => {
    const first = await start(new MemoryDirectory());
    const device = await RawClient.connect(first.port);
    device.send(
      publish(1, 'state/a', 'kept', { retain: true }),
      publish(2, 'state/b', 'gone', { retain: true }),
      publish(3, 'state/b', '', { retain: true }),
    );
    await sent(first, 2);
    await device.settles();
    const second = await restart(first, undefined);
    const watcher = await RawClient.connect(second.port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['state/+', 1]));
    await watcher.receives('publish');
    await watcher.settles();
    expect(watcher.of('publish')).toMatchObject([{ topic: 'state/a', qos: 1, retain: true }]);
  });

  it('leave telemetry of QoS 0 and 1 alone: nothing is written for it', async () => {
    const test = await start(new MemoryDirectory());
    const device = await RawClient.connect(test.port, persistent);
    await device.settles();
    const bytes = (): number =>
      [...test.disk.files.values()].reduce((sum, file) => sum + file.bytes.length, 0);
    await until(() => test.ingress.storage?.syncs === test.disk.syncs, { everyMs: 1 });
    const before = bytes();
    test.sink.completing = true;
    device.send(...range(100).map((id) => publish(id, 'a', 'x', { qos: (id % 2) as 0 | 1 })));
    await device.receives('puback', 50);
    await device.settles();
    expect(bytes()).toBe(before);
  });
});

describe('while the disk hangs', () => {
  it('no SUBACK, PUBREC or "stored" is given, telemetry and others go on, and all comes when it is back', async () => {
    const test = await start(new MemoryDirectory());
    const pump = await subscribed(test);
    const telemetry = await RawClient.connect(test.port);
    await leaves(test, pump);
    test.disk.hang();
    const back = await RawClient.connect(test.port, persistent);
    back.send(publish(1, 'a', 'x', { qos: 2 }), subscribe(2, ['more', 1]));
    await sent(test, 1);
    test.sink.completeAll();
    const outcomes: string[] = [];
    test.ingress.deviceSessions.publish(
      { clientId: 'pump', topic: 'to/pump/x', payload: Buffer.from('on'), reference: '' },
      (outcome) => outcomes.push(outcome),
    );
    telemetry.send(publish(3));
    await sent(test, 1);
    test.sink.completeAll();
    await telemetry.receives('puback');
    await telemetry.settles();
    expect([back.of('suback'), back.of('pubrec'), outcomes]).toEqual([[], [], []]);
    test.disk.goOn();
    await back.receives('suback');
    await back.receives('pubrec');
    await until(() => outcomes.length > 0, { everyMs: 1 });
    expect(outcomes).toEqual(['stored']);
  });
});

describe('while the disk fails', () => {
  it('it is said, tried again, and written anew when it is sound, with all that happened meanwhile', async () => {
    const test = await start(new MemoryDirectory());
    const pump = await subscribed(test);
    test.disk.failure = new Error('ENOSPC: no space left on device');
    const device = await RawClient.connect(test.port);
    await leaves(test, pump);
    device.send(publish(1, 'to/pump/x', 'meanwhile'));
    await sent(test, 1);
    await until(() => test.ingress.storage?.fault !== undefined, { everyMs: 1 });
    expect(test.ingress.storage?.fault).toContain('ENOSPC');
    expect(
      test.logger.lines.filter(({ message }) => message.startsWith("sessions can't be written")),
    ).toHaveLength(1);
    const back = await RawClient.connect(test.port, persistent);
    back.send(subscribe(2, ['more', 1]));
    test.clock.advance(1_000);
    await back.receives('publish');
    expect(back.of('suback')).toEqual([]);
    test.disk.failure = undefined;
    await until(
      () => {
        test.clock.advance(1_000);
        return back.of('suback').length > 0;
      },
      { everyMs: 1 },
    );
    await until(() => test.ingress.storage?.fault === undefined, { everyMs: 1 });
    const second = await restart(test, 0);
    const again = await RawClient.connect(second.port, persistent);
    await again.receives('publish');
    again.send(publish(1, 'more', 'both'));
    await again.receives('publish', 2);
    expect(payloads(again)).toEqual(['meanwhile', 'both']);
  });
});

describe('the topic filters of a session', () => {
  const limits = { maxSubscriptions: 2 };
  const granted = (client: RawClient) => client.of('suback').map(({ granted }) => granted);

  it.each([true, false])(
    'are bounded: what is beyond is refused in the SUBACK with 0x80, and the rest is granted (clean %s)',
    async (clean) => {
      const test = await start(new MemoryDirectory(), limits);
      const client = await RawClient.connect(test.port, { clientId: 'pump', clean });
      client.send(subscribe(1, ['a', 0], ['b', 1], ['c', 2], ['d', 1]));
      await client.receives('suback');
      // One that it has is replaced, not added.
      client.send(subscribe(2, ['b', 2]), subscribe(3, ['e', 1]));
      await client.receives('suback', 3);
      client.send({ cmd: 'unsubscribe', messageId: 4, unsubscriptions: ['a'] });
      await client.receives('unsuback');
      client.send(subscribe(5, ['e', 1]));
      await client.receives('suback', 4);
      expect(granted(client)).toEqual([[0, 1, 0x80, 0x80], [2], [0x80], [1]]);
      expect(test.ingress.stats.subscriptionsRefused).toBe(3);
      client.send(publish(1, 'c', 'refused', { qos: 0 }), publish(1, 'e', 'granted', { qos: 0 }));
      await client.receives('publish');
      await client.settles();
      expect(payloads(client)).toEqual(['granted']);
    },
  );

  it('are bounded in levels too, in one session and in all, and each session keeps a few of its own', async () => {
    const test = await start(new MemoryDirectory(), { maxFilterLevels: 110, maxFilterLevelsTotal: 160 });
    const deep = (name: string): string => [name, ...Array.from({ length: 49 }, () => 'x')].join('/');
    const greedy = await RawClient.connect(test.port, { clientId: 'greedy', clean: true });
    greedy.send(subscribe(1, [deep('a'), 0], [deep('b'), 0], [deep('c'), 0], [deep('a'), 1]));
    await greedy.receives('suback');
    expect(granted(greedy)).toEqual([[0, 0, 0x80, 1]]);
    const another = await RawClient.connect(test.port, { clientId: 'another', clean: true });
    another.send(subscribe(1, [deep('d'), 0], [deep('e'), 0]));
    await another.receives('suback');
    expect(granted(another)).toEqual([[0, 0x80]]);
    // All is taken, and yet a device that is new gets what it needs.
    const honest = await RawClient.connect(test.port, persistent);
    honest.send(subscribe(1, ['devices/honest/commands/#', 1], [deep('f'), 1]));
    await honest.receives('suback');
    expect(granted(honest)).toEqual([[1, 0x80]]);
    expect(test.ingress.stats).toMatchObject({ subscriptionsRefused: 3, filterLevels: 157 });
    greedy.drop();
    await until(() => test.ingress.stats.filterLevels === 55, { what: 'the levels of who has gone' });
  });

  it('that were stored without a bound are left out where all sessions have no room for them', async () => {
    const first = await start(new MemoryDirectory(), {});
    const client = await RawClient.connect(first.port, persistent);
    client.send(subscribe(1, ['a/b', 1], ['x/'.repeat(98), 1], ['y/'.repeat(98), 1]));
    await client.receives('suback');
    const second = await restart(first, 0, { maxFilterLevelsTotal: 110 });
    expect(second.ingress.stats.filterLevels).toBe(2 + 99 + 3);
  });

  it('that were refused are not there after a restart either, and those that were granted are', async () => {
    const first = await start(new MemoryDirectory(), limits);
    const client = await RawClient.connect(first.port, persistent);
    client.send(subscribe(1, ['a', 1], ['b', 1], ['c', 1]));
    await client.receives('suback');
    const second = await restart(first, 0, { maxSubscriptions: 1 });
    const back = await RawClient.connect(second.port, persistent);
    back.send(...['a', 'b', 'c'].map((topic, index) => publish(index + 1, topic, topic, { qos: 0 })));
    await back.receives('publish', 2);
    await back.settles();
    expect(payloads(back)).toEqual(['a', 'b']);
  });
});
