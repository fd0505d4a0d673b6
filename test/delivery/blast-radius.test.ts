import { generate, type Packet } from 'mqtt-packet';
import { expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { NO_HEADERS } from '../../src/core/record.ts';
import type { Route } from '../../src/core/route.ts';
import { Delivery } from '../../src/delivery/delivery.ts';
import { partitionForKey } from '../../src/producer/murmur2.ts';
import { connectPacket, publish, range } from '../mqtt/harness.ts';
import { newHub, turns, Wire } from '../mqtt/hub-rig.ts';
import { ScriptedProducer } from '../producer/scripted-producer.ts';
import { settled } from '../producer/scripted-port.ts';

const PUBACK = 0x40;
const LINGER_MS = 10;

/** Keyed by device: the second level of the MQTT topic; the first is the Kafka topic. */
const route: Route = {
  profile: 'sensor',
  pattern: '{topic}/{device}',
  contract: 'kafka',
  topic: 't',
  deadLetterTopic: 't.dlq',
  toRecord(message, record) {
    const [topic = '', device = ''] = message.topic.name.split('/');
    record.topic = topic;
    record.key = Buffer.from(device);
    record.value = message.payload;
    record.timestampMs = message.receivedAtMs;
    record.headers = NO_HEADERS;
    return undefined;
  },
  taken() {},
  whenReady() {},
};

/** Devices in front of the whole way to Kafka, of which a test has the brokers' part. */
class Site {
  readonly #hub: Awaited<ReturnType<typeof newHub>>;
  readonly producer: ScriptedProducer;
  /** Of the requests that came to the brokers. */
  #answered = 0;

  static async open(): Promise<Site> {
    // A partition may hold a quarter: 16 KiB. Partition 0 of `t` and topic `other` have no leader.
    const producer = await ScriptedProducer.withTopic([-1, 1], {
      'buffer.memory': 65_536,
      'batch.size': 4_096,
      'linger.ms': LINGER_MS,
    });
    producer.port.setTopic('other', [-1, -1]);
    const delivery = new Delivery({
      resolve: () => [route],
      records: producer.producer,
      unrouted: { policy: 'local', deadLetterTopic: 'unrouted.dlq' },
      clock: systemClock,
      logger: silentLogger,
    });
    return new Site(await newHub({ readAheadBytes: 4_096 }, delivery), producer);
  }

  private constructor(hub: Awaited<ReturnType<typeof newHub>>, producer: ScriptedProducer) {
    this.#hub = hub;
    this.producer = producer;
  }

  async connect(clientId: string): Promise<Device> {
    const wire = new Wire();
    const device = new Device(clientId, wire, this.#hub.hub.accept(wire, '127.0.0.1:1'));
    device.send(connectPacket({ clientId }));
    while (wire.written.length === 0) await turns(1); // its CONNACK
    return device;
  }

  /** Lets batches leave and the brokers acknowledge all that comes to them, until nothing more comes. */
  async brokersAnswer(): Promise<void> {
    const { requests } = this.producer.port;
    let before: number;
    do {
      before = this.#answered;
      await this.producer.pass(LINGER_MS);
      while (this.#answered < requests.length) await requests[this.#answered++]!.answer();
      await turns();
    } while (this.#answered > before);
  }

  async close(): Promise<void> {
    for (const connection of this.#hub.hub.connections) connection.destroy();
    this.#hub.hub.stopClock();
    await this.#hub.broker.close(Promise.resolve());
  }
}

class Device {
  readonly name: string;
  readonly wire: Wire;
  readonly #receive: (bytes: Buffer) => void;

  constructor(name: string, wire: Wire, receive: (bytes: Buffer) => void) {
    this.name = name;
    this.wire = wire;
    this.#receive = receive;
  }

  /** False: its socket isn't read any more. */
  send(packet: Packet): boolean {
    if (this.wire.paused) return false;
    this.#receive(generate(packet));
    return true;
  }

  acknowledged(): number[] {
    return this.wire.ids(PUBACK);
  }
}

/** Names of devices whose messages go to this of two partitions. */
const named = (partition: number, count: number): string[] =>
  range(1_000)
    .map((n) => `d${n}`)
    .filter((name) => partitionForKey(Buffer.from(name), 2) === partition)
    .slice(0, count);

it('a partition and a topic without a leader hold up the devices on them, and nobody else', async () => {
  const site = await Site.open();
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
