import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import {
  connectPacket,
  publish,
  RawClient,
  startIngress,
  subscribe,
  type TestIngress,
} from '../mqtt/harness.ts';
import { until } from '../support/until.ts';

/*
 * What the interoperability suite of Eclipse Paho (paho.mqtt.testing, interoperability/client_test.py) asks of an MQTT
 * 3.1.1 server, test by test under its names, with the package mqtt as the client, and raw packets where a client
 * misbehaves.
 */

const [TOPIC_A, TOPIC_A_B, TOPIC_C, TOPIC_A_C] = ['TopicA', 'TopicA/B', 'Topic/C', 'TopicA/C'] as const;
const LEADING_SLASH = '/TopicA';
const [ONE_LEVEL, TWO_LEVELS, BELOW_A] = ['TopicA/+', '+/+', 'TopicA/#'] as const;

let server: TestIngress;
beforeEach(async () => {
  server = await startIngress();
  server.sink.completing = true;
});

/** A client of the package mqtt, and what has arrived at it. */
class Client {
  readonly messages: { topic: string; payload: string; qos: number; retained: boolean }[] = [];
  readonly mqtt: MqttClient;

  static async connected(clientId: string, options: IClientOptions = {}): Promise<Client> {
    const client = new Client(clientId, options);
    await new Promise<void>((connected, failed) => {
      client.mqtt.once('connect', () => {
        connected();
      });
      client.mqtt.once('error', failed);
    });
    return client;
  }

  private constructor(clientId: string, options: IClientOptions) {
    this.mqtt = connect(server.url, { clientId, reconnectPeriod: 0, ...options });
    this.mqtt.on('message', (topic, payload, { qos, retain: retained }) =>
      this.messages.push({ topic, payload: payload.toString(), qos, retained }),
    );
    onTestFinished(async () => {
      await this.mqtt.endAsync(true);
    });
  }

  async subscribe(qos: 0 | 1 | 2, ...filters: string[]): Promise<void> {
    await this.mqtt.subscribeAsync(filters, { qos });
  }

  async publish(topic: string, payload: string, qos: 0 | 1 | 2, retain = false): Promise<void> {
    await this.mqtt.publishAsync(topic, payload, { qos, retain });
  }

  async disconnect(): Promise<void> {
    await this.mqtt.endAsync();
  }

  /** The network fails. */
  terminate(): void {
    this.mqtt.stream.destroy();
  }

  /** Whatever the server has for it has come: a message of its own stands behind all that. */
  async hasEverything(): Promise<void> {
    await this.subscribe(2, 'fence');
    await this.publish('fence', '', 2);
    await this.receives(({ topic }) => topic === 'fence');
    this.messages.splice(this.messages.findIndex(({ topic }) => topic === 'fence'));
  }

  async receives(what: (message: Client['messages'][number]) => boolean): Promise<void> {
    await until(() => this.messages.some(what), { everyMs: 1, what: 'a message' });
  }

  get payloads(): string[] {
    return this.messages.map(({ payload }) => payload);
  }
}

describe('basic_test', () => {
  it('publishes and receives at every QoS', async () => {
    const first = await Client.connected('myclientid');
    await first.disconnect();
    const client = await Client.connected('myclientid');
    await client.subscribe(2, TOPIC_A);
    for (const qos of [0, 1, 2] as const) await client.publish(TOPIC_A, `qos ${qos}`, qos);
    await client.hasEverything();
    expect(client.messages.map(({ payload, qos }) => [payload, qos])).toEqual([
      ['qos 0', 0],
      ['qos 1', 1],
      ['qos 2', 2],
    ]);
  });

  it('fails for a second CONNECT on a connection', async () => {
    const client = await RawClient.connect(server.port);
    client.send(connectPacket());
    await client.closes();
  });

  it('fails for another protocol name', async () => {
    const client = await RawClient.open(server.port);
    client.send(Uint8Array.from([0x10, 12, 0, 2, 0x68, 0x6a, 4, 2, 0, 0, 0, 2, 0x6d, 0x79]));
    await client.closes();
    expect(client.received).toEqual([]);
  });
});

describe('retained_message_test', () => {
  it('a new subscriber gets what was retained at every QoS, and nothing once it is cleared', async () => {
    const client = await Client.connected('myclientid');
    await client.publish(TOPIC_A_B, 'qos 0', 0, true);
    await client.publish(TOPIC_C, 'qos 1', 1, true);
    await client.publish(TOPIC_A_C, 'qos 2', 2, true);
    await client.subscribe(2, TWO_LEVELS);
    await client.hasEverything();
    expect(client.messages.map(({ payload, retained }) => `${payload} ${retained}`).sort()).toEqual([
      'qos 0 true',
      'qos 1 true',
      'qos 2 true',
    ]);
    await client.disconnect();

    const next = await Client.connected('myclientid');
    await next.publish(TOPIC_A_B, '', 0, true);
    await next.publish(TOPIC_C, '', 1, true);
    await next.publish(TOPIC_A_C, '', 2, true);
    await next.subscribe(2, TWO_LEVELS);
    await next.hasEverything();
    expect(next.messages).toEqual([]);
  });
});

describe('will_message_test', () => {
  it('a client whose connection fails has its will published', async () => {
    const watcher = await Client.connected('myclientid2', { clean: false });
    await watcher.subscribe(2, TOPIC_C);
    const client = await Client.connected('myclientid', {
      keepalive: 2,
      will: { topic: TOPIC_C, payload: Buffer.from('client not disconnected'), qos: 0, retain: false },
    });
    client.terminate();
    await watcher.receives(() => true);
    await watcher.hasEverything();
    expect(watcher.payloads).toEqual(['client not disconnected']);
  });
});

describe('zero_length_clientid_test', () => {
  it('an empty client id is rejected without a clean session, and works with one', async () => {
    const rejected = await RawClient.open(server.port);
    rejected.send(Uint8Array.from([0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0, 0, 0, 0, 0]));
    await rejected.closes();
    expect(rejected.of('connack')).toMatchObject([{ returnCode: 2 }]);
    const client = await Client.connected('', { clean: true });
    await client.disconnect();
  });
});

describe('offline_message_queueing_test', () => {
  it('a persistent session finds what came while it was away; Sluice does not queue QoS 0', async () => {
    const away = await Client.connected('myclientid', { clean: false });
    await away.subscribe(2, TWO_LEVELS);
    await away.disconnect();
    const publisher = await Client.connected('myclientid2');
    await publisher.publish(TOPIC_A_B, 'qos 0', 0);
    await publisher.publish(TOPIC_C, 'qos 1', 1);
    await publisher.publish(TOPIC_A_C, 'qos 2', 2);
    await publisher.disconnect();
    const back = await Client.connected('myclientid', { clean: false });
    await back.hasEverything();
    expect(back.payloads).toEqual(['qos 1', 'qos 2']);
  });
});

describe('overlapping_subscriptions_test', () => {
  it('a message for several subscriptions of a client comes once, with the highest QoS', async () => {
    const client = await Client.connected('myclientid');
    await client.mqtt.subscribeAsync({ [BELOW_A]: { qos: 2 }, [ONE_LEVEL]: { qos: 1 } });
    await client.publish(TOPIC_A_C, 'overlapping topic filters', 2);
    await client.hasEverything();
    expect(client.messages.map(({ payload, qos }) => [payload, qos])).toEqual([
      ['overlapping topic filters', 2],
    ]);
  });
});

describe('keepalive_test', () => {
  it('a client that sends nothing, and no pings, is ended and has its will published', async () => {
    const watcher = await Client.connected('myclientid2', { keepalive: 0 });
    await watcher.subscribe(2, LEADING_SLASH);
    const silent = await RawClient.connect(server.port, {
      clientId: 'myclientid',
      keepalive: 5,
      will: { topic: LEADING_SLASH, payload: 'keepalive expiry' },
    });
    server.clock.advance(15_000);
    await silent.closes();
    await watcher.receives(() => true);
    await watcher.hasEverything();
    expect(watcher.payloads).toEqual(['keepalive expiry']);
  });
});

describe('redelivery_on_reconnect_test', () => {
  it('what a client has not acknowledged at QoS 1 and 2 comes again when it is back', async () => {
    const paused = await RawClient.connect(server.port, { clientId: 'myclientid2', clean: false });
    paused.send(subscribe(1, [BELOW_A, 2]));
    await paused.receives('suback');
    paused.send(publish(2, TOPIC_A_B, 'one', { qos: 1 }), publish(3, TOPIC_A_C, 'two', { qos: 2 }));
    await paused.receives('publish', 2);
    paused.drop();
    const back = await Client.connected('myclientid2', { clean: false });
    await back.hasEverything();
    expect(back.payloads).toEqual(['one', 'two']);
  });
});

describe('subscribe_failure_test', () => {
  // The suite is told a topic that nobody may subscribe to; what Sluice refuses is one filter too many.
  it('a filter that is refused has 0x80 in the SUBACK, and nothing comes for it', async () => {
    server = await startIngress({ maxSubscriptions: 2 });
    server.sink.completing = true;
    const client = await Client.connected('myclientid');
    await client.subscribe(2, 'fence', TOPIC_A);
    const codes: unknown[] = [];
    client.mqtt.on('packetreceive', (packet) => {
      if (packet.cmd === 'suback') codes.push(packet.granted);
    });
    await expect(client.subscribe(2, TOPIC_C)).rejects.toThrow();
    await client.publish(TOPIC_C, 'refused', 2);
    await client.publish(TOPIC_A, 'granted', 2);
    await client.hasEverything();
    expect(client.payloads).toEqual(['granted']);
    expect(codes[0]).toEqual([0x80]);
  });
});

describe('dollar_topics_test', () => {
  it('a wildcard at the beginning matches no topic with $', async () => {
    const client = await Client.connected('myclientid2', { keepalive: 0 });
    await client.subscribe(2, TWO_LEVELS);
    await client.publish(`$${TOPIC_A_B}`, '', 1);
    await client.hasEverything();
    expect(client.messages).toEqual([]);
  });
});

describe('what the suite does between its tests', () => {
  it('after UNSUBSCRIBE nothing comes any more', async () => {
    const client = await Client.connected('myclientid');
    await client.subscribe(2, TOPIC_A, TOPIC_A_B);
    await client.mqtt.unsubscribeAsync(TOPIC_A);
    await client.publish(TOPIC_A, 'unsubscribed', 2);
    await client.publish(TOPIC_A_B, 'subscribed', 2);
    await client.hasEverything();
    expect(client.payloads).toEqual(['subscribed']);
  });

  it('a clean session clears what an earlier one of the client id has left', async () => {
    const first = await Client.connected('myclientid', { clean: false });
    await first.subscribe(2, TOPIC_A);
    await first.disconnect();
    const cleaner = await Client.connected('myclientid', { clean: true });
    await cleaner.disconnect();
    const other = await Client.connected('myclientid2');
    await other.publish(TOPIC_A, 'for nobody', 1);
    const again = await Client.connected('myclientid', { clean: false });
    await again.hasEverything();
    expect(again.messages).toEqual([]);
  });
});
