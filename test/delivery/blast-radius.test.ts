import { expect, it } from 'vitest';
import { partitionForKey } from '../../src/producer/cluster/partitioner.ts';
import { publish, range } from '../mqtt/harness.ts';
import { settled } from '../producer/scripted-port.ts';
import { Site, type Device } from './site.ts';

/** Names of devices whose messages go to this of two partitions. */
const named = (partition: number, count: number): string[] =>
  range(1_000)
    .map((n) => `d${n}`)
    .filter((name) => partitionForKey(Buffer.from(name), 2) === partition)
    .slice(0, count);

it('a partition and a topic without a leader hold up the devices on them, and nobody else', async () => {
  // Partition 0 of `t` and topic `other` have no leader.
  const site = await Site.open([-1, 1]);
  site.producer.port.setTopic('other', [-1, -1]);
  const stuck: Device[] = [];
  for (const name of named(0, 4)) stuck.push(await site.connect(name));
  for (const name of ['o1', 'o2', 'o3', 'o4']) stuck.push(await site.connect(name));
  // The first batch waits for a producer id.
  await site.brokersAnswer();
  const calm: Device[] = [];
  for (const name of named(1, 20)) calm.push(await site.connect(name));
  const payload = 'x'.repeat(200);

  // Those that are stuck send until they are not read any more.
  const sent = new Map<Device, number>();
  for (const device of stuck) {
    const topic = device.name.startsWith('o') ? 'other' : 't';
    let id = 1;
    while (id < 1_000 && device.send(publish(id, `${topic}/${device.name}`, payload))) id++;
    sent.set(device, id - 1);
    expect(device.wire.paused).toBe(true);
  }
  for (const id of range(50)) {
    for (const device of calm) expect(device.send(publish(id, `t/${device.name}`, payload))).toBe(true);
    await site.brokersAnswer();
    // Each round is acknowledged in its own: nothing waits behind those that are stuck.
    for (const device of calm) expect(device.acknowledged()).toEqual(range(id));
  }
  for (const device of stuck) expect(device.acknowledged()).toEqual([]);

  // The leaders are there: everything that was sent goes its way.
  site.producer.port.setTopic('t', [1, 1], 1);
  site.producer.port.setTopic('other', [1, 1], 1);
  const isOwed = (device: Device): boolean => device.acknowledged().length < sent.get(device)!;
  for (let round = 0; round < 1_000 && stuck.some(isOwed); round++) {
    await site.producer.pass(1_000);
    await site.brokersAnswer();
  }
  for (const device of stuck) expect(device.acknowledged()).toEqual(range(sent.get(device)!));
  await settled();
  await site.close();
});
