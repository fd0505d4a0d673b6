import { createAdmin, createConsumer, type KafkaClientOptions, type KafkaMessage } from './kafkajs.ts';

export interface TopicContentsOptions {
  readonly client: KafkaClientOptions;
  /** A group of the reader's own; it commits nothing, so that nothing is left of it. */
  readonly groupId: string;
  readonly topic: string;
  /** Every record, in the order of offsets within its partition. */
  readonly onRecord: (partition: number, message: KafkaMessage) => void;
  /** Aborted: the reading ends at once, with its reason as the error. */
  readonly signal: AbortSignal;
}

/**
 * Reads everything that a topic holds at the moment of the call, with kafkajs: who judges our producer and our reader
 * (topic-reader.ts) must share no code with them.
 * @throws what kafkajs throws when the cluster can't be read
 */
export async function readTopicContents(options: TopicContentsOptions): Promise<void> {
  const { client, groupId, topic, onRecord, signal } = options;
  const left = await unread(client, topic);
  if (left.size === 0) return;
  const positions = new Map<number, bigint>();
  const consumer = createConsumer(client, { groupId, allowAutoTopicCreation: false, maxWaitTimeInMs: 250 });
  const done = Promise.withResolvers<undefined>();
  // It may fail while something else is waited for.
  done.promise.catch(() => undefined);
  const abort = (): void => {
    done.reject(signal.reason as Error);
  };
  signal.addEventListener('abort', abort);
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) done.reject(payload.error);
    });
    await consumer.run({
      autoCommit: false,
      eachBatch: ({ batch }) => {
        const { partition, messages } = batch;
        const position = positions.get(partition) ?? 0n;
        // After a rebalance the group begins at the beginning again.
        for (const message of messages) if (BigInt(message.offset) >= position) onRecord(partition, message);
        const next = BigInt(batch.lastOffset()) + 1n;
        if (next > position) positions.set(partition, next);
        if (next >= (left.get(partition) ?? 0n)) left.delete(partition);
        if (left.size === 0) done.resolve(undefined);
        return Promise.resolve();
      },
    });
    signal.throwIfAborted();
    await done.promise;
  } finally {
    signal.removeEventListener('abort', abort);
    await consumer.disconnect();
  }
}

/** The end offsets of the partitions that hold anything. */
async function unread(client: KafkaClientOptions, topic: string): Promise<Map<number, bigint>> {
  const admin = createAdmin(client);
  try {
    await admin.connect();
    const offsets = await admin.fetchTopicOffsets(topic);
    return new Map(
      offsets
        .filter(({ low, high }) => BigInt(high) > BigInt(low))
        .map(({ partition, high }) => [partition, BigInt(high)]),
    );
  } finally {
    await admin.disconnect();
  }
}
