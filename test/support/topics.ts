import type { ITopicConfig } from 'kafkajs';

import { silentLogger } from '../../src/core/logger.ts';
import { createAdmin, kafkaErrorType, type Admin } from '../../src/kafka/clients/kafkajs.ts';
import { until } from './until.ts';

/** Creates the topics on a Kafka without security, and waits until they can be used. */
export async function createTopicsOn(
  bootstrapServers: string,
  topics: readonly ITopicConfig[],
): Promise<void> {
  const admin = createAdmin({
    bootstrapServers: bootstrapServers.split(','),
    clientId: 'test',
    logger: silentLogger,
    retries: 20,
  });
  await admin.connect();
  try {
    await createTopics(admin, topics);
  } finally {
    await admin.disconnect();
  }
}

/** Creates the topics, and waits until each of their partitions has a leader. */
export async function createTopics(admin: Admin, topics: readonly ITopicConfig[]): Promise<void> {
  // kafkajs' own waiting would give up at the first broker that has not heard of a topic yet.
  await admin.createTopics({ topics: [...topics], waitForLeaders: false });
  for (const { topic } of topics) await leadersOf(admin, topic);
}

const NOT_YET: readonly (string | undefined)[] = ['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE'];

/** The leader of each partition, as soon as all have one and the broker that is asked knows of it. */
export async function leadersOf(admin: Admin, topic: string): Promise<ReadonlyMap<number, number>> {
  let leaders = new Map<number, number>();
  await until(
    async () => {
      try {
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
        leaders = new Map(topics[0]!.partitions.map(({ partitionId, leader }) => [partitionId, leader]));
        return leaders.size > 0 && ![...leaders.values()].includes(-1);
      } catch (error) {
        if (NOT_YET.includes(kafkaErrorType(error))) return false;
        throw error;
      }
    },
    { timeoutMs: 60_000, what: `leaders of ${topic}` },
  );
  return leaders;
}
