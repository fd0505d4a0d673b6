import { withAdmin } from '../../kafka/clients/admin-client.ts';
import { openConsumer } from '../../kafka/clients/consumer-client.ts';
import type { ConsumedRecord, KafkaClientOptions } from '../../kafka/clients/ports.ts';

export interface TopicContentsOptions {
  readonly client: KafkaClientOptions;
  /** A group of the reader's own; it commits nothing, so that nothing is left of it. */
  readonly groupId: string;
  readonly topic: string;
  /** Every record, in the order of offsets within its partition. */
  readonly onRecord: (partition: number, record: ConsumedRecord) => void;
  /** Aborted: the reading ends at once, with its reason as the error. */
  readonly signal: AbortSignal;
}

const SESSION_MS = 30_000;
const FETCH_WAIT_MS = 250;

/**
 * Reads everything that a topic holds at the moment of the call, by the consumer port: who judges our producer and our
 * reader (topic-reader.ts) must share no code with them.
 * @throws KafkaClientError, BrokerSecurityError the cluster can't be read
 */
export async function readTopicContents(options: TopicContentsOptions): Promise<void> {
  const { client, groupId, topic, onRecord, signal } = options;
  const bounds = await withAdmin(client, (admin) => admin.logBounds(topic));
  /** The end of each partition that was not reached yet. */
  const left = new Map(
    bounds.filter(({ begin, end }) => end > begin).map(({ partition, end }) => [partition, BigInt(end)]),
  );
  if (left.size === 0) return;
  const positions = new Map<number, bigint>();
  const consumer = openConsumer({
    ...client,
    groupId,
    topics: [topic],
    fromBeginning: true,
    sessionMs: SESSION_MS,
    fetchWaitMs: FETCH_WAIT_MS,
    rejoins: () => !signal.aborted,
  });
  const stop = (): void => void consumer.close();
  signal.addEventListener('abort', stop);
  try {
    signal.throwIfAborted();
    await consumer.run({
      joined: () => {},
      records: ({ partition, records, nextOffset }) => {
        const position = positions.get(partition) ?? 0n;
        // After a rebalance the group begins at the beginning again.
        for (const record of records) if (record.offset >= position) onRecord(partition, record);
        if (nextOffset > position) positions.set(partition, nextOffset);
        if (nextOffset >= (left.get(partition) ?? 0n)) left.delete(partition);
        if (left.size === 0) stop();
        return records.length;
      },
    });
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener('abort', stop);
    await consumer.close();
  }
}
