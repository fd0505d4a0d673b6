import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse, stringify } from 'yaml';

/** A bridge that takes part in a benchmark. */
export interface Contestant {
  readonly name: string;
  /** When a device has its PUBACK. */
  readonly acknowledges: 'after Kafka' | 'on receipt';
  /** What it writes to Kafka. */
  readonly value: 'normalised' | 'raw';
  start(target: Target): Promise<RunningBridge>;
}

/** Where a bridge's records go: a topic that exists. */
export interface Target {
  readonly bootstrapServers: string;
  readonly topic: string;
}

export interface RunningBridge {
  readonly pid: number;
  readonly port: number;
  /** Ends it in an orderly way; what it was still holding is in Kafka afterwards. */
  stop(): Promise<void>;
}

const root = resolve(import.meta.dirname, '../..');
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 60_000;

export const CONTESTANTS: readonly Contestant[] = [
  sluice('normalised'),
  sluice('raw'),
  aedesKafkajs('after Kafka'),
  aedesKafkajs('on receipt'),
];

/** `sluice run` with its defaults, and the env-sensor profile alone. */
function sluice(value: Contestant['value']): Contestant {
  return {
    name: 'sluice',
    acknowledges: 'after Kafka',
    value,
    async start({ bootstrapServers, topic }) {
      const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
      writeConfig(folder, { bootstrapServers, topic, value });
      const program = [join(root, 'src/cli/main.ts'), 'run', '--config', join(folder, 'sluice.yaml')];
      const bridge = new BridgeProcess(program, {}, /mqtt:\/\/[\d.]+:(\d+)/);
      await bridge.started();
      return {
        pid: bridge.pid,
        port: bridge.port,
        stop: async () => {
          await bridge.stop();
          rmSync(folder, { recursive: true, force: true });
        },
      };
    },
  };
}

function aedesKafkajs(acknowledges: Contestant['acknowledges']): Contestant {
  return {
    name: 'aedes + kafkajs',
    acknowledges,
    value: 'raw',
    async start({ bootstrapServers, topic }) {
      const bridge = new BridgeProcess(
        [join(root, 'bench/peers/aedes-kafkajs.ts')],
        {
          PEER_BROKERS: bootstrapServers,
          PEER_TOPIC: topic,
          PEER_ACK: acknowledges === 'after Kafka' ? 'after-kafka' : 'on-receipt',
        },
        /listening on (\d+)/,
      );
      await bridge.started();
      return { pid: bridge.pid, port: bridge.port, stop: () => bridge.stop() };
    },
  };
}

interface BenchConfig extends Target {
  readonly value: Contestant['value'];
}

/** The shipped sluice.yaml and env-sensor profile, pointed at the benchmark's Kafka and topic. */
function writeConfig(folder: string, { bootstrapServers, topic, value }: BenchConfig): void {
  const config = parse(readFileSync(join(root, 'sluice.yaml'), 'utf8')) as SluiceYaml;
  config.mqtt.listeners = [{ type: 'tcp', host: '127.0.0.1', port: 0 }];
  config.admin = { host: '127.0.0.1', port: 0 };
  config.kafka = { ...config.kafka, 'bootstrap.servers': bootstrapServers };
  config.profiles = 'devices';
  const profile = parse(readFileSync(join(root, 'devices/env-sensor.yaml'), 'utf8')) as ProfileYaml;
  profile.decode.protobuf.file = join(root, 'proto/devices/env_sensor.proto');
  profile.produce = { ...profile.produce, topic, value };
  mkdirSync(join(folder, 'devices'));
  writeFileSync(join(folder, 'sluice.yaml'), stringify(config));
  writeFileSync(join(folder, 'devices/env-sensor.yaml'), stringify(profile));
}

interface SluiceYaml {
  mqtt: { listeners: unknown };
  admin: unknown;
  kafka: Record<string, unknown>;
  profiles: string;
}

interface ProfileYaml {
  decode: { protobuf: { file: string } };
  produce: Record<string, unknown>;
}

/** A bridge as a process of its own, which says its port on its output when it is ready. */
class BridgeProcess {
  readonly #child: ChildProcess;
  readonly #portPattern: RegExp;
  readonly #exit: Promise<unknown>;
  #output = '';

  constructor(program: readonly string[], environment: Record<string, string>, portPattern: RegExp) {
    this.#portPattern = portPattern;
    this.#child = spawn(process.execPath, program, {
      cwd: root,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#exit = once(this.#child, 'exit');
    const collect = (chunk: Buffer): void => {
      this.#output += chunk.toString();
      this.#child.emit('output');
    };
    this.#child.stdout?.on('data', collect);
    this.#child.stderr?.on('data', collect);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get port(): number {
    return Number(this.#portPattern.exec(this.#output)?.[1]);
  }

  async started(): Promise<void> {
    const timeout = AbortSignal.timeout(START_TIMEOUT_MS);
    while (!this.#portPattern.test(this.#output)) {
      await Promise.race([once(this.#child, 'output', { signal: timeout }), this.#exit]);
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`the bridge ended at once:\n${this.#output}`);
      }
    }
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#exit;
    clearTimeout(timer);
  }
}
