import { describe, expect, it } from 'vitest';
import type { SessionMessage } from '../../../src/core/device-sessions.ts';
import { until } from '../../support/until.ts';
import { publish, RawClient, range, startIngress, subscribe, type TestIngress } from '../harness.ts';

const topic = 'devices/pump/commands';

interface Posted {
  outcome: string | undefined;
  calls: number;
}

function post(
  { ingress }: TestIngress,
  text: string,
  more: Partial<Omit<SessionMessage, 'payload'>> = {},
): Posted {
  const posted: Posted = { outcome: undefined, calls: 0 };
  const message = { clientId: 'pump', topic, payload: Buffer.from(text), reference: text, ...more };
  ingress.deviceSessions.publish(message, (outcome) => {
    posted.outcome = outcome;
    posted.calls++;
  });
  expect(posted.calls).toBe(0);
  return posted;
}

async function device({ port }: TestIngress, { clean = false } = {}): Promise<RawClient> {
  const client = await RawClient.connect(port, { clientId: 'pump', clean });
  if (client.of('connack')[0]!.sessionPresent) return client;
  client.send(subscribe(1, ['devices/pump/#', 1]));
  await client.receives('suback');
  return client;
}

const acknowledge = (client: RawClient, index: number): void => {
  client.send({ cmd: 'puback', messageId: client.of('publish')[index]!.messageId! });
};

const payloads = (client: RawClient): string[] => client.of('publish').map(({ payload }) => String(payload));

const completes = (posted: Posted): Promise<void> =>
  until(() => posted.calls > 0, { everyMs: 1, what: 'an outcome' });

describe('a message for the session of a device that is connected', () => {
  it.each([true, false])(
    'is delivered with QoS 1 and complete with its PUBACK, not before (clean session: %s)',
    async (clean) => {
      const test = await startIngress();
      const pump = await device(test, { clean });
      const posted = [post(test, 'on'), post(test, 'off')];
      await pump.receives('publish', 2);
      expect(pump.of('publish')).toMatchObject([
        { topic, qos: 1, retain: false, dup: false },
        { topic, qos: 1, retain: false, dup: false },
      ]);
      expect(payloads(pump)).toEqual(['on', 'off']);
      acknowledge(pump, 1);
      await completes(posted[1]!);
      expect(posted).toEqual([
        { outcome: undefined, calls: 0 },
        { outcome: 'delivered', calls: 1 },
      ]);
      acknowledge(pump, 0);
      await completes(posted[0]!);
      acknowledge(pump, 0);
      await pump.settles();
      expect(posted[0]).toEqual({ outcome: 'delivered', calls: 1 });
      expect(test.ingress.stats).toMatchObject({ queuedMessages: 0, queuedBytes: 0 });
    },
  );

  it('goes to that device alone, though others have subscribed to the topic', async () => {
    const test = await startIngress();
    const pump = await device(test);
    const other = await RawClient.connect(test.port, { clientId: 'other' });
    other.send(subscribe(1, ['#', 1]));
    await other.receives('suback');
    post(test, 'on');
    await pump.receives('publish');
    await other.settles();
    expect(other.of('publish')).toEqual([]);
  });

  it('keeps its place among what others publish to the device', async () => {
    const test = await startIngress();
    const pump = await device(test);
    const sender = await RawClient.connect(test.port, { clientId: 'sender' });
    for (const id of range(20)) {
      if (id % 2 === 0) post(test, String(id));
      else {
        sender.send(publish(id, topic, String(id)));
        await test.sink.holds((id + 1) / 2);
      }
    }
    await pump.receives('publish', 20);
    expect(payloads(pump)).toEqual(range(20).map(String));
  });

  it('is sent again, with DUP and the same packet identifier, when the connection is lost before the PUBACK', async () => {
    const test = await startIngress();
    const pump = await device(test);
    const posted = post(test, 'on');
    await pump.receives('publish');
    pump.drop();
    await until(() => test.ingress.stats.connections === 0, { everyMs: 1 });
    const back = await device(test);
    await back.receives('publish');
    const { messageId } = pump.of('publish')[0]!;
    expect(back.of('publish')).toMatchObject([{ dup: true, messageId }]);
    expect(posted.calls).toBe(0);
    acknowledge(back, 0);
    await completes(posted);
    expect(posted.outcome).toBe('delivered');
  });

  it('is given up when its clean session ends before the PUBACK', async () => {
    const test = await startIngress();
    const pump = await device(test, { clean: true });
    const posted = post(test, 'on');
    await pump.receives('publish');
    pump.drop();
    await completes(posted);
    expect(posted.outcome).toBe('no-session');
    expect(test.ingress.stats).toMatchObject({ queuedMessages: 0, queuedBytes: 0 });
  });
});

describe('a message for the session of a device that is away', () => {
  async function away(test: TestIngress): Promise<void> {
    const pump = await device(test);
    pump.send({ cmd: 'disconnect' });
    await pump.closes();
    await until(() => test.ingress.stats.connections === 0, { everyMs: 1 });
  }

  it('waits for it, in order, and is complete with the PUBACK', async () => {
    const test = await startIngress();
    await away(test);
    const posted = range(5).map((id) => post(test, String(id)));
    const pump = await device(test);
    const late = post(test, 'late');
    await pump.receives('publish', 6);
    expect(payloads(pump)).toEqual([...range(5).map(String), 'late']);
    for (const index of range(6, 0)) acknowledge(pump, index);
    await completes(late);
    expect(new Set(posted.map(({ outcome }) => outcome))).toEqual(new Set(['delivered']));
  });

  it('is refused when the queue is full, by number or bytes', async () => {
    const test = await startIngress({ maxQueuedMessages: 3, maxQueuedBytes: 2_000 });
    await away(test);
    const posted = [...range(4).map((id) => post(test, String(id)))];
    await completes(posted[3]!);
    expect(posted.map(({ outcome }) => outcome)).toEqual([undefined, undefined, undefined, 'queue-full']);
    const big = await startIngress({ maxQueuedBytes: 2_000 });
    await away(big);
    const large = post(big, 'x'.repeat(2_000));
    await completes(large);
    expect(large.outcome).toBe('queue-full');
  });

  it('is refused when all queues together are full', async () => {
    const test = await startIngress({ maxQueuedBytesTotal: 1_000 });
    await away(test);
    const posted = [post(test, 'x'.repeat(500)), post(test, 'x'.repeat(500))];
    await completes(posted[1]!);
    expect(posted.map(({ outcome }) => outcome)).toEqual([undefined, 'queue-full']);
  });

  it('expires, without disturbing those behind it', async () => {
    const test = await startIngress();
    await away(test);
    const now = test.clock.wallMs();
    const short = post(test, 'short', { expiresAtMs: now + 2_000 });
    const long = post(test, 'long', { expiresAtMs: now + 60_000 });
    test.clock.advance(1_000);
    expect(short.calls).toBe(0);
    test.clock.advance(2_000);
    await completes(short);
    expect([short.outcome, long.outcome]).toEqual(['expired', undefined]);
    expect(test.ingress.stats.queueExpired).toBe(1);
    const pump = await device(test);
    await pump.receives('publish');
    await pump.settles();
    expect(payloads(pump)).toEqual(['long']);
  });

  it('that has expired already is not even queued', async () => {
    const test = await startIngress();
    await away(test);
    const posted = post(test, 'old', { expiresAtMs: test.clock.wallMs() });
    await completes(posted);
    expect(posted.outcome).toBe('expired');
  });

  it('is given up when the session ends', async () => {
    const test = await startIngress();
    await away(test);
    const posted = post(test, 'on');
    await RawClient.connect(test.port, { clientId: 'pump', clean: true });
    await completes(posted);
    expect(posted.outcome).toBe('no-session');
  });
});

describe('a message that no session takes', () => {
  it('says so: the client was never here', async () => {
    const test = await startIngress();
    const posted = post(test, 'on');
    await completes(posted);
    expect(posted.outcome).toBe('no-session');
  });

  it.each([
    ['has subscribed to something else', 'devices/other', 1],
    ['has subscribed with QoS 0, which nobody acknowledges', topic, 0],
  ] as const)('says so: the client %s, present or absent', async (_why, filter, qos) => {
    const test = await startIngress();
    const pump = await RawClient.connect(test.port, { clientId: 'pump', clean: false });
    pump.send(subscribe(1, [filter, qos]));
    await pump.receives('suback');
    const present = post(test, 'on');
    await completes(present);
    pump.drop();
    await until(() => test.ingress.stats.connections === 0, { everyMs: 1 });
    const absent = post(test, 'on');
    await completes(absent);
    expect([present.outcome, absent.outcome]).toEqual(['not-subscribed', 'not-subscribed']);
  });
});
