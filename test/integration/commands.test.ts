import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/core/logger.ts';
import { createAdmin } from '../../src/kafka/clients/kafkajs.ts';
import { CommandDevice } from '../support/command-device.ts';
import { TestGateway } from '../support/gateway.ts';
import { produce } from '../support/plain-producer.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { readTopic, type ConsumedRecord } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

const run = randomUUID().slice(0, 8);
const topic = `commands-${run}`;
const replies = `replies-${run}`;
const client = { clientId: 'test-commander', logger: silentLogger };

const config = `
kafka: { topics: { partitions: 2 } }
mqtt: { sessions: { queue.messages: 5 } }
commands:
  - topic: ${topic}
    mqtt.topic: devices/{device}/commands/{correlation}
    reply: { mqtt.topic: 'devices/{device}/replies/{correlation}', topic: ${replies} }
`;

let bootstrapServers: string;
let gateway: TestGateway;
beforeAll(async () => {
  bootstrapServers = sharedKafka().bootstrapServers;
  gateway = await TestGateway.start({ bootstrapServers, config });
  await gateway.untilReady();
});
afterAll(async () => {
  await gateway.stop();
});

async function command(
  device: string | null,
  text: string,
  headers: Record<string, string> = {},
): Promise<void> {
  await produce(bootstrapServers, topic, [{ key: device, value: text, headers }]);
}

/** The undelivered commands with this text, once there is one. */
async function undelivered(text: string): Promise<ConsumedRecord[]> {
  let found: ConsumedRecord[] = [];
  await until(
    async () => {
      const records = await readTopic(bootstrapServers, `${topic}.undelivered`);
      found = records.filter(({ value }) => value?.toString() === text);
      return found.length > 0;
    },
    { what: `${text} among the undelivered commands` },
  );
  return found;
}

/** Commands that a gateway that starts now would be given. */
async function uncommitted(): Promise<number> {
  const admin = createAdmin({ ...client, bootstrapServers: [bootstrapServers] });
  await admin.connect();
  try {
    const ends = await admin.fetchTopicOffsets(topic);
    const [committed] = await admin.fetchOffsets({ groupId: `sluice-commands-${topic}`, topics: [topic] });
    return ends.reduce((sum, { partition, high }) => {
      const offset = committed!.partitions.find((one) => one.partition === partition)!.offset;
      return sum + Number(high) - Math.max(0, Number(offset));
    }, 0);
  } finally {
    await admin.disconnect();
  }
}

const allCommitted = (): Promise<void> =>
  until(async () => (await uncommitted()) === 0, { what: 'all offsets to be committed' });

describe('commands for a device', () => {
  it('reach it with QoS 1, in order, under its own topic, and are committed once it has them', async () => {
    const pump = await CommandDevice.connected(gateway.mqttUrl, 'pump');
    const other = await CommandDevice.connected(gateway.mqttUrl, 'other');
    for (let n = 1; n <= 20; n++) {
      await command('pump', `set ${n}`, { 'correlation-id': `c${n}` });
      await pump.gets(n - 2);
    }
    await pump.gets(20);
    expect(pump.texts).toEqual(Array.from({ length: 20 }, (_, index) => `set ${index + 1}`));
    expect(pump.commands[4]).toEqual({ topic: 'devices/pump/commands/c5', text: 'set 5', qos: 1 });
    expect(other.commands).toEqual([]);
    await allCommitted();
    expect(await gateway.metric('sluice_commands_lag')).toBe(0);
  });

  it('wait while it is away, hold up nobody else, and come in order when it is back', async () => {
    const away = await CommandDevice.connected(gateway.mqttUrl, 'away');
    await away.leaves();
    const there = await CommandDevice.connected(gateway.mqttUrl, 'there');
    for (const text of ['1', '2', '3']) {
      await command('away', text);
      await command('there', text);
    }
    await there.gets(3);
    const back = await CommandDevice.connected(gateway.mqttUrl, 'away');
    await back.gets(3);
    expect(back.texts).toEqual(['1', '2', '3']);
    await allCommitted();
  });

  it('are answered: the reply stands in Kafka under the device, with the correlation of its command', async () => {
    const valve = await CommandDevice.connected(gateway.mqttUrl, 'valve');
    await command('valve', 'open', { 'correlation-id': 'order-66' });
    await valve.gets(1);
    const { topic: commandTopic } = valve.commands[0]!;
    await valve.mqtt.publishAsync(commandTopic.replace('commands', 'replies'), 'opened', { qos: 1 });
    const records = await readTopic(bootstrapServers, replies);
    expect(records).toMatchObject([
      {
        key: 'valve',
        headers: { 'correlation-id': 'order-66', 'mqtt.topic': 'devices/valve/replies/order-66' },
      },
    ]);
    expect(records[0]!.value!.toString()).toBe('opened');
  });
});

describe('a command that does not reach its device stands in Kafka with the reason', () => {
  it.each([
    ['no device', 'NO_DEVICE', null, {}],
    ['a device that was never here', 'NO_SESSION', 'stranger', {}],
    ['a device that has not subscribed', 'NOT_SUBSCRIBED', 'deaf', {}],
    ['a device that was too late for it', 'EXPIRED', 'pump', { 'expiry-ms': '0' }],
  ])('for %s', async (why, code, device, headers) => {
    if (device === 'deaf') {
      const deaf = await CommandDevice.connected(gateway.mqttUrl, 'deaf');
      await deaf.mqtt.unsubscribeAsync('devices/deaf/commands/#');
    }
    await command(device, why, { ...headers, note: 'kept' });
    const records = await undelivered(why);
    expect(records).toMatchObject([
      { key: device, headers: { 'error.code': code, note: 'kept', 'command.topic': topic } },
    ]);
    await allCommitted();
  });

  it('for a device whose queue is full; what it has room for waits for it', async () => {
    const away = await CommandDevice.connected(gateway.mqttUrl, 'full');
    await away.leaves();
    for (let n = 1; n <= 7; n++) await command('full', `item ${n}`);
    expect(await undelivered('item 7')).toMatchObject([
      { key: 'full', headers: { 'error.code': 'QUEUE_FULL' } },
    ]);
    const back = await CommandDevice.connected(gateway.mqttUrl, 'full');
    await back.gets(5);
    expect(back.texts).toEqual([1, 2, 3, 4, 5].map((n) => `item ${n}`));
    await allCommitted();
  });
});

describe('a second gateway', () => {
  it('is refused, in its log and readiness, and reads the topic once the first has left', async () => {
    const second = await TestGateway.start({ bootstrapServers, config });
    try {
      const sentence = /one gateway for a command topic for now: sluice at \S+ reads commands-\S+ in group/;
      await until(() => sentence.test(second.output), { what: 'the refusal in the log' });
      const { ready, conditions } = await second.readiness();
      expect(ready).toBe(false);
      expect(conditions.find(({ name }) => name === 'commands')!.reason).toMatch(sentence);
      // The first has not been disturbed.
      expect((await gateway.readiness()).ready).toBe(true);
      const pump = await CommandDevice.connected(gateway.mqttUrl, 'pump');
      await command('pump', 'still here');
      await pump.gets(1);
      await pump.leaves();
      await allCommitted();

      await gateway.stop();
      await second.untilReady();
      gateway = second;
      const next = await CommandDevice.connected(gateway.mqttUrl, 'pump');
      await command('pump', 'here now');
      await next.gets(1);
      expect(next.texts).toEqual(['here now']);
    } finally {
      if (gateway !== second) await second.stop();
    }
  });
});
