import { join, resolve } from 'node:path';
import { drawBlueprint } from '../../src/assembly/blueprint.ts';
import { BridgeProcess } from './bridge-process.ts';
import { startMosquittoTelegraf } from './mosquitto-telegraf.ts';
import type { Setting } from './setting.ts';
import { build, Unavailable } from './toolchain.ts';
import type { Recipe } from './toolchain.ts';
import type { Workload } from './workloads.ts';

/** A bridge that takes part in a benchmark. */
export interface Contestant {
  readonly name: string;
  /** When a device has its PUBACK. */
  readonly acknowledges: 'after Kafka' | 'on disk' | 'on receipt';
  /** What it writes to Kafka; `nothing`: it is a floor, not a bridge. */
  readonly value: 'normalised' | 'raw' | 'nothing';
  /** How it is made, for the page. */
  readonly about: string;
  /** The contract of Sluice's device profile. */
  readonly contract: string;
  /** Producer settings of Sluice that differ from the shipped ones. */
  readonly producer?: Readonly<Record<string, string>>;
  /** Whether it has something to say about this workload; left out, about all. */
  concerns?(workload: Workload): boolean;
  /** Why it can't take part in this workload. */
  unfit?(workload: Workload): string | undefined;
  /** Builds it, if need be. @throws {Unavailable} */
  prepare(): Promise<void>;
  /** @throws {Unavailable} */
  start(target: Target): Promise<RunningBridge>;
}

/** Where a bridge's records go: a topic that exists. */
export interface Target {
  readonly workload: Workload;
  readonly bootstrapServers: string;
  readonly topic: string;
  readonly setting: Setting;
}

export interface RunningBridge {
  readonly pids: readonly number[];
  readonly port: number;
  /** Where it tells its figures in Prometheus' format. */
  readonly metricsUrl?: string;
  /** Ends it in an orderly way; what it was still holding is in Kafka afterwards. */
  stop(): Promise<void>;
}

/** What tells contestants apart: the same bridge may take part in several forms. */
export function titleOf({ name, value, acknowledges }: Contestant): string {
  return `${name}, ${value}, PUBACK ${acknowledges}`;
}

const root = resolve(import.meta.dirname, '../..');
const peers = join(root, 'bench/peers');
const LISTENING = /listening on (\d+)/;

const GO: Recipe = {
  folder: 'go-bridge',
  tool: ['go', 'version'],
  command: (_source, out) => ['go', 'build', '-buildvcs=false', '-o', join(out, 'bridge'), '.'],
};

const JAVA: Recipe = {
  folder: 'java-bridge',
  tool: ['mvn', '-v'],
  command: (source, out) => [
    'mvn',
    '-q',
    '-B',
    '-f',
    join(source, 'pom.xml'),
    `-Dout=${out}`,
    'package',
    'dependency:copy-dependencies',
    '-DincludeScope=runtime',
    `-DoutputDirectory=${join(out, 'lib')}`,
  ],
};

const MOSQUITTO_TELEGRAF: Recipe = {
  folder: 'mosquitto-telegraf',
  tool: ['go', 'version'],
  command: (source, out) => ['sh', join(source, 'build.sh'), out],
};

const EPOLL: Recipe = {
  folder: 'floor',
  tool: ['cc', '--version'],
  command: (source, out) => ['cc', '-O2', '-o', join(out, 'epoll'), join(source, 'epoll.c')],
};

/** In the order of the table; the first one's processor time is the measure of the others. */
export const CONTESTANTS: readonly Contestant[] = [
  sluice('raw', 'kafka'),
  sluice('normalised', 'kafka'),
  sluice('raw', 'journal'),
  sluice('normalised', 'journal'),
  {
    ...sluice('raw', 'kafka'),
    name: 'sluice in zstd',
    about: 'the same with compression.type zstd',
    producer: { 'compression.type': 'zstd' },
    concerns: ({ link }) => link !== undefined,
  },
  go('raw'),
  go('normalised'),
  java(),
  aedesKafkajs('batch', 'after Kafka'),
  aedesKafkajs('each', 'after Kafka'),
  aedesKafkajs('batch', 'on receipt'),
  mosquittoTelegraf(),
  floor('node, sockets alone', 'peers/floor/node-server.ts: reads, and answers 4 bytes', () =>
    Promise.resolve([process.execPath, join(peers, 'floor/node-server.ts')]),
  ),
  {
    ...floor(
      'node, answers after linger.ms',
      'the same, but the answers of linger.ms leave together: what waiting alone costs',
      () => Promise.resolve([process.execPath, join(peers, 'floor/node-server.ts')]),
      { PEER_LATE: 'yes' },
    ),
    // Under saturation devices would wait for it, and nothing would be saturated.
    concerns: ({ rate, lingerMs }) => rate > 0 && lingerMs > 0,
  },
  floor('C with epoll', 'peers/floor/epoll.c: reads, and answers 4 bytes', async () => [
    join(await build(EPOLL), 'epoll'),
  ]),
];

/** `sluice run` as it is shipped. */
function sluice(value: 'normalised' | 'raw', contract: 'kafka' | 'journal'): Contestant {
  return {
    name: 'sluice',
    acknowledges: contract === 'kafka' ? 'after Kafka' : 'on disk',
    value,
    contract,
    about: '`sluice run` with the shipped sluice.yaml and the device profile of the workload',
    prepare: async () => {},
    async start({ setting }) {
      const { faults } = drawBlueprint(setting.file, process.env);
      if (faults.length > 0) {
        // Not which file: its folder is gone when somebody reads this.
        const lines = faults.map(
          ({ key, found, expected }) => `${key}: found ${found}, expected ${expected}`,
        );
        throw new Unavailable(lines.join('; '));
      }
      const bridge = await BridgeProcess.start(
        [join(root, 'bin/sluice.js'), 'run', '--config', setting.file],
        {},
        /mqtts?:\/\/[\d.]+:(\d+)/,
      );
      const [admin] = /http:\/\/[\d.]+:\d+/.exec(bridge.output) ?? [];
      return {
        pids: [bridge.pid],
        port: bridge.port,
        ...(admin === undefined ? {} : { metricsUrl: `${admin}/metrics` }),
        stop: () => bridge.stop(),
      };
    },
  };
}

function go(value: 'normalised' | 'raw'): Contestant {
  return {
    name: 'go: mochi-mqtt + franz-go',
    acknowledges: 'after Kafka',
    value,
    contract: 'kafka',
    about:
      value === 'raw'
        ? "peers/go-bridge: a hook produces, franz-go's promise writes the PUBACK"
        : 'the same, with payload and envelope decoded and encoded by the code of protoc-gen-go',
    unfit: ({ payload, routes }) =>
      value === 'normalised' && (payload !== 'field-sensor' || routes > 1)
        ? 'its decoder is written for the field-sensor'
        : undefined,
    prepare: async () => {
      await build(GO);
    },
    start: async (target) => startPeer([join(await build(GO), 'bridge')], target, { PEER_VALUE: value }),
  };
}

function java(): Contestant {
  return {
    name: 'java: Vert.x + kafka-clients',
    acknowledges: 'after Kafka',
    value: 'raw',
    contract: 'kafka',
    about: "peers/java-bridge: one event loop a core, the PUBACK in the producer's callback",
    prepare: async () => {
      await build(JAVA);
    },
    async start(target) {
      const out = await build(JAVA);
      const classPath = `${join(out, 'classes')}:${join(out, 'lib')}/*`;
      return startPeer(['java', '-cp', classPath, 'bench.Bridge'], target, {});
    },
  };
}

function aedesKafkajs(send: 'batch' | 'each', acknowledges: 'after Kafka' | 'on receipt'): Contestant {
  const how = {
    'batch after Kafka': 'authorizePublish holds the PUBACK until the batch of 20 ms is sent',
    'batch on receipt': 'the publish event fills a batch that is sent every 20 ms; PUBACK does not wait',
    'each after Kafka': 'authorizePublish awaits a `producer.send` for each message',
    'each on receipt': '',
  }[`${send} ${acknowledges}` as const];
  return {
    name: `aedes + kafkajs, ${send === 'batch' ? '20 ms batches' : 'send awaited'}`,
    acknowledges,
    value: 'raw',
    contract: 'kafka',
    about: `peers/aedes-kafkajs.ts: ${how}`,
    // 100 and more microseconds a message, and a request to Kafka each.
    unfit: ({ rate }) =>
      send === 'each' && rate > 5_000 ? `a request a message does not carry ${rate} messages/s` : undefined,
    prepare: async () => {},
    start: async (target) =>
      startPeer([process.execPath, join(peers, 'aedes-kafkajs.ts')], target, {
        PEER_ACK: acknowledges === 'after Kafka' ? 'after-kafka' : 'on-receipt',
        PEER_SEND: send,
      }),
  };
}

function mosquittoTelegraf(): Contestant {
  return {
    name: 'mosquitto + Telegraf',
    acknowledges: 'on receipt',
    value: 'raw',
    contract: 'kafka',
    about:
      'harness/mosquitto-telegraf.ts: mosquitto answers, Telegraf subscribes, carries the payload through base64 and ' +
      'writes every linger.ms',
    prepare: async () => {
      await build(MOSQUITTO_TELEGRAF);
    },
    start: async (target) => startMosquittoTelegraf(await build(MOSQUITTO_TELEGRAF), target),
  };
}

function floor(
  name: string,
  about: string,
  command: () => Promise<[string, ...string[]]>,
  environment: Readonly<Record<string, string>> = {},
): Contestant {
  return {
    name,
    acknowledges: 'on receipt',
    value: 'nothing',
    contract: 'kafka',
    about,
    unfit: ({ tls, link, outageMs }) =>
      tls || link !== undefined || outageMs !== undefined ? 'plain sockets, and no Kafka' : undefined,
    prepare: async () => {
      await command();
    },
    start: async (target) => startPeer(await command(), target, environment),
  };
}

async function startPeer(
  command: readonly [string, ...string[]],
  { workload, bootstrapServers, topic, setting }: Target,
  environment: Readonly<Record<string, string>>,
): Promise<RunningBridge> {
  const bridge = await BridgeProcess.start(
    command,
    {
      PEER_BROKERS: bootstrapServers,
      PEER_TOPIC: topic,
      PEER_LINGER_MS: String(workload.lingerMs),
      PEER_BATCH_BYTES: String(workload.batchSizeBytes),
      ...(setting.certificate === undefined
        ? {}
        : { PEER_TLS_CERT: setting.certificate, PEER_TLS_KEY: setting.certificate }),
      ...environment,
    },
    LISTENING,
  );
  return { pids: [bridge.pid], port: bridge.port, stop: () => bridge.stop() };
}
