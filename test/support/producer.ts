import { systemClock } from '../../src/core/clock.ts';
import { silentLogger, type Logger } from '../../src/core/logger.ts';
import { ClusterPort } from '../../src/kafka/connection/cluster-port.ts';
import { createAdmin, createConsumer } from '../../src/kafka/clients/kafkajs.ts';
import { PLAINTEXT, type ClientSecurity } from '../../src/kafka/security/security.ts';
import { parseProducerConfig } from '../../src/producer/config/config.ts';
import { Producer } from '../../src/producer/producer.ts';
import { until } from './until.ts';

/** A producer on a real cluster, configured under Kafka's own names. */
export function startProducer(
  bootstrapServers: string,
  settings: Readonly<Record<string, unknown>> = {},
  logger: Logger = silentLogger,
): Producer {
  const { config, faults } = parseProducerConfig({ 'bootstrap.servers': bootstrapServers, ...settings });
  if (faults.length > 0) throw new Error(JSON.stringify(faults));
  const port = new ClusterPort({ config, clock: systemClock, logger });
  return new Producer({ config, port, clock: systemClock, logger });
}

export interface ReadRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly timestampMs: number;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** Reads a whole topic with kafkajs, up to the end offsets of now. */
export async function readTopic(
  bootstrapServers: string,
  topic: string,
  security: ClientSecurity = PLAINTEXT,
): Promise<ReadRecord[]> {
  const client = {
    bootstrapServers: bootstrapServers.split(','),
    clientId: 'judge',
    logger: silentLogger,
    security,
  };
  const admin = createAdmin(client);
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(topic).finally(() => admin.disconnect());
  const rest = new Map(
    ends.filter(({ high, low }) => high !== low).map((end) => [end.partition, Number(end.high)]),
  );
  const records: ReadRecord[] = [];
  if (rest.size === 0) return records;

  const consumer = createConsumer(client, { groupId: `judge-${crypto.randomUUID()}`, maxWaitTimeInMs: 250 });
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      eachBatch: ({ batch }) => {
        for (const { offset, key, value, timestamp, headers } of batch.messages) {
          records.push({
            partition: batch.partition,
            offset: Number(offset),
            key: key?.toString() ?? null,
            value: value?.toString() ?? null,
            timestampMs: Number(timestamp),
            headers: headers ?? {},
          });
          if (Number(offset) + 1 >= (rest.get(batch.partition) ?? 0)) rest.delete(batch.partition);
        }
        return Promise.resolve();
      },
    });
    await until(() => rest.size === 0, { timeoutMs: 60_000, what: `all of topic ${topic}` });
  } finally {
    await consumer.disconnect();
  }
  return records;
}
