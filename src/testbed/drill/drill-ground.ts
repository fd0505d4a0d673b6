import { join } from 'node:path';
import type { LoadedConfig } from '../../config/load.ts';
import { pause } from '../../core/clock.ts';
import type { Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { connectAdmin, withAdmin } from '../../kafka/clients/admin-client.ts';
import { openConsumer } from '../../kafka/clients/consumer-client.ts';
import type { AdminPort, ConsumedRecord, KafkaClientOptions } from '../../kafka/clients/ports.ts';
import { ensureTopics } from '../../kafka/clients/topics.ts';
import { BrokerSecurityError } from '../../kafka/security/failure.ts';
import type { ClientSecurity } from '../../kafka/security/security.ts';
import { startLocalKafka } from '../local-kafka/local-kafka.ts';
import type { LocalKafka } from '../local-kafka/local-kafka.ts';
import { findFreePorts, probeCluster } from '../local-kafka/ports.ts';
import { DrillError } from './drill.ts';
import type { Address } from './kafka-wire.ts';

export interface DrillGroundOptions {
  readonly loaded: LoadedConfig;
  readonly security: ClientSecurity;
  /** For a Kafka of the drill's own, where none is configured and none runs. */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onProgress: (line: string) => void;
}

/** Beside what the operator sets for topics: a scratch topic that nobody deletes empties itself. */
const SCRATCH_CONFIG = { 'cleanup.policy': 'delete', 'retention.ms': String(24 * 3_600_000) };

const TOPIC_TIMEOUT_MS = 15_000;
const LOOK_EVERY_MS = 200;

/** The cluster on which drills are held: the configured one, the local one, or one that is started for them. */
export interface DrillGround {
  readonly client: KafkaClientOptions;
  readonly security: ClientSecurity;
  /** Every broker, and every address that was given. */
  readonly brokers: readonly Address[];
  readonly description: string;
  readonly clusterId: string;
  /** It was started for this drill, and keeps its data in the drill's folder. */
  readonly isOwn: boolean;
  readonly admin: AdminPort;
  close(): Promise<void>;
}

/** @throws {DrillError} `DRILL_KAFKA`, or what keeps a local Kafka from starting */
export async function openGround(options: DrillGroundOptions): Promise<DrillGround> {
  const { loaded, security, logger } = options;
  const { bootstrapServers, local } = loaded.config.kafka;
  const running = bootstrapServers ?? (await localServers(local.port));
  const localKafka = running === undefined ? await startOwnKafka(options) : undefined;
  const servers = running ?? [localKafka?.bootstrapServers ?? ''];
  const client = { bootstrapServers: servers, clientId: 'sluice-drill', logger, security };
  let admin: AdminPort | undefined;
  const close = async (): Promise<void> => {
    await admin?.close();
    await localKafka?.stop();
  };
  try {
    admin = await connectAdmin(client);
    const { brokers, clusterId } = await admin.describeCluster();
    const description = `${servers.join(', ')}${localKafka === undefined ? '' : ' (started for this drill)'}`;
    const all = [...servers.map(addressOf), ...brokers.map(({ host, port }) => ({ host, port }))];
    const isOwn = localKafka !== undefined;
    return { client, security, brokers: all, description, clusterId, isOwn, admin, close };
  } catch (error) {
    await close();
    if (error instanceof BrokerSecurityError) throw error;
    const reason = `no Kafka answers at ${servers.join(', ')}: ${errorMessage(error)}`;
    throw new DrillError('DRILL_KAFKA', reason, { cause: error });
  }
}

/**
 * Creates topics with the operator's partitions and replication.
 * @throws {DrillError} `DRILL_TOPIC`
 */
export async function createScratchTopics(
  admin: AdminPort,
  topics: readonly string[],
  { loaded, clock, signal }: Pick<DrillGroundOptions, 'loaded' | 'clock'> & { readonly signal: AbortSignal },
): Promise<void> {
  const { partitions, replicationFactor, config } = loaded.config.kafka.topics;
  const settings = { partitions, replicationFactor, config: { ...config, ...SCRATCH_CONFIG } };
  const specs = topics.map((topic) => ({ topic, ...settings }));
  const deadlineMs = clock.monotonicMs() + TOPIC_TIMEOUT_MS;
  for (;;) {
    const statuses = await ensureTopics(admin, specs, true);
    const trouble = statuses.find((status) => 'reason' in status);
    if (trouble === undefined) return;
    const { topic, code, reason } = trouble;
    // A broker may not have heard yet of what another one has made.
    if (code !== 'UNKNOWN_TOPIC_OR_PARTITION' || clock.monotonicMs() > deadlineMs) {
      throw new DrillError('DRILL_TOPIC', `the scratch topic ${topic} can't be made: ${reason}`);
    }
    await pause(clock, LOOK_EVERY_MS, signal);
    signal.throwIfAborted();
  }
}

/** The Kafka of a gateway that runs on this machine with the same configuration; undefined: there is none. */
async function localServers(port: number): Promise<readonly string[] | undefined> {
  const view = await probeCluster(port);
  return view === undefined ? undefined : [`127.0.0.1:${port}`];
}

/** On a free port and in the drill's folder: the operator's local Kafka and its data stay as they are. */
async function startOwnKafka({ folder, clock, logger, onProgress }: DrillGroundOptions): Promise<LocalKafka> {
  const [port = 0] = await findFreePorts(1);
  return startLocalKafka({ dataDir: join(folder, 'kafka'), port, clock, logger, onProgress });
}

function addressOf(server: string): Address {
  const colon = server.lastIndexOf(':');
  return { host: server.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(server.slice(colon + 1)) };
}

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
