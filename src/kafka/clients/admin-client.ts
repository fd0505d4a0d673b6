import { systemClock, within } from '../../core/clock.ts';
import { asked, CLOSE_TIMEOUT_MS, createAdmin, TOPIC_RESOURCE, type Admin } from './kafkajs.ts';
import type {
  AdminPort,
  GroupMember,
  KafkaClientOptions,
  PartitionBounds,
  TopicLayout,
  TopicSpec,
} from './ports.ts';

/** How long brokers may take to make or delete topics. */
const TOPIC_TIMEOUT_MS = 10_000;

/** An administration that is connected; to be closed. */
export async function connectAdmin(options: KafkaClientOptions): Promise<AdminPort> {
  const admin = new KafkaJsAdmin(options);
  try {
    await admin.connect();
    return admin;
  } catch (error) {
    await admin.close();
    throw error;
  }
}

/** Connects for the time of this work. */
export async function withAdmin<T>(
  options: KafkaClientOptions,
  work: (admin: AdminPort) => Promise<T>,
): Promise<T> {
  const admin = await connectAdmin(options);
  try {
    return await work(admin);
  } finally {
    await admin.close();
  }
}

class KafkaJsAdmin implements AdminPort {
  readonly #options: KafkaClientOptions;
  readonly #admin: Admin;

  constructor(options: KafkaClientOptions) {
    this.#options = options;
    this.#admin = createAdmin(options);
  }

  #ask<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    return asked(this.#options, () => work(this.#admin));
  }

  connect(): Promise<void> {
    return this.#ask((admin) => admin.connect());
  }

  describeCluster(): ReturnType<AdminPort['describeCluster']> {
    return this.#ask((admin) => admin.describeCluster());
  }

  listTopics(): Promise<string[]> {
    return this.#ask((admin) => admin.listTopics());
  }

  async describeTopics(names: readonly string[]): Promise<TopicLayout[]> {
    const { topics } = await this.#ask((admin) => admin.fetchTopicMetadata({ topics: [...names] }));
    return topics.map(({ name, partitions }) => ({
      topic: name,
      partitions: partitions.length,
      replicationFactor: Math.min(...partitions.map(({ replicas }) => replicas.length)),
    }));
  }

  async topicConfig(topic: string, setting: string): Promise<string | undefined> {
    const resource = { type: TOPIC_RESOURCE, name: topic, configNames: [setting] };
    const { resources } = await this.#ask((admin) =>
      admin.describeConfigs({ resources: [resource], includeSynonyms: false }),
    );
    return resources[0]?.configEntries[0]?.configValue;
  }

  createTopic({ topic, partitions, replicationFactor = -1, config = {} }: TopicSpec): Promise<boolean> {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    const wanted = { topic, numPartitions: partitions, replicationFactor, configEntries };
    return this.#ask((admin) => admin.createTopics({ topics: [wanted], timeout: TOPIC_TIMEOUT_MS }));
  }

  deleteTopics(topics: readonly string[]): Promise<void> {
    return this.#ask((admin) => admin.deleteTopics({ topics: [...topics], timeout: TOPIC_TIMEOUT_MS }));
  }

  async logBounds(topic: string): Promise<PartitionBounds[]> {
    const offsets = await this.#ask((admin) => admin.fetchTopicOffsets(topic));
    return offsets.map(({ partition, low, high }) => ({ partition, begin: Number(low), end: Number(high) }));
  }

  deleteRecords(topic: string, partition: number, below: number): Promise<void> {
    return this.#ask(async (admin) => {
      // kafkajs deletes only from topics that it has looked at.
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(below) }] });
    });
  }

  async groupMembers(groupId: string): Promise<GroupMember[]> {
    const { groups } = await this.#ask((admin) => admin.describeGroups([groupId]));
    const members = groups.flatMap((group) => group.members);
    return members.map(({ memberId, clientId, clientHost }) => {
      return { memberId, clientId, host: clientHost.replace(/^\//, '') };
    });
  }

  async close(): Promise<void> {
    await within(systemClock, CLOSE_TIMEOUT_MS, this.#admin.disconnect());
  }
}
