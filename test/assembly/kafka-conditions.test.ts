import { describe, expect, it } from 'vitest';
import { readinessOf } from '../../src/core/readiness.ts';
import { kafkaConditions, type KafkaSituation } from '../../src/assembly/kafka-conditions.ts';

const away: KafkaSituation = {
  servers: ['kafka:9092'],
  connection: { connectedBrokers: 0, lastFailure: 'connect ECONNREFUSED', securityFailures: [] },
  localFault: undefined,
  topicProblems: ['topics were not looked for yet'],
  canWait: false,
};
const connection = { ...away.connection, connectedBrokers: 1 };

describe('readiness while Kafka is away', () => {
  it('is refused if a route would let its devices wait', () => {
    expect(readinessOf(kafkaConditions(away))).toMatchObject({
      ready: false,
      conditions: [
        { name: 'kafka', ready: false, reason: expect.stringContaining('ECONNREFUSED') as string },
        { name: 'topics', ready: false },
      ],
    });
  });

  it('holds if every route takes on what devices send, and says that Kafka is away', () => {
    expect(readinessOf(kafkaConditions({ ...away, canWait: true }))).toMatchObject({
      ready: true,
      conditions: [
        {
          name: 'kafka',
          ready: false,
          required: false,
          reason: expect.stringContaining('kafka:9092') as string,
        },
        { name: 'topics', ready: false, required: false },
      ],
    });
  });

  it('is refused for what waiting does not mend, whatever the routes: a topic that is missing, a login', () => {
    const missing = { ...away, canWait: true, connection };
    expect(readinessOf(kafkaConditions(missing)).ready).toBe(false);
    const refused = { ...away.connection, securityFailures: ['SASL_AUTHENTICATION_FAILED'] };
    expect(readinessOf(kafkaConditions({ ...away, canWait: true, connection: refused })).ready).toBe(false);
    expect(readinessOf(kafkaConditions({ ...missing, topicProblems: [] })).ready).toBe(true);
  });
});
