import mqtt from 'mqtt';
import { afterEach, describe, expect, it } from 'vitest';

import { TestGateway } from '../support/gateway.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { readTelemetry } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

let gateway: TestGateway | undefined;

afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});

/** The shipped environment sensor, with a Kafka topic of this test's own. */
async function startWith(topic: string, config: string, environment: Record<string, string> = {}) {
  gateway = await TestGateway.start({
    bootstrapServers: sharedKafka().bootstrapServers,
    config: `profiles: own\n${config}`,
    files: {
      'own/env-sensor.yaml': [
        'type: env-sensor',
        'topic: fleet/{site}/{device}/telemetry',
        'decode: { protobuf: { file: ../proto/devices/env_sensor.proto, message: fleet.EnvSensor } }',
        "device: '{device}'",
        'sequence: { field: seq }',
        `produce: { topic: ${topic} }`,
      ].join('\n'),
    },
    environment,
  });
  return gateway;
}

async function publish(gateway: TestGateway, sequence: number): Promise<void> {
  const client = await mqtt.connectAsync(gateway.mqttUrl);
  await client.publishAsync('fleet/oslo/d1/telemetry', Buffer.from([0x10, sequence]), { qos: 1 });
  await client.endAsync();
}

describe('a Kafka of your own', () => {
  it('gets its topics as kafka.topics says', async () => {
    const { tools } = sharedKafka();
    const config = 'kafka: { topics: { partitions: 3, config: { retention.ms: 7200000 } } }\n';
    await (await startWith('own-created', config)).untilReady();
    const description = await tools.topicCommand('--describe', '--topic', 'own-created');
    expect(description).toMatch(/PartitionCount: 3/);
    expect(description).toContain('retention.ms=7200000');
  });

  it('keeps an existing topic as it is', async () => {
    const { tools, bootstrapServers } = sharedKafka();
    await tools.createTopic('own-existing', { partitions: 5 });
    const gateway = await startWith('own-existing', 'kafka: { topics: { partitions: 2 } }\n');
    await gateway.untilReady();
    await publish(gateway, 1);
    expect(await tools.topicCommand('--describe', '--topic', 'own-existing')).toMatch(/PartitionCount: 5/);
    expect(await readTelemetry(bootstrapServers, 'own-existing')).toHaveLength(1);
  });

  it('is not added to with create: false: readiness names the missing topic, devices wait, and all goes on when it is there', async () => {
    const { tools, bootstrapServers } = sharedKafka();
    const gateway = await startWith('own-missing', 'kafka: { topics: { create: false } }\n');
    await until(
      async () => {
        const { conditions } = await gateway.readiness();
        const topics = conditions.find(({ name }) => name === 'topics');
        return topics?.ready === false && topics.reason.includes('own-missing: ');
      },
      { what: 'the missing topic to be named' },
    );
    let acknowledged = false;
    const publication = publish(gateway, 1).then(() => (acknowledged = true));
    await until(async () => (await gateway.metric('sluice_mqtt_parked_messages')) === 1, {
      what: 'the publication to wait',
    });
    expect(acknowledged).toBe(false);

    await tools.createTopic('own-missing');
    await tools.createTopic('own-missing.dlq');
    await publication;
    await gateway.untilReady();
    expect(await readTelemetry(bootstrapServers, 'own-missing')).toHaveLength(1);
  });

  it('warns in the banner of a listener that is open to the network', async () => {
    const gateway = await startWith('own-open', '', { SLUICE_MQTT__LISTENERS__0__HOST: '0.0.0.0' });
    expect(gateway.output.replaceAll(/\s+/g, ' ')).toMatch(
      /Warning: .*0\.0\.0\.0:\d+.* open to the network without authentication/,
    );
  });
});
