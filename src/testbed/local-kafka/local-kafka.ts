import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pause, type Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { brokerFolder, brokerProperties, ensureFormatted, readClusterId } from './broker-files.ts';
import { writeBrokerFiles, type BrokerFolder, type Properties } from './broker-files.ts';
import { adoptBroker, lastWords, settlePredecessor, startBroker } from './broker-process.ts';
import type { BrokerEnd, BrokerProcess } from './broker-process.ts';
import { findFreePorts, portFault, probeCluster } from './ports.ts';
import { LocalKafkaError, startFailed } from './errors.ts';
import { KAFKA_VERSION, ensureKafkaJars, findJava, type OnProgress } from './jars.ts';

export interface LocalKafkaOptions {
  /** A folder of its own, made if missing; topics in it survive restarts. */
  readonly dataDir: string;
  /** On 127.0.0.1, and nowhere else. */
  readonly port: number;
  readonly logger: Logger;
  readonly clock: Clock;
  /** One short line for each step of the start. */
  readonly onProgress: OnProgress;
  /** Where to look for Java, Maven and the caches. */
  readonly environment?: NodeJS.ProcessEnv;
}

/**
 * Starts the local Kafka, or takes over the one that already runs on the data folder; resolves when it serves.
 * @throws LocalKafkaError
 */
export async function startLocalKafka(options: LocalKafkaOptions): Promise<LocalKafka> {
  const [java, jarFolder] = await Promise.all([
    findJava(options.environment),
    ensureKafkaJars(options.onProgress, options.environment),
  ]);
  const folder = brokerFolder(resolve(options.dataDir));
  await mkdir(folder.path, { recursive: true });
  const kafka = new LocalKafka(options, java, jarFolder, folder);
  await kafka.start();
  return kafka;
}

const START_TIMEOUT_MS = 120_000;
const PROBE_EVERY_MS = 100;
const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 30_000;
/** A Kafka that ran this long has recovered; if it dies now, the backoff begins anew. */
const STABLE_AFTER_MS = 60_000;

/**
 * A real Apache Kafka, one process on this machine, for whoever has none: it ends when this process does, by
 * whatever death, and is started again when it dies while this process runs. It survives kill -9; like every
 * single broker it does not survive the loss of its disk, nor that of power with what was just written.
 * Its public fields are read by others and written by itself alone.
 */
export class LocalKafka {
  readonly bootstrapServers: string;
  /** Where Kafka writes its log. */
  readonly serverLog: string;
  clusterId = '';
  /** A Kafka of a gateway that was killed together with its watcher was found running, and taken over. */
  adopted = false;
  state: 'running' | 'restarting' | 'stopped' = 'stopped';
  /** Why it isn't running, while it is being restarted. */
  lastFault: string | undefined;
  readonly #options: LocalKafkaOptions;
  readonly #java: string;
  readonly #jarFolder: string;
  readonly #folder: BrokerFolder;
  readonly #stopping = new AbortController();
  #broker: BrokerProcess | undefined;
  #backoffMs = FIRST_BACKOFF_MS;
  #restarting: Promise<void> = Promise.resolve();

  constructor(options: LocalKafkaOptions, java: string, jarFolder: string, folder: BrokerFolder) {
    this.#options = options;
    this.#java = java;
    this.#jarFolder = jarFolder;
    this.#folder = folder;
    this.bootstrapServers = `127.0.0.1:${options.port}`;
    this.serverLog = folder.serverLog;
  }

  /** Kafka's own process; undefined while there is none. */
  get pid(): number | undefined {
    return this.#broker?.kafka.pid;
  }

  /** Brings Kafka up, by adoption or anew, and keeps it up from then on. */
  async start(): Promise<void> {
    const broker = (await this.#adopt()) ?? (await this.#startNew());
    const servingSinceMs = this.#options.clock.monotonicMs();
    this.#broker = broker;
    this.state = 'running';
    this.lastFault = undefined;
    void broker.ended.then((end) => {
      this.#broker = undefined;
      if (this.#isStopping()) return;
      const ranMs = this.#options.clock.monotonicMs() - servingSinceMs;
      if (ranMs > STABLE_AFTER_MS) this.#backoffMs = FIRST_BACKOFF_MS;
      const how = describeEnd(end);
      this.lastFault = `the local Kafka ended (${how})`;
      this.state = 'restarting';
      this.#options.logger.warn({ how, log: this.serverLog }, 'local Kafka ended, starting it again');
      this.#restarting = this.#restart();
    });
  }

  /** Has Kafka close its logs and end; resolves when its process is gone. May be called again. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#restarting;
    await this.#broker?.end();
    this.state = 'stopped';
  }

  async #restart(): Promise<void> {
    const { clock, logger } = this.#options;
    for (;;) {
      await pause(clock, this.#backoffMs, this.#stopping.signal);
      if (this.#isStopping()) return;
      this.#backoffMs = Math.min(this.#backoffMs * 2, LONGEST_BACKOFF_MS);
      try {
        await this.start();
        logger.info({ bootstrapServers: this.bootstrapServers }, 'local Kafka is back');
        return;
      } catch (error) {
        if (this.#isStopping()) return;
        this.lastFault = errorMessage(error);
        logger.error({ error: this.lastFault }, 'local Kafka could not be started, trying again');
      }
    }
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** The Kafka that an earlier run left behind alive, if there is one. */
  async #adopt(): Promise<BrokerProcess | undefined> {
    const { port, clock, onProgress, logger } = this.#options;
    const left = await settlePredecessor(this.#folder, port, clock, onProgress, this.#stopping.signal);
    const clusterId = await readClusterId(this.#folder);
    if (left === undefined || clusterId === undefined) return undefined;
    onProgress(`taking over the Kafka of the last run (pid ${left.pid}) ...`);
    const broker = await adoptBroker(this.#folder, port, left);
    try {
      await this.#untilServing(broker, clusterId);
    } catch (error) {
      if (this.#isStopping()) throw error;
      logger.warn({ pid: left.pid, error: errorMessage(error) }, 'local Kafka of the last run is of no use');
      await broker.end();
      return undefined;
    }
    this.adopted = true;
    return broker;
  }

  async #startNew(): Promise<BrokerProcess> {
    const { port, onProgress } = this.#options;
    await this.#requirePort();
    const [controllerPort = 0] = await findFreePorts(1);
    const node = { id: 1, port, controllerPort };
    const properties = { ...brokerProperties(this.#folder, node, [node]), ...RETENTION };
    await writeBrokerFiles(this.#folder, properties);
    onProgress(`starting Kafka ${KAFKA_VERSION} on ${this.bootstrapServers} ...`);
    const clusterId = await ensureFormatted(this.#java, this.#jarFolder, this.#folder, properties);
    const broker = await startBroker(this.#java, this.#jarFolder, this.#folder, port);
    try {
      await this.#untilServing(broker, clusterId);
    } catch (error) {
      await broker.end();
      throw error;
    }
    this.adopted = false;
    return broker;
  }

  /** Resolves when the broker serves, and is our cluster and not one that was faster on the port. */
  async #untilServing(broker: BrokerProcess, clusterId: string): Promise<void> {
    const { port, clock } = this.#options;
    const deadline = clock.monotonicMs() + START_TIMEOUT_MS;
    let end: BrokerEnd | undefined;
    void broker.ended.then((how) => (end = how));
    for (;;) {
      const view = await probeCluster(port);
      if (view?.clusterId === clusterId && view.brokers.length > 0) break;
      if (this.#isStopping()) {
        throw new LocalKafkaError('KAFKA_STOPPED', 'The local Kafka was stopped', 'Start it again');
      }
      if (end !== undefined || clock.monotonicMs() > deadline) {
        const what = end === undefined ? 'does not answer' : `ended (${describeEnd(end)})`;
        throw startFailed(what, `${this.serverLog}, and ends so:\n${lastWords(this.#folder)}`);
      }
      await pause(clock, PROBE_EVERY_MS, this.#stopping.signal);
    }
    this.clusterId = clusterId;
  }

  /** Refuses a port that somebody else has, before Kafka fails on it less clearly. */
  async #requirePort(): Promise<void> {
    const { port } = this.#options;
    const fault = await portFault(port);
    if (fault === undefined) return;
    const address = `127.0.0.1:${port}`;
    const other = 'give the local Kafka another port (kafka.local.port)';
    const refused = (problem: string, remedy: string): LocalKafkaError =>
      new LocalKafkaError('KAFKA_PORT_IN_USE', `The local Kafka ${problem}`, remedy);
    if (fault !== 'EADDRINUSE') throw refused(`can't listen on ${address} (${fault})`, `Please ${other}`);
    const view = await probeCluster(port);
    if (view === undefined) {
      throw refused(
        `needs ${address}, which another program has`,
        `Stop that program, ${other}, or use a Kafka that you have (kafka.bootstrap.servers)`,
      );
    }
    throw refused(
      `needs ${address}, where another Kafka listens already (cluster ${String(view.clusterId)})`,
      `To use that one, set kafka.bootstrap.servers: ${address}; otherwise stop it, or ${other}`,
    );
  }
}

/**
 * Kafka's own default is a week and no limit of size. A gateway's disk has a limit: 1 GiB a partition, in
 * segments small enough that most of it is really given back.
 */
const RETENTION: Properties = {
  'log.retention.hours': 168,
  'log.retention.bytes': 1024 * 1024 * 1024,
  'log.segment.bytes': 128 * 1024 * 1024,
};

function describeEnd(end: BrokerEnd): string {
  if (end.watcherLost) return 'its watcher was killed';
  if (end.signal !== null) return end.signal;
  return end.status === null ? 'adopted, so how is not known' : `exit status ${end.status}`;
}
