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
  if (securityFailures.length > 0) {
    return [{ name: 'kafka', ready: false, reason: securityFailures.join('; ') }, topics(topicProblems)];
  }
  if (connectedBrokers > 0) {
    const reason = `connected, by way of ${servers}`;
    return [{ name: 'kafka', ready: true, reason }, topics(topicProblems)];
  }
  const why = lastFailure === undefined ? '' : `: ${lastFailure}`;
  const away = localFault ?? `no broker of ${servers} can be reached${why}`;
  if (!canWait) return [{ name: 'kafka', ready: false, reason: away }, topics(topicProblems)];
  const reason = `${away}; every route takes on what devices send meanwhile`;
  return [
    { name: 'kafka', ready: false, required: false, reason },
    { ...topics(topicProblems), required: false },
  ];
}

function topics(problems: readonly string[]): Condition {
  const ready = problems.length === 0;
  return { name: 'topics', ready, reason: ready ? 'all topics are there' : problems.join('; ') };
}
