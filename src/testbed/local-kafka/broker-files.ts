import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LocalKafkaError } from './errors.ts';
import { classpath, runProgram } from './jars.ts';

/** A broker and controller in one process (KRaft combined mode), on loopback alone. */
export interface BrokerNode {
  readonly id: number;
  readonly port: number;
  readonly controllerPort: number;
}

/** Where a node keeps what: one folder a node, which nothing else uses. */
export type BrokerFolder = Readonly<ReturnType<typeof brokerFolder>>;

export function brokerFolder(path: string) {
  const logs = join(path, 'logs');
  return {
    path,
    /** Kafka's log.dirs: the partitions themselves. */
    data: join(path, 'data'),
    /** What Kafka has to say. */
    logs,
    serverLog: join(logs, 'server.log'),
    /** stdout and stderr of the JVM: what it says before and beyond the log. */
    consoleLog: join(logs, 'console.log'),
    properties: join(path, 'server.properties'),
    log4j: join(path, 'log4j2.properties'),
    /** Which processes belong to the folder; see watcher.ts. */
    processes: join(path, 'processes.json'),
  };
}

export type Properties = Readonly<Record<string, string | number | boolean>>;

/** What a small broker for one machine needs to be told, whatever it is for. */
export function brokerProperties(
  folder: BrokerFolder,
  node: BrokerNode,
  cluster: readonly BrokerNode[],
): Properties {
  const replicas = Math.min(3, cluster.length);
  return {
    'process.roles': 'broker,controller',
    'node.id': node.id,
    'controller.quorum.voters': cluster.map((n) => `${n.id}@127.0.0.1:${n.controllerPort}`).join(','),
    listeners: `PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${node.controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${node.port}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'log.dirs': folder.data,
    // A topic with a typing error in its name should be an error, not a new topic with one partition.
    'auto.create.topics.enable': false,
    'default.replication.factor': replicas,
    'min.insync.replicas': Math.max(1, replicas - 1),
    // 50 partitions for consumer groups' offsets, and as many for transactions, are for clusters: here they
    // cost a second at every start.
    'offsets.topic.num.partitions': 1,
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.num.partitions': 1,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': Math.max(1, replicas - 1),
    'share.coordinator.state.topic.num.partitions': 1,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': Math.max(1, replicas - 1),
    'group.initial.rebalance.delay.ms': 0,
    // A broker that was killed is not let in again before its old session is over: 9 s by default.
    'broker.session.timeout.ms': 3000,
    'broker.heartbeat.interval.ms': 500,
    'num.network.threads': 2,
    'num.io.threads': 4,
    'background.threads': 2,
    // The cleaner takes this from the heap at once: 128 MB by default.
    'log.cleaner.dedupe.buffer.size': 16 * 1024 * 1024,
  };
}

/**
 * Writes server.properties and the logging configuration, new at every start, so that a new version of
 * Sluice or another port takes effect; what must last is in the data folder.
 */
export async function writeBrokerFiles(folder: BrokerFolder, properties: Properties): Promise<void> {
  await mkdir(folder.logs, { recursive: true });
  await writeFile(
    folder.properties,
    `# Written at every start; changes here are lost.\n${propertiesText(properties)}`,
  );
  await writeFile(folder.log4j, log4jConfiguration(folder));
}

/**
 * Formats the node's storage unless it is, and returns its cluster id. Formatting takes place beside the
 * data folder, which then appears by one rename: it is formatted or it isn't there, whenever power fails.
 * @throws LocalKafkaError KAFKA_FORMAT_FAILED, KAFKA_DATA_FOLDER_DAMAGED
 */
export async function ensureFormatted(
  java: string,
  jarFolder: string,
  folder: BrokerFolder,
  properties: Properties,
  clusterId: string = randomClusterId(),
): Promise<string> {
  const existing = await readClusterId(folder);
  if (existing !== undefined) return existing;
  await removeEmptyRemains(folder);
  const fresh = await mkdtemp(join(folder.path, 'format-'));
  try {
    const freshData = join(fresh, 'data');
    const freshProperties = join(fresh, 'server.properties');
    await writeFile(freshProperties, propertiesText({ ...properties, 'log.dirs': freshData }));
    const tool = [...SHORT_LIVED_JVM, '-cp', classpath(jarFolder), 'kafka.tools.StorageTool'];
    const run = await runProgram(java, [...tool, 'format', '-t', clusterId, '-c', freshProperties]);
    if (run.status !== 0) {
      throw new LocalKafkaError(
        'KAFKA_FORMAT_FAILED',
        `Kafka could not prepare its data folder ${folder.path}: ${(run.stderr + run.stdout).trim().slice(-600)}`,
        'Check that the disk has room and that the folder can be written to',
      );
    }
    await rename(freshData, folder.data);
  } catch (error) {
    // Another process was faster: its format is as good as ours.
    const other = await readClusterId(folder);
    if (other === undefined) throw error;
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  const formatted = await readClusterId(folder);
  if (formatted === undefined) throw damaged(folder);
  return formatted;
}

/** For Java programs that live a second: no optimising compiler, no parallel collector. */
export const SHORT_LIVED_JVM = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xmx256m'];

/** A Kafka Uuid: 16 random bytes in URL-safe base 64, which must not look like an option. */
export function randomClusterId(): string {
  for (;;) {
    const id = randomBytes(16).toString('base64url');
    if (!id.startsWith('-')) return id;
  }
}

/** The cluster id in meta.properties; undefined if the folder isn't formatted. */
export async function readClusterId(folder: BrokerFolder): Promise<string | undefined> {
  try {
    const text = await readFile(join(folder.data, 'meta.properties'), 'utf8');
    return /^cluster\.id=(\S+)$/m.exec(text)?.[1];
  } catch {
    return undefined;
  }
}

/** Clears a data folder without meta.properties, if it holds no partition; refuses to touch one that does. */
async function removeEmptyRemains(folder: BrokerFolder): Promise<void> {
  for (const name of await readdir(folder.path)) {
    if (name.startsWith('format-')) await rm(join(folder.path, name), { recursive: true, force: true });
  }
  const names = await readdir(folder.data).catch(() => []);
  if (names.some((name) => /-\d+$/.test(name) && !name.startsWith('__'))) throw damaged(folder);
  await rm(folder.data, { recursive: true, force: true });
}

function damaged(folder: BrokerFolder): LocalKafkaError {
  return new LocalKafkaError(
    'KAFKA_DATA_FOLDER_DAMAGED',
    `${folder.data} holds topics but no readable meta.properties, so Kafka can't use it`,
    `Restore that file, or move the folder away to start with an empty Kafka`,
  );
}

function log4jConfiguration(folder: BrokerFolder): string {
  return `status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${folder.serverLog}
appender.file.filePattern = ${folder.serverLog}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d] %p %m (%c)%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 5MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
# All settings, 350 lines and several times a start, would bury what matters.
logger.config.name = org.apache.kafka.common.config.AbstractConfig
logger.config.level = warn
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
`;
}

/** Java's .properties format, in which a backslash is an escape. */
function propertiesText(properties: Properties): string {
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${String(value).replaceAll('\\', '\\\\')}\n`)
    .join('');
}
