import { afterEach, describe, expect, it } from 'vitest';
import { CommandDevice } from '../support/command-device.ts';
import { TestGateway } from '../support/gateway.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { produce } from '../support/plain-producer.ts';
import { readTopic } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

const config = `
kafka: { topics: { partitions: 1 } }
commands:
  - { topic: commands, mqtt.topic: 'devices/{device}/commands/{correlation}' }
`;

const running: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop();
});

async function command(
  kafka: TestKafka,
  device: string,
  text: string,
  headers: Record<string, string> = {},
): Promise<void> {
  await produce(kafka.bootstrapServers, 'commands', [{ key: device, value: text, headers }]);
}

const reasonOf = async (gateway: TestGateway): Promise<string | undefined> => {
  const { conditions } = await gateway.readiness();
  return conditions.find(({ name, ready }) => name === 'commands' && !ready)?.reason;
};

describe('commands survive', () => {
  it("the gateway's kill -9, Kafka's, and their own expiry: in order, or with the reason", async () => {
    const kafka = await startKafka();
    running.push(kafka);
    const first = await TestGateway.start({ bootstrapServers: kafka.bootstrapServers, config });
    running.push(first);
    await first.untilReady();

    // A device that is away, and a gateway that is killed with what it has stored for it.
    const pump = await CommandDevice.connected(first.mqttUrl, 'pump');
    await pump.leaves();
    for (const text of ['1', '2', '3']) await command(kafka, 'pump', text);
    await until(async () => (await first.metric('sluice_commands_stored_total')) === 3);
    await first.kill9();
    await command(kafka, 'pump', '4');

    const second = await TestGateway.start({
      bootstrapServers: kafka.bootstrapServers,
      folder: first.folder,
    });
    running.push(second);
    await second.untilReady();
    const back = await CommandDevice.connected(second.mqttUrl, 'pump');
    await until(() => back.texts.includes('4'), { what: 'the last command' });
    // What was stored and not committed in the last half second may come twice; the first ones are in order.
    expect([...new Set(back.texts)]).toEqual(['1', '2', '3', '4']);

    await kafka.kill9();
    await until(async () => (await reasonOf(second)) !== undefined, {
      what: 'readiness to name the trouble',
    });
    await kafka.restart();
    await until(async () => (await reasonOf(second)) === undefined, { what: 'commands to be read again' });
    await command(kafka, 'pump', '5');
    await until(() => back.texts.includes('5'), { what: 'a command after the outage' });

    await back.leaves();
    await command(kafka, 'pump', 'too late', { 'expiry-ms': '1500' });
    await until(async () => (await second.metric('sluice_commands_undelivered_total')) === 1);
    expect(await readTopic(kafka.bootstrapServers, 'commands.undelivered')).toMatchObject([
      { key: 'pump', headers: { 'error.code': 'EXPIRED', 'command.topic': 'commands' } },
    ]);
    expect(second.exited).toBe(false);
  });
});
