import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/core/logger.ts';
import { ControlChannel, type ChannelOwner } from '../../../src/mqtt/broker/broker-link.ts';
import { DEFAULT_LIMITS } from '../../../src/mqtt/limits.ts';
import { LocalBroker } from '../../../src/mqtt/broker/local-broker.ts';
import { ownBytes } from '../../../src/mqtt/broker/local-deliveries.ts';
import { IngressStats } from '../../../src/mqtt/stats.ts';
import { decodeRecord, encodeRecord } from '../../../src/mqtt/sessions/store/store-record.ts';
import { TestClock } from '../harness.ts';

/** The end of a channel at which nobody is. */
const nobody: ChannelOwner = {
  unsentBytes: 0,
  maySubscribe: () => true,
  connackLeaving: () => false,
  brokerOutput: () => {},
  answered: () => {},
  tooSlow: () => {},
  brokerClosed: () => {},
};

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
    await broker.store.subscribe('absent', [{ topic: 't', qos: 2 }]);
    broker.deliver({ name: 't' }, viewOf('21.5'), 0, true);
    broker.deliver({ name: 't' }, viewOf('21.6'), 1, false);
    broker.deliver({ name: 't' }, viewOf('21.7'), 2, false);
    const kept = [
      broker.store.retained.get('t')?.payload,
      ...broker.store.mailbox('absent')!.queue.map(({ message }) => message?.payload),
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

describe('a connection that has ended', () => {
  it('is not waited for by aedes, which would keep it in memory for a minute', async () => {
    const broker = await newBroker();
    const channel = new ControlChannel(nobody);
    const client = broker.handle(channel) as unknown as {
      waitForDrain: (done: (error: Error | null) => void) => void;
    };
    channel.destroy();
    const error = await new Promise((resolve) => {
      client.waitForDrain(resolve);
    });
    expect(error).toMatchObject({ message: 'connection closed' });
    await broker.close(Promise.resolve());
  });
});
