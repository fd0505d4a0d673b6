import type { Condition } from '../core/readiness.ts';

export interface KafkaSituation {
  readonly servers: readonly string[];
  readonly connection: {
    readonly connectedBrokers: number;
    readonly lastFailure?: string | undefined;
    readonly securityFailures: readonly string[];
  };
  /** Why the local Kafka is not there. */
  readonly localFault: string | undefined;
  /** In words. */
  readonly topicProblems: readonly string[];
  /** Every route acknowledges devices even while Kafka is away. */
  readonly canWait: boolean;
}

/**
 * Kafka and its topics, as `/readyz` has them. If every route accepts messages while no broker can be reached,
 * devices should still be sent here: the body says that Kafka is away, and the status does not. A refused login or
 * a missing topic is another matter, because waiting does not mend it.
 */
export function kafkaConditions(situation: KafkaSituation): Condition[] {
  const { connection, localFault, topicProblems, canWait } = situation;
  const { connectedBrokers, lastFailure, securityFailures } = connection;
  const servers = situation.servers.join(', ');
  const topics = {
    name: 'topics',
    ready: topicProblems.length === 0,
    reason: topicProblems.length === 0 ? 'all topics are there' : topicProblems.join('; '),
  };
  const kafka = (ready: boolean, reason: string): Condition => ({ name: 'kafka', ready, reason });
  if (securityFailures.length > 0) return [kafka(false, securityFailures.join('; ')), topics];
  if (connectedBrokers > 0) return [kafka(true, `connected, by way of ${servers}`), topics];
  const why = lastFailure === undefined ? '' : `: ${lastFailure}`;
  const away = localFault ?? `no broker of ${servers} can be reached${why}`;
  if (!canWait) return [kafka(false, away), topics];
  const meanwhile = kafka(false, `${away}; every route takes on what devices send meanwhile`);
  return [meanwhile, topics].map((condition) => ({ ...condition, required: false }));
}
