import { SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { StateRecord } from './handled.ts';
import type { StateTopic } from './letter-state.ts';
import { createAdmin, TOPIC_RESOURCE, type Admin } from '../../kafka/clients/kafkajs.ts';
import type { TopicReader } from '../../kafka/connection/topic-reader.ts';
import { ensureTopics, type TopicSpec } from '../../kafka/clients/topics.ts';
import type { Producer } from '../../producer/producer.ts';
import type { Blueprint } from '../../assembly/blueprint.ts';

/** The first and only partition of the state's topic. */
const PARTITION = 0;

/** The compacted topic in which `sluice dlq` remembers. While it is not there, nothing is remembered. */
export class CompactedStateTopic implements StateTopic {
  readonly #topic: string;
  readonly #reader: TopicReader;
  readonly #producer: Pick<Producer, 'send'> | undefined;

  /** Without a producer it can only be read. */
  constructor(topic: string, reader: TopicReader, producer?: Pick<Producer, 'send'>) {
    this.#topic = topic;
    this.#reader = reader;
    this.#producer = producer;
  }

  async *read(): AsyncGenerator<StateRecord> {
    const log = (await this.#reader.describe(this.#topic))?.partitions[PARTITION];
    if (log === undefined) return;
    const range = { topic: this.#topic, partition: PARTITION, from: log.begin, to: log.end };
    for await (const records of this.#reader.read(range)) {
      for (const { key, value } of records) {
        yield { key: key?.toString('utf8') ?? '', value: value?.toString('utf8') ?? null };
      }
    }
  }

  async append(records: readonly StateRecord[]): Promise<void> {
    const producer = this.#producer;
    if (producer === undefined) throw new Error('the state was opened for reading');
    await Promise.all(
      records.map(({ key, value }) =>
        producer.send({
          topic: this.#topic,
          partition: PARTITION,
          key: Buffer.from(key, 'utf8'),
          value: value === null ? null : Buffer.from(value, 'utf8'),
        }),
      ),
    );
  }
}

/**
 * Sees to it that the topic is there, and forgets nothing.
 * @throws SluiceError DLQ_STATE_TOPIC
 */
export async function ensureStateTopic(
  { config, producer, security }: Pick<Blueprint, 'config' | 'producer' | 'security'>,
  logger: Logger,
): Promise<void> {
  const { stateTopic: topic } = config.dlq;
  const { create, replicationFactor } = config.kafka.topics;
  const spec: TopicSpec = {
    topic,
    partitions: 1,
    ...(replicationFactor !== undefined && { replicationFactor }),
    config: { 'cleanup.policy': 'compact' },
  };
  const { bootstrapServers, clientId } = producer;
  const admin = createAdmin({ bootstrapServers, clientId, logger, security });
  try {
    await admin.connect();
    const [status] = await ensureTopics(admin, [spec], create);
    if (status !== undefined && 'reason' in status) {
      throw new SluiceError(
        'DLQ_STATE_TOPIC',
        `the topic ${topic}, where it is remembered which dead letters are done, can't be used: ${status.reason}; ` +
          'make it with one partition and cleanup.policy=compact, or name another one in dlq.state.topic',
      );
    }
    await refuseForgetfulTopic(admin, topic);
  } finally {
    await admin.disconnect();
  }
}

/** With `delete` among its policies Kafka would forget after a week what is done, and it would be done again. */
async function refuseForgetfulTopic(admin: Admin, topic: string): Promise<void> {
  const { resources } = await admin.describeConfigs({
    resources: [{ type: TOPIC_RESOURCE, name: topic, configNames: ['cleanup.policy'] }],
    includeSynonyms: false,
  });
  const policy = resources[0]?.configEntries[0]?.configValue;
  if (policy === undefined || policy === 'compact') return;
  throw new SluiceError(
    'DLQ_STATE_TOPIC',
    `the topic ${topic} has cleanup.policy=${policy}: it would forget which dead letters are done; ` +
      'set it to compact, or name another topic in dlq.state.topic',
  );
}
