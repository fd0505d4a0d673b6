import { expect, onTestFinished } from 'vitest';

import { silentLogger } from '../../src/core/logger.ts';
import { createAdmin, type Admin } from '../../src/kafka/clients/kafkajs.ts';
import type { Producer } from '../../src/producer/producer.ts';
import { reportFaultRow } from './fault-row.ts';
import type { TestKafka } from './kafka.ts';
import { readTopic, startProducer, type ReadRecord } from './producer.ts';
import { FaultyWire, type WireFaults } from './proxy.ts';
import { RecordLoad, type RecordLoadOptions } from './record-load.ts';
import { createTopics } from './topics.ts';

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
  /** What goes wrong between the producer and the brokers. */
  readonly wireFaults?: WireFaults;
  /** The records as they are to be judged; left out, as they stand in the partitions. */
  readonly inOrder?: (records: readonly ReadRecord[]) => readonly ReadRecord[];
  /** The chapter, see {@link RecordLoad.examine}. */
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
 * record once, in that order. However it ends, also by the test's timeout, nothing of it goes on afterwards, and
 * the cluster is whole again.
 */
export async function runTrial(
  kafka: TestKafka,
  options: FaultTrialOptions,
  story: (trial: FaultTrial) => Promise<void>,
): Promise<void> {
  const {
    topic,
    wireFaults,
    inOrder = (records: readonly ReadRecord[]) => records,
    judgedFrom = 0,
  } = options;
  // The last that was opened is closed first.
  const wire = wireFaults === undefined ? undefined : await FaultyWire.open(kafka.ports, wireFaults);
  if (wire !== undefined) onTestFinished(() => wire.close());
  const admin = createAdmin({
    bootstrapServers: kafka.bootstrapServers.split(','),
    clientId: 'fault-trial',
    logger: silentLogger,
    retries: 20,
  });
  onTestFinished(() => admin.disconnect());
  await admin.connect();
  await createTopic(admin, options);
  const producer = startProducer(
    wire?.bootstrapServers ?? kafka.bootstrapServers,
    { ...SETTINGS, ...options.settings },
    silentLogger,
  );
  const load = new RecordLoad(producer, topic, KEYS, options);
  onTestFinished(async () => {
    load.stop();
    await producer.close(0);
    await kafka.revive();
  });

  await story({ topic, producer, load, admin });
  const undelivered = await producer.close(60_000);
  const records = inOrder(await readTopic(kafka.bootstrapServers, topic));
  const { faults, ...counts } = load.examine(records, judgedFrom);
  const { appended, acknowledged, refusals } = load;
  reportFaultRow({ records: appended, acknowledged, refused: refusals, mayBeTwice: 0, ...counts });
  expect(undelivered).toEqual([]);
  expect(faults.slice(0, 20)).toEqual([]);
  expect(acknowledged + refusals).toBe(appended);
}

/** Creates the trial's topic, or creates it anew; resolves when it has leaders. */
export async function createTopic(admin: Admin, options: FaultTrialOptions): Promise<void> {
  const { topic, partitions = 6, replicationFactor = 3, config = {} } = options;
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  await createTopics(admin, [{ topic, numPartitions: partitions, replicationFactor, configEntries }]);
}
