import { generate, type Packet } from 'mqtt-packet';
import { CONTRACTS } from '../../src/core/contract.ts';
import { NO_HEADERS } from '../../src/core/record.ts';
import type { Route } from '../../src/core/route.ts';
import { connectPacket } from '../mqtt/harness.ts';
import { newHub, turns, Wire } from '../mqtt/hub-rig.ts';
import { ScriptedProducer } from '../producer/scripted-producer.ts';
import { newDelivery } from './delivery-rig.ts';

const PUBACK = 0x40;
const LINGER_MS = 10;
/** What a connection may send beyond its window before it is not read any more. */
export const READ_AHEAD_BYTES = 4_096;

/** Keyed by device: the second level of the MQTT topic; the first is the Kafka topic. */
const route: Route = {
  profile: 'sensor',
  pattern: '{topic}/{device}',
  contract: CONTRACTS.kafka,
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
export class Site {
  readonly #hub: Awaited<ReturnType<typeof newHub>>;
  readonly producer: ScriptedProducer;
  /** Of the requests that came to the brokers. */
  #answered = 0;

  /** Topic `t` has a partition for each leader; -1: none. A partition may hold a quarter of the memory, 16 KiB. */
  static async open(leaders: readonly number[]): Promise<Site> {
    const producer = await ScriptedProducer.withTopic(leaders, {
      'buffer.memory': 65_536,
      'batch.size': 4_096,
      'linger.ms': LINGER_MS,
    });
    const delivery = newDelivery({ resolve: () => [route], records: producer.producer });
    return new Site(await newHub({ readAheadBytes: READ_AHEAD_BYTES }, delivery), producer);
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
    for (const connection of this.#hub.hub.connections) connection.transport.destroy();
    this.#hub.hub.stopClock();
    await this.#hub.broker.close(Promise.resolve());
  }
}

export class Device {
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
