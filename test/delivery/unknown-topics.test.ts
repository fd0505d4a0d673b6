import { expect, it } from 'vitest';
import type { Bottleneck } from '../../src/producer/batches/bottleneck.ts';
import { publish, range } from '../mqtt/harness.ts';
import { settled } from '../producer/scripted-port.ts';
import { READ_AHEAD_BYTES, Site, type Device } from './site.ts';

/** Says whose it is. */
const payloadOf = ({ name }: Device): string => `${name} ${'x'.repeat(200)}`;
/** More than a connection reads at once. */
const LONGER_THAN_ANY = 1_000;

/** Sends until it is not read any more; how many publications that were. */
function fill(device: Device, topic: string): number {
  let sent = 0;
  while (
    sent < LONGER_THAN_ANY &&
    device.send(publish(sent + 1, `${topic}/${device.name}`, payloadOf(device)))
  )
    sent++;
  return sent;
}

it('before metadata is known, `kafka` routes wait in a bounded queue for each topic, and each goes on with its own', async () => {
  const site = await Site.open([1, 1]);
  const { port, producer } = site.producer;
  await site.brokersAnswer();
  const early: Device[] = [];
  const late: Device[] = [];
  for (const n of range(5)) {
    early.push(await site.connect(`e${n}`));
    late.push(await site.connect(`l${n}`));
  }
  const known = await site.connect('k');
  const sent = new Map<Device, number>();
  for (const device of early) sent.set(device, fill(device, 'early'));
  for (const device of late) sent.set(device, fill(device, 'late'));

  // Bounded by what a connection may have sent ahead; none of the producer's memory is taken.
  for (const [device, count] of sent) {
    expect(device.wire.paused).toBe(true);
    expect(count * payloadOf(device).length).toBeLessThan(2 * READ_AHEAD_BYTES);
  }
  expect(producer.buffer.availableBytes).toBe(producer.buffer.totalBytes);
  // A topic that is known is not held up by those that aren't.
  for (const id of range(50)) {
    expect(known.send(publish(id, 't/k', payloadOf(known)))).toBe(true);
    await site.brokersAnswer();
    expect(known.acknowledged()).toEqual(range(id));
  }

  const untilAcknowledged = async (devices: readonly Device[]): Promise<void> => {
    const isOwed = (device: Device): boolean => device.acknowledged().length < sent.get(device)!;
    for (let round = 0; round < 1_000 && devices.some(isOwed); round++) {
      await site.producer.pass(1_000);
      await site.brokersAnswer();
    }
    for (const device of devices) expect(device.acknowledged()).toEqual(range(sent.get(device)!));
  };
  port.setTopic('early', [1]);
  await untilAcknowledged(early);
  for (const device of late) expect(device.acknowledged()).toEqual([]);
  // Those who waited are served in the order in which they came.
  const served = port.requests.flatMap(({ values }) => [...values.matchAll(/e\d/g)].map(([name]) => name));
  expect([...new Set(served)]).toEqual(early.map(({ name }) => name));
  port.setTopic('late', [1]);
  await untilAcknowledged(late);
  await settled();
  await site.close();
});

it('devices that connect again and again while their topic is unknown leave nothing behind', async () => {
  const site = await Site.open([1]);
  const bottleneck = site.producer.try('probe', 'missing') as Bottleneck;
  for (let times = 0; times < 1_000; times++) {
    const device = await site.connect('again');
    device.send(publish(1, 'missing/again', payloadOf(device)));
    device.wire.close();
  }
  expect(bottleneck.waiting).toBeLessThan(100);
  // The last of them is not forgotten.
  const device = await site.connect('again');
  device.send(publish(1, 'missing/again', payloadOf(device)));
  expect(bottleneck.waiting).toBeGreaterThan(0);
  site.producer.port.setTopic('missing', [1]);
  await site.producer.pass(1_000);
  await site.brokersAnswer();
  expect(device.acknowledged()).toEqual([1]);
  await site.close();
});
