import { Aedes } from 'aedes';
import { describe, expect, it, vi } from 'vitest';
import { silentLogger } from '../../../src/core/logger.ts';
import { LocalBroker } from '../../../src/mqtt/broker/local-broker.ts';
import { ownBytes } from '../../../src/mqtt/broker/local-message.ts';
import { DEFAULT_LIMITS } from '../../../src/mqtt/limits.ts';
import { decodeRecord, encodeRecord } from '../../../src/mqtt/sessions/store/store-record.ts';
import { IngressStats } from '../../../src/mqtt/stats.ts';
import { publish, RawClient, startIngress, subscribe, TestClock } from '../harness.ts';

const newBroker = (): Promise<LocalBroker> =>
  LocalBroker.open({
    limits: DEFAULT_LIMITS,
    stats: new IngressStats(),
    clock: new TestClock(),
    logger: silentLogger,
  });

/** Bytes in memory that these keep from being collected. */
const heldBy = (bytes: Uint8Array | undefined): number | undefined => bytes?.buffer.byteLength;

/** As what is read lies in a socket's buffer. */
const viewOf = (text: string): Buffer =>
  Buffer.concat([Buffer.alloc(65_000), Buffer.from(text)]).subarray(65_000);

describe('what is kept of a message', () => {
  it('is its own bytes, not the buffer that it was read into', () => {
    expect(ownBytes(viewOf('21.5')).toString()).toBe('21.5');
    expect(heldBy(ownBytes(viewOf('21.5')))).toBe(4);
  });

  it('is its own bytes alone, retained and in the queue of an absent subscriber', async () => {
    const broker = await newBroker();
    broker.store.opened('absent');
    const mailbox = broker.store.mailboxFor('absent');
    broker.store.subscribe(mailbox, [{ filter: 't', qos: 2 }], () => {});
    broker.store.away(mailbox);
    broker.deliver({ name: 't' }, viewOf('21.5'), 0, true);
    broker.deliver({ name: 't' }, viewOf('21.6'), 1, false);
    broker.deliver({ name: 't' }, viewOf('21.7'), 2, false);
    const kept = [
      broker.store.retained.get('t')?.payload,
      ...[...mailbox.queue.values()].map(({ message }) => message?.payload),
    ];
    expect(kept.map(String)).toEqual(['21.5', '21.6', '21.7']);
    expect(kept.map(heldBy)).toEqual([4, 4, 4]);
    await broker.close(Promise.resolve());
  });

  it('is its own bytes alone when it comes from the disk', () => {
    const message = {
      topic: 't',
      payload: viewOf('21.5'),
      qos: 1,
      expiresAtMs: 0,
      reference: undefined,
    } as const;
    const record = decodeRecord(encodeRecord({ kind: 'retained', message }));
    const payload = record.kind === 'retained' ? record.message.payload : undefined;
    expect(payload?.toString()).toBe('21.5');
    expect(heldBy(payload)).toBe(4);
  });
});

describe('the embedded broker of a running ingress', () => {
  /** An ingress, and the instance of aedes that it has started. */
  async function started() {
    const listen = vi.spyOn(Aedes.prototype, 'listen');
    try {
      const test = await startIngress();
      return { ...test, aedes: listen.mock.contexts[0] as Aedes };
    } finally {
      listen.mockRestore();
    }
  }

  it('is aedes: what clients publish goes through it, and what is published there reaches clients that have subscribed', async () => {
    const { aedes, port } = await started();
    const published: string[] = [];
    aedes.on('publish', ({ topic, payload }) => published.push(`${topic} ${String(payload)}`));
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      const deliver = (packet: { topic: string; payload: string | Buffer }, done: () => void): void => {
        seen.push(`${packet.topic} ${String(packet.payload)}`);
        done();
      };
      aedes.subscribe('a/+', deliver, resolve);
    });
    const watcher = await RawClient.connect(port, { clientId: 'watcher' });
    const subscribed = vi.spyOn(aedes, 'subscribe');
    watcher.send(subscribe(1, ['a/#', 1], ['b', 0]));
    await watcher.receives('suback');
    expect(subscribed.mock.calls.map(([filter]) => filter)).toEqual(['a/#', 'b']);

    const device = await RawClient.connect(port);
    device.send(publish(1, 'a/x', 'by a client'));
    await watcher.receives('publish');
    const packet = { cmd: 'publish', topic: 'b', qos: 0, retain: false, dup: false } as const;
    aedes.publish({ ...packet, payload: Buffer.from('by the broker') }, () => {});
    await watcher.receives('publish', 2);
    expect(watcher.of('publish').map(({ payload }) => String(payload))).toEqual([
      'by a client',
      'by the broker',
    ]);
    expect(seen).toEqual(['a/x by a client']);
    expect(published).toEqual(['a/x by a client', 'b by the broker']);
  });

  it('is handed no connection, and keeps its own announcements to itself', async () => {
    const { aedes, port } = await started();
    const handle = vi.spyOn(aedes, 'handle');
    const watcher = await RawClient.connect(port, {
      clientId: 'watcher',
      will: { topic: 'w', payload: 'x' },
    });
    watcher.send(subscribe(1, ['$SYS/#', 2], ['#', 0]));
    await watcher.receives('suback');
    const topic = `$SYS/${aedes.id}/heartbeat`;
    aedes.publish(
      { cmd: 'publish', topic, payload: Buffer.from('x'), qos: 0, retain: false, dup: false },
      () => {},
    );
    await watcher.settles();
    expect(watcher.of('publish')).toEqual([]);
    watcher.drop();
    expect(handle).not.toHaveBeenCalled();
  });
});
