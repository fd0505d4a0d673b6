import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  brokerFolder,
  brokerProperties,
  ensureFormatted,
  randomClusterId,
  type BrokerFolder,
  type BrokerNode,
  type Properties,
  writeBrokerFiles,
} from '../../src/testbed/local-kafka/broker-files.ts';
import { lastWords, startBroker, type BrokerProcess } from '../../src/testbed/local-kafka/broker-process.ts';
import { findFreePorts, probeCluster } from '../../src/testbed/local-kafka/ports.ts';
import { ensureKafkaJars, findJava } from '../../src/testbed/local-kafka/jars.ts';
import { signal } from '../../src/testbed/local-kafka/process-identity.ts';
import { brokerJars } from './kafka-release.ts';
import { KafkaTools } from './kafka-tools.ts';
import { until } from './until.ts';

/**
 * A real Apache Kafka of one or three nodes for a test, of the release in TEST_KAFKA: own ports, own folder, gone at `stop()`, and also when
 * the test process is killed. Nodes are numbered from 1; where a node may be named, 1 is the default.
 */
export interface TestKafka {
  readonly bootstrapServers: string;
  readonly clusterId: string;
  /** The first node's port. */
  readonly port: number;
  readonly ports: readonly number[];
  /** Kafka's own command line tools. */
  readonly tools: KafkaTools;
  /** Kafka's log.dirs, with a folder a partition. */
  dataDir(node?: number): string;
  /** The broker's own log file. */
  serverLog(node?: number): string;
  /** The broker's pid, as it is now. */
  pid(node?: number): number;
  /** Kills with SIGKILL; resolves when the process is gone. */
  kill9(node?: number): Promise<void>;
  /** Stops one node cleanly; resolves when the process is gone. */
  shutdown(node?: number): Promise<void>;
  /** Starts a node again on its port and data, after a clean stop if it still runs; resolves when it serves. */
  restart(node?: number): Promise<void>;
  /** SIGSTOP: connections stay open, and from the return of this call on nothing is answered. */
  pause(node?: number): void;
  /** SIGCONT. */
  continue(node?: number): void;
  /** Continues nodes that are paused and starts those that don't run; resolves when all serve. */
  revive(): Promise<void>;
  /** Stops all nodes and removes their data. */
  stop(): Promise<void>;
}

export interface TestKafkaOptions {
  /** Three replicate with min.insync.replicas=2. */
  readonly nodes?: 1 | 3;
  /** Broker settings on top of those of the local Kafka; `undefined` leaves one out. */
  readonly properties?: PropertyOverrides | ((node: BrokerNode) => PropertyOverrides);
}

type PropertyOverrides = Readonly<Record<string, string | number | boolean | undefined>>;

export async function startKafka(options: TestKafkaOptions = {}): Promise<TestKafka> {
  const java = await findJava();
  const jars = { broker: await brokerJars(), tools: await ensureKafkaJars(() => {}) };
  // Between finding a free port and binding it, another process may be faster.
  for (let attempt = 1; ; attempt++) {
    const cluster = await TestCluster.create(java, jars, options);
    try {
      await cluster.startAll();
      return cluster;
    } catch (error) {
      await cluster.stop();
      if (attempt === 4 || !String(error).includes('Address already in use')) throw error;
    }
  }
}

/** The tools are always those of the newest release: they understand all brokers. */
interface JarFolders {
  readonly broker: string;
  readonly tools: string;
}

interface TestNode {
  readonly node: BrokerNode;
  readonly folder: BrokerFolder;
  readonly properties: Properties;
  process: BrokerProcess | undefined;
}

class TestCluster implements TestKafka {
  readonly bootstrapServers: string;
  readonly clusterId: string;
  readonly tools: KafkaTools;
  readonly #java: string;
  readonly #jarFolder: string;
  readonly #root: string;
  readonly #nodes: readonly TestNode[];

  static async create(java: string, jars: JarFolders, options: TestKafkaOptions): Promise<TestCluster> {
    const count = options.nodes ?? 1;
    const root = await mkdtemp(join(tmpdir(), 'sluice-kafka-'));
    const ports = await findFreePorts(2 * count);
    const nodes = Array.from({ length: count }, (_, index) => ({
      id: index + 1,
      port: ports[2 * index]!,
      controllerPort: ports[2 * index + 1]!,
    }));
    return new TestCluster(java, jars, root, nodes, options.properties ?? {});
  }

  private constructor(
    java: string,
    jars: JarFolders,
    root: string,
    nodes: readonly BrokerNode[],
    overrides: NonNullable<TestKafkaOptions['properties']>,
  ) {
    this.#java = java;
    this.#jarFolder = jars.broker;
    this.#root = root;
    this.#nodes = nodes.map((node) => {
      const folder = brokerFolder(join(root, `node-${node.id}`));
      const properties = Object.fromEntries(
        Object.entries({
          ...brokerProperties(folder, node, nodes),
          ...(typeof overrides === 'function' ? overrides(node) : overrides),
        }).filter((entry): entry is [string, string | number | boolean] => entry[1] !== undefined),
      );
      return { node, folder, properties, process: undefined };
    });
    this.bootstrapServers = nodes.map((node) => `127.0.0.1:${node.port}`).join(',');
    this.clusterId = randomClusterId();
    this.tools = new KafkaTools(
      java,
      jars.tools,
      this.bootstrapServers,
      this.#nodes.map((node) => node.folder.data),
    );
  }

  async startAll(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => this.#start(node)));
    await Promise.all(this.#nodes.map((node) => this.#serving(node, this.#nodes.length)));
  }

  get port(): number {
    return this.#node(1).node.port;
  }

  get ports(): readonly number[] {
    return this.#nodes.map(({ node }) => node.port);
  }

  dataDir(node = 1): string {
    return this.#node(node).folder.data;
  }

  serverLog(node = 1): string {
    return this.#node(node).folder.serverLog;
  }

  pid(node = 1): number {
    return this.#running(node).kafka.pid;
  }

  async kill9(node = 1): Promise<void> {
    const broker = this.#running(node);
    signal(broker.kafka, 'SIGKILL');
    await broker.ended;
    this.#node(node).process = undefined;
  }

  async shutdown(node = 1): Promise<void> {
    const target = this.#node(node);
    const broker = target.process;
    target.process = undefined;
    if (broker === undefined) return;
    signal(broker.kafka, 'SIGCONT');
    await broker.end();
  }

  async restart(node = 1): Promise<void> {
    await this.shutdown(node);
    const target = this.#node(node);
    await this.#start(target);
    await this.#serving(target, 1);
  }

  pause(node = 1): void {
    const { kafka } = this.#running(node);
    signal(kafka, 'SIGSTOP');
    // The signal is sent, but a thread of the process has to get to it, and until then the others go on.
    const deadlineMs = performance.now() + 10_000;
    while (!isStopped(kafka.pid)) {
      if (performance.now() > deadlineMs) throw new Error(`Kafka node ${node} does not stop`);
    }
  }

  continue(node = 1): void {
    signal(this.#running(node).kafka, 'SIGCONT');
  }

  async revive(): Promise<void> {
    for (const target of this.#nodes) {
      if (target.process === undefined) await this.restart(target.node.id);
      else this.continue(target.node.id);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map(({ node }) => this.shutdown(node.id)));
    await rm(this.#root, { recursive: true, force: true });
  }

  #node(id: number): TestNode {
    const node = this.#nodes[id - 1];
    if (node === undefined) throw new RangeError(`no node ${id}`);
    return node;
  }

  #running(id: number): BrokerProcess {
    const { process } = this.#node(id);
    if (process === undefined) throw new Error(`node ${id} is not running`);
    return process;
  }

  async #start(target: TestNode): Promise<void> {
    await writeBrokerFiles(target.folder, target.properties);
    await ensureFormatted(this.#java, this.#jarFolder, target.folder, target.properties, this.clusterId);
    target.process = await startBroker(this.#java, this.#jarFolder, target.folder, target.node.port);
  }

  /** Waits until the node names itself among at least `count` brokers that serve. */
  async #serving(target: TestNode, count: number): Promise<void> {
    let dead = false;
    void target.process?.ended.then(() => (dead = true));
    await until(
      async () => {
        if (dead) throw new Error(`Kafka node ${target.node.id} died:\n${lastWords(target.folder)}`);
        const view = await probeCluster(target.node.port);
        const brokers = view?.clusterId === this.clusterId ? view.brokers : [];
        return brokers.length >= count && brokers.some(({ id }) => id === target.node.id);
      },
      { timeoutMs: 90_000, what: `Kafka node ${target.node.id} to serve` },
    );
  }
}

/** Whether a signal has stopped the process: ps(1), state T. */
function isStopped(pid: number): boolean {
  return execFileSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' }).startsWith('T');
}

/** A broker's log, for a test that looks for a line in it. */
export async function readServerLog(kafka: TestKafka, node = 1): Promise<string> {
  return readFile(kafka.serverLog(node), 'utf8');
}
