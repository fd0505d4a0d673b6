import { describe, expect, it } from 'vitest';
import { Outcome } from '../../../src/core/publication.ts';
import { fingerprint } from '../../../src/mqtt/inflow/repeats.ts';
import { until } from '../../support/until.ts';
import { publish, RawClient, range, startIngress, subscribe, type TestIngress } from '../harness.ts';

const kept = { clean: false } as const;

/** A device whose connection was lost while the sink has `count` of its publications. */
async function lostWithInFlight(test: TestIngress, count: number, options: object = kept): Promise<void> {
  const old = await RawClient.connect(test.port, options);
  old.send(...range(count).map((id) => publish(id, 'a', `payload ${id}`)));
  await test.sink.holds(count);
  old.drop();
  await until(() => test.ingress.stats.connections === 0, { everyMs: 1 });
}

const again = (id: number, payload = `payload ${id}`, topic = 'a') =>
  publish(id, topic, payload, { dup: true });

describe('a QoS 1 publication that is repeated on a new connection while it is in flight', () => {
  it('is produced once and acknowledged on the new connection, when it is complete and not before', async () => {
    const test = await startIngress();
    await lostWithInFlight(test, 3);
    const young = await RawClient.connect(test.port, kept);
    young.send(again(1), again(2), again(3));
    await young.settles();
    expect(test.sink.payloads).toEqual(range(3).map((id) => `payload ${id}`));
    expect(young.ids('puback')).toEqual([]);
    test.sink.completeAll();
    await young.receives('puback', 3);
    expect(young.ids('puback')).toEqual([1, 2, 3]);
    expect(test.ingress.stats).toMatchObject({ repeated: 3, inFlight: 0 });
  });

  it("is acknowledged in the new connection's order ([MQTT-4.6.0-2])", async () => {
    const test = await startIngress();
    await lostWithInFlight(test, 2);
    const young = await RawClient.connect(test.port, kept);
    young.send(again(2), publish(9, 'a', 'new'), again(1));
    await test.sink.holds(3);
    await young.settles();
    const [first, second, third] = test.sink.accepted;
    third!.complete();
    first!.complete();
    await young.settles();
    expect(young.ids('puback')).toEqual([]);
    second!.complete();
    await young.receives('puback', 3);
    expect(young.ids('puback')).toEqual([2, 9, 1]);
  });

  it('also over several connections: the last one is acknowledged', async () => {
    const test = await startIngress();
    await lostWithInFlight(test, 2);
    for (let round = 0; round < 3; round++) {
      const lost = await RawClient.connect(test.port, kept);
      lost.send(again(1), again(2));
      await lost.settles();
      lost.drop();
      await until(() => test.ingress.stats.connections === 0, { everyMs: 1 });
    }
    const last = await RawClient.connect(test.port, kept);
    last.send(again(1), again(2));
    await last.settles();
    expect(test.sink.accepted).toHaveLength(2);
    test.sink.completeAll();
    await last.receives('puback', 2);
    expect(last.ids('puback')).toEqual([1, 2]);
    expect(test.sink.suppressions).toContain('a');
    expect(test.sink.accepted).toEqual([]);
  });

  it('is shown to local subscribers once', async () => {
    const test = await startIngress();
    const watcher = await RawClient.connect(test.port, { clientId: 'watcher' });
    watcher.send(subscribe(1, ['a', 1]));
    await watcher.receives('suback');
    const old = await RawClient.connect(test.port, kept);
    old.send(publish(1, 'a', 'payload 1'));
    await test.sink.holds(1);
    const young = await RawClient.connect(test.port, kept);
    young.send(again(1));
    await young.settles();
    await watcher.settles();
    expect(watcher.of('publish')).toHaveLength(1);
  });

  it('takes the new connection with it when it is refused', async () => {
    const test = await startIngress();
    await lostWithInFlight(test, 1);
    const young = await RawClient.connect(test.port, kept);
    young.send(again(1));
    await young.settles();
    test.sink.accepted[0]!.complete(Outcome.Refused);
    await young.closes();
    expect(young.ids('puback')).toEqual([]);
  });

  it('is not held up by publications that wait for room', async () => {
    const test = await startIngress();
    await lostWithInFlight(test, 2);
    test.sink.room = 0;
    const young = await RawClient.connect(test.port, kept);
    young.send(again(1), publish(7, 'a', 'new'), again(2));
    await young.settles();
    test.sink.completeAll();
    await young.receives('puback', 1);
    test.sink.makeRoom();
    // What stood behind the new one was complete before its turn came: it is produced again, and acknowledged.
    await test.sink.holds(2);
    expect(test.sink.payloads).toEqual(['new', 'payload 2']);
    test.sink.completeAll();
    await young.receives('puback', 3);
    expect(young.ids('puback')).toEqual([1, 7, 2]);
  });
});

describe('a QoS 1 publication is produced', () => {
  it.each([
    ['without DUP', publish(1, 'a', 'payload 1')],
    ['with another payload', again(1, 'payload 2')],
    ['with another topic', again(1, 'payload 1', 'b')],
    ['with another packet identifier', again(2, 'payload 1')],
  ])('%s', async (_, packet) => {
    const test = await startIngress();
    await lostWithInFlight(test, 1);
    const young = await RawClient.connect(test.port, kept);
    young.send(packet);
    await test.sink.holds(2);
    test.sink.completeAll();
    await young.receives('puback');
    expect(test.ingress.stats.repeated).toBe(0);
  });

  it('in a session that was not resumed', async () => {
    const test = await startIngress();
    await lostWithInFlight(test, 1, { clean: true });
    const young = await RawClient.connect(test.port, kept);
    young.send(again(1));
    await test.sink.holds(2);

    const other = await startIngress();
    await lostWithInFlight(other, 1);
    const clean = await RawClient.connect(other.port, { clean: true });
    clean.send(again(1));
    await other.sink.holds(2);
    const third = await RawClient.connect(other.port, kept);
    third.send(again(1));
    await other.sink.holds(3);
  });

  it('on the same connection, whatever its flags', async () => {
    const test = await startIngress();
    const device = await RawClient.connect(test.port, kept);
    device.send(publish(1, 'a', 'payload 1'), again(1));
    await test.sink.holds(2);
  });

  it('when its packet identifier is used a second time on the new connection', async () => {
    const test = await startIngress();
    await lostWithInFlight(test, 1);
    const young = await RawClient.connect(test.port, kept);
    young.send(again(1), again(1));
    await test.sink.holds(2);
    test.sink.completeAll();
    await young.receives('puback', 2);
    expect(young.ids('puback')).toEqual([1, 1]);
  });

  it('when the first occurrence is complete: nobody knows whether its PUBACK arrived', async () => {
    const test = await startIngress();
    await lostWithInFlight(test, 1);
    test.sink.completeAll();
    const young = await RawClient.connect(test.port, kept);
    young.send(again(1));
    await test.sink.holds(1);
  });
});

describe("a device's order over three connections", () => {
  it('holds when the one in the middle sent nothing', async () => {
    const { port, sink } = await startIngress();
    sink.room = 0;
    const first = await RawClient.connect(port);
    first.send(publish(1, 'a', 'first', { qos: 0 }), { cmd: 'disconnect' });
    await first.closes();
    const silent = await RawClient.connect(port);
    silent.send({ cmd: 'disconnect' });
    await silent.closes();
    const last = await RawClient.connect(port);
    sink.room = 5;
    last.send(publish(1, 'a', 'last'));
    await last.settles();
    expect(sink.payloads).toEqual([]);
    sink.makeRoom();
    await sink.holds(2);
    expect(sink.payloads).toEqual(['first', 'last']);
  });
});

describe('QoS 2 packet identifiers', () => {
  it('are remembered over a reconnect: what is in flight is produced once, and answered there', async () => {
    const { port, sink } = await startIngress();
    const old = await RawClient.connect(port, kept);
    old.send(publish(5, 'a', 'x', { qos: 2 }));
    await sink.holds(1);
    old.drop();
    const young = await RawClient.connect(port, kept);
    young.send(publish(5, 'a', 'x', { qos: 2, dup: true }));
    await young.settles();
    expect(sink.accepted).toHaveLength(1);
    expect(young.ids('pubrec')).toEqual([]);
    sink.completeAll();
    await young.receives('pubrec');
  });

  it('are remembered when the PUBREC was lost, and free after PUBREL on the new connection', async () => {
    const { port, sink } = await startIngress();
    sink.completing = true;
    const old = await RawClient.connect(port, kept);
    old.send(publish(5, 'a', 'x', { qos: 2 }));
    await old.receives('pubrec');
    old.drop();
    const young = await RawClient.connect(port, kept);
    young.send(publish(5, 'a', 'x', { qos: 2, dup: true }));
    await young.receives('pubrec');
    expect(sink.payloads).toEqual(['x']);
    young.send({ cmd: 'pubrel', messageId: 5 });
    await young.receives('pubcomp');
    young.send(publish(5, 'a', 'y', { qos: 2 }));
    await young.receives('pubrec', 2);
    expect(sink.payloads).toEqual(['x', 'y']);
  });

  it('are forgotten with a clean session', async () => {
    const { port, sink } = await startIngress();
    sink.completing = true;
    const old = await RawClient.connect(port, kept);
    old.send(publish(5, 'a', 'x', { qos: 2 }));
    await old.receives('pubrec');
    old.drop();
    const young = await RawClient.connect(port);
    young.send(publish(5, 'a', 'x', { qos: 2, dup: true }));
    await young.receives('pubrec');
    expect(sink.payloads).toEqual(['x', 'x']);
  });
});

describe('fingerprint', () => {
  it('differs for every single byte that differs, and for every length', () => {
    const bytes = Buffer.from('0123456789abcdef');
    const seen = new Set([fingerprint(bytes, 0, bytes.length)]);
    for (const index of bytes.keys()) {
      for (let value = 0; value < 256; value++) {
        const other = Buffer.from(bytes);
        other[index] = value;
        if (!other.equals(bytes)) seen.add(fingerprint(other, 0, other.length));
      }
    }
    expect(seen.size).toBe(1 + bytes.length * 255);
    const zeros = Buffer.alloc(300);
    expect(new Set(range(300).map((length) => fingerprint(zeros, 0, length))).size).toBe(300);
    expect(fingerprint(zeros, 10, 20)).toBe(fingerprint(zeros, 100, 110));
  });
});
