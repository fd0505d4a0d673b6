import mqtt from 'mqtt';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { findFreePorts } from '../../src/testbed/local-kafka/ports.ts';
import { TestGateway } from '../support/gateway.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { PASSWORD, quoted, USER } from '../support/secure-kafka.ts';
import { readTelemetry } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

let kafka: TestKafka;
let clientPort: number;

/** A Kafka that lets nobody but its own tools do anything, with a listener for clients that log in. */
beforeAll(async () => {
  const [port] = await findFreePorts(1);
  clientPort = port!;
  const login = 'org.apache.kafka.common.security.plain.PlainLoginModule';
  kafka = await startKafka({
    properties: ({ port, controllerPort }) => ({
      listeners: `PLAINTEXT://127.0.0.1:${port},CLIENT://127.0.0.1:${clientPort},CONTROLLER://127.0.0.1:${controllerPort}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},CLIENT://127.0.0.1:${clientPort}`,
      'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CLIENT:SASL_PLAINTEXT',
      'listener.name.client.sasl.enabled.mechanisms': 'PLAIN',
      'listener.name.client.plain.sasl.jaas.config': `${login} required user_${USER}="${quoted(PASSWORD)}";`,
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'allow.everyone.if.no.acl.found': 'false',
      'super.users': 'User:ANONYMOUS',
    }),
  });
});

afterAll(async () => {
  await kafka.stop();
});

it('no right to create a topic is named in readiness, and once granted everything flows without a restart', async () => {
  const gateway = await TestGateway.start({
    config: JSON.stringify({
      kafka: {
        'bootstrap.servers': `127.0.0.1:${clientPort}`,
        'security.protocol': 'SASL_PLAINTEXT',
        'sasl.mechanism': 'PLAIN',
        'sasl.username': USER,
        'sasl.password': PASSWORD,
        topics: { partitions: 2 },
      },
    }),
  });
  try {
    const reason = async (): Promise<string> => {
      const { conditions } = await gateway.readiness();
      return conditions.find(({ name }) => name === 'topics')?.reason ?? '';
    };
    await until(async () => /telemetry: .*not authorised to create/.test(await reason()), {
      what: 'the missing right to be named',
    });
    const client = await mqtt.connectAsync(gateway.mqttUrl);
    let acknowledged = false;
    const publication = client
      .publishAsync('fleet/oslo/d1/telemetry', Buffer.from([0x10, 1]), { qos: 1 })
      .then(() => (acknowledged = true));
    await until(async () => (await gateway.metric('sluice_mqtt_parked_messages')) === 1, {
      what: 'the publication to wait',
    });
    expect(acknowledged).toBe(false);

    const principal = ['--add', '--allow-principal', `User:${USER}`];
    await kafka.tools.run('org.apache.kafka.tools.AclCommand', [
      ...['--bootstrap-server', kafka.bootstrapServers, ...principal],
      ...['--operation', 'Create', '--operation', 'Describe', '--operation', 'Write', '--topic', '*'],
    ]);
    await publication;
    await gateway.untilReady();
    await client.endAsync();
    expect(await readTelemetry(kafka.bootstrapServers, 'telemetry')).toHaveLength(1);
  } finally {
    await gateway.stop();
  }
});
