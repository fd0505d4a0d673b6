import { expect, it } from 'vitest';
import { silentLogger } from '../../../src/core/logger.ts';
import { asked } from '../../../src/kafka/clients/kafkajs.ts';
import { KafkaClientError } from '../../../src/kafka/clients/ports.ts';
import { BrokerSecurityError } from '../../../src/kafka/security/failure.ts';

const options = { bootstrapServers: ['kafka:9092'], clientId: 'test', logger: silentLogger };

const refused = Object.assign(new Error('Not authorised'), { type: 'TOPIC_AUTHORIZATION_FAILED' });
const collected = Object.assign(new Error('Topic creation errors'), { errors: [refused] });

it.each([
  ['thrown as it is', refused, 'Not authorised', 'TOPIC_AUTHORIZATION_FAILED'],
  ['collected with others', collected, 'Not authorised', 'TOPIC_AUTHORIZATION_FAILED'],
  ['given up on', new Error('Gave up', { cause: collected }), 'Gave up', 'TOPIC_AUTHORIZATION_FAILED'],
  ['of no broker', new Error('connect ECONNREFUSED'), 'connect ECONNREFUSED', 'KAFKA_CLIENT'],
])(
  "an error of kafkajs is named by the protocol's code inside of it: %s",
  async (_, error, message, code) => {
    const failure = await asked(options, () => Promise.reject(error)).catch((thrown: unknown) => thrown);
    expect(failure).toBeInstanceOf(KafkaClientError);
    expect(failure).toMatchObject({ code, message, cause: error });
  },
);

it('an error of kafkajs that security is the reason for names the broker, and says what to do', async () => {
  const login = Object.assign(new Error('Invalid username or password'), {
    type: 'SASL_AUTHENTICATION_FAILED',
  });
  const failure = await asked(options, () => Promise.reject(login)).catch((thrown: unknown) => thrown);
  expect(failure).toBeInstanceOf(BrokerSecurityError);
  expect(failure).toMatchObject({
    code: 'KAFKA_AUTHENTICATION_FAILED',
    message: expect.stringMatching(/^kafka:9092 refused our login .*check user and password/) as string,
  });
});
