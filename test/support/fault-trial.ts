import { expect } from 'vitest';

import { silentLogger } from '../../src/core/logger.ts';
import { createAdmin, type Admin } from '../../src/kafka/kafkajs.ts';
import type { Producer } from '../../src/producer/producer.ts';
import type { TestKafka } from './kafka.ts';
import { readTopic, startProducer, type ReadRecord } from './producer.ts';
import type { FaultyWire } from './proxy.ts';
import { RecordLoad, type RecordLoadOptions } from './record-load.ts';

/** A producer under load on a topic of its own, while something goes wrong. */
export interface FaultTrial {
  readonly topic: string;
  readonly producer: Producer;
  readonly load: RecordLoad;
  readonly admin: Admin;
}

export interface FaultTrialOptions extends RecordLoadOptions {
  readonly topic: string;
  readonly partitions?: number;
  readonly replicationFactor?: number;
  /** The topic's configuration. */
  readonly config?: Readonly<Record<string, string>>;
  /** The producer's settings, on top of those that all trials have. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** What is between the producer and the brokers. */
  readonly wire?: FaultyWire;
  /** The records as they are to be judged; left out, as they stand in the partitions. */
  readonly inOrder?: (records: readonly ReadRecord[]) => readonly ReadRecord[];
  /** See {@link RecordLoad.judge}. */
  readonly judgedFrom?: number;
}

const SETTINGS = {
  'linger.ms': 5,
  'compression.type': 'lz4',
  'delivery.timeout.ms': Infinity,
  'request.timeout.ms': 3_000,
  'reconnect.backoff.max.ms': 200,
};
const KEYS = 50;

/**
 * Runs load and fault, and judges: every callback came once and in the order of its key, and Kafka holds each
 * record once, in that order.
 */
export async function runTrial(
  kafka: TestKafka,
  options: FaultTrialOptions,
  story: (trial: FaultTrial) => Promise<void>,
): Promise<void> {
  const { topic, wire, inOrder = (records: readonly ReadRecord[]) => records, judgedFrom = 0 } = options;
  const admin = createAdmin({
    bootstrapServers: kafka.bootstrapServers.split(','),
    clientId: 'fault-trial',
    logger: silentLogger,
    retries: 20,
  });
  await admin.connect();
  try {
    await createTopic(admin, options);
    const producer = startProducer(
      wire?.bootstrapServers ?? kafka.bootstrapServers,
      { ...SETTINGS, ...options.settings },
      silentLogger,
      wire?.portFor,
    );
    const load = new RecordLoad(producer, topic, KEYS, options);
    await story({ topic, producer, load, admin });
    expect(await producer.close(60_000)).toEqual([]);
    expect(load.judge(inOrder(await readTopic(kafka.bootstrapServers, topic)), judgedFrom)).toEqual([]);
    expect(load.acknowledged + load.refusals).toBe(load.appended);
  } finally {
    await admin.disconnect();
  }
}

/** Creates the trial's topic, or creates it anew. */
export async function createTopic(admin: Admin, options: FaultTrialOptions): Promise<void> {
  const { topic, partitions = 6, replicationFactor = 3, config = {} } = options;
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  await admin.createTopics({
    topics: [{ topic, numPartitions: partitions, replicationFactor, configEntries }],
  });
}
