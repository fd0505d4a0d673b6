import { errorMessage } from '../../core/errors.ts';
import { kafkaErrorType, TOPIC_RESOURCE, type Admin } from './kafkajs.ts';

/** A topic that somebody wants to send to. */
export interface TopicSpec {
  readonly topic: string;
  readonly partitions: number;
  /** Left out, the cluster's default. */
  readonly replicationFactor?: number;
  /** Topic settings under Kafka's own names, e.g. `retention.ms`. */
  readonly config?: Readonly<Record<string, string>>;
}

/** What protects the records of a topic against the loss of brokers. */
export interface TopicShape {
  readonly partitions: number;
  /** The smallest of its partitions. */
  readonly replicationFactor: number;
  /** undefined when we may not see it. */
  readonly minInsyncReplicas: number | undefined;
}

/** What became of a {@link TopicSpec}. */
export type TopicStatus =
  | { readonly topic: string; readonly state: 'exists' | 'created'; readonly shape: TopicShape }
  | {
      readonly topic: string;
      /** `missing`: it is not there, and was not, or may not be, created. `error`: it could not be found out. */
      readonly state: 'missing' | 'error';
      readonly reason: string;
      /** The protocol's name of the error, e.g. TOPIC_AUTHORIZATION_FAILED, where there is one. */
      readonly code: string | undefined;
    };

const NOT_AUTHORISED: readonly (string | undefined)[] = [
  'TOPIC_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
];

/**
 * Makes sure that the topics are there. Existing ones are taken as they are; missing ones are created if `create`
 * says so. One topic's trouble is in its own status and doesn't keep the others from being looked at.
 *
 * @param admin connected; its own retries cover brokers that are still loading
 * @throws what kafkajs throws when no broker answers at all
 */
export async function ensureTopics(
  admin: Admin,
  specs: readonly TopicSpec[],
  create: boolean,
): Promise<TopicStatus[]> {
  const existing = new Set(await admin.listTopics());
  const statuses: TopicStatus[] = [];
  for (const spec of specs) {
    statuses.push(await ensureTopic(admin, spec, existing.has(spec.topic), create));
  }
  return statuses;
}

async function ensureTopic(
  admin: Admin,
  spec: TopicSpec,
  exists: boolean,
  create: boolean,
): Promise<TopicStatus> {
  const { topic } = spec;
  if (!exists && !create) {
    const reason = "it doesn't exist (or we may not see it), and 'kafka.topics.create' is false";
    return { topic, state: 'missing', reason, code: 'UNKNOWN_TOPIC_OR_PARTITION' };
  }
  try {
    // False: somebody else was faster.
    const created = !exists && (await createTopic(admin, spec));
    return { topic, state: created ? 'created' : 'exists', shape: await describeTopic(admin, topic) };
  } catch (error) {
    const code = kafkaErrorType(error);
    if (!exists && NOT_AUTHORISED.includes(code)) {
      return {
        topic,
        state: 'missing',
        reason: 'it does not exist, and we are not authorised to create it',
        code,
      };
    }
    return { topic, state: 'error', reason: reasonOf(error), code };
  }
}

async function createTopic(admin: Admin, spec: TopicSpec): Promise<boolean> {
  const { topic, partitions, replicationFactor = -1, config = {} } = spec;
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  return admin.createTopics({
    topics: [{ topic, numPartitions: partitions, replicationFactor, configEntries }],
    timeout: 10_000,
  });
}

async function describeTopic(admin: Admin, topic: string): Promise<TopicShape> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  const partitions = topics[0]?.partitions ?? [];
  return {
    partitions: partitions.length,
    replicationFactor: Math.min(...partitions.map(({ replicas }) => replicas.length)),
    minInsyncReplicas: await minInsyncReplicas(admin, topic),
  };
}

/** Needs the right to describe the topic's configuration, which a producer does not. */
async function minInsyncReplicas(admin: Admin, topic: string): Promise<number | undefined> {
  try {
    const { resources } = await admin.describeConfigs({
      resources: [{ type: TOPIC_RESOURCE, name: topic, configNames: ['min.insync.replicas'] }],
      includeSynonyms: false,
    });
    const value = resources[0]?.configEntries[0]?.configValue;
    return value === undefined ? undefined : Number(value);
  } catch {
    return undefined;
  }
}

/** The text of the first error of a collection, which is what happened to this topic. */
function reasonOf(error: unknown): string {
  const { errors } = error as { errors?: unknown };
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  return errorMessage(first ?? error);
}
