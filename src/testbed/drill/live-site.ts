import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { loadConfig, type LoadedConfig } from '../../config/load.ts';
import { describeFault } from '../../config/faults.ts';
import type { Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { readEnvelope } from '../../decode/envelope/envelope.ts';
import type { DeliveredRecord } from './delivery-judge.ts';
import { DrillError, type DrillFleet, type DrillSite } from './drill.ts';
import type { DrillSetting } from './report/drill-result.ts';
import type { FleetHistory } from './fleet-history.ts';
import { GatewayProcess } from './gateway-process.ts';
import { TcpProxy } from './tcp-proxy.ts';
import type { SimulatedType } from '../fleet/device.ts';
import { Fleet } from '../fleet/fleet.ts';
import { createScratchTopics, readTopicContents, type DrillGround } from './drill-ground.ts';
import { simulatedTypes } from '../fleet/simulated-types.ts';
import { writeGatewayFiles } from './gateway-files.ts';
import { KafkaWire } from './kafka-wire.ts';

export interface LiveSiteOptions {
  readonly ground: DrillGround;
  readonly loaded: LoadedConfig;
  readonly setting: DrillSetting;
  /** The scratch topic's name; nobody else's. */
  readonly topic: string;
  /** Where the site makes a folder of its own for everything that it writes. */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborted when a person wants it to end. */
  readonly signal: AbortSignal;
}

/** What a site is made of. */
interface SiteParts {
  readonly topics: readonly string[];
  readonly kafkaWire: KafkaWire;
  readonly deviceWire: TcpProxy;
  readonly gate: Gate;
  readonly configFile: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly types: readonly SimulatedType[];
}

const STOP_SLACK_MS = 10_000;

/** The world of one drill: scratch topics, wires, the gateway's process, its devices. Close it, however it ends. */
export class LiveSite implements DrillSite {
  readonly kafkaWire: KafkaWire;
  readonly deviceWire: TcpProxy;
  readonly signal: AbortSignal;
  readonly #options: LiveSiteOptions;
  readonly #parts: SiteParts;
  readonly #failure = new AbortController();
  #gateway: GatewayProcess | undefined;
  #fleet: Fleet | undefined;

  /** @throws SluiceError what can't be had; then nothing is left behind */
  static async open(options: LiveSiteOptions): Promise<LiveSite> {
    const { ground, topic, clock } = options;
    const topics = [topic, `${topic}.dlq`];
    const undo: (() => Promise<unknown>)[] = [];
    try {
      undo.push(() => ground.admin.deleteTopics(topics));
      await createScratchTopics(ground.admin, topics, options);
      const folder = await mkdtemp(join(options.folder, 'gateway-'));
      const kafkaWire = await KafkaWire.open(ground.brokers, ground.security, clock);
      undo.push(() => kafkaWire.close());
      const gate = { port: 0 };
      const deviceWire = await TcpProxy.open({
        connect: () => connect({ host: '127.0.0.1', port: gate.port, noDelay: true }),
        clock,
      });
      undo.push(() => deviceWire.close());
      const { bootstrapServers } = kafkaWire;
      const { configFile, environment } = await writeGatewayFiles({
        ...options,
        ...options.setting,
        environment: process.env,
        folder,
        bootstrapServers,
      });
      const { profiles } = usable(loadConfig(configFile, environment));
      const types = simulatedTypes(profiles);
      return new LiveSite(options, { topics, kafkaWire, deviceWire, gate, configFile, environment, types });
    } catch (error) {
      for (const step of undo.reverse()) await step().catch(() => undefined);
      throw error;
    }
  }

  private constructor(options: LiveSiteOptions, parts: SiteParts) {
    this.#options = options;
    this.#parts = parts;
    this.kafkaWire = parts.kafkaWire;
    this.deviceWire = parts.deviceWire;
    this.signal = AbortSignal.any([options.signal, this.#failure.signal]);
  }

  async startGateway(): Promise<void> {
    const { configFile, environment, gate } = this.#parts;
    const { clock } = this.#options;
    const { gateway, mqttPort } = await GatewayProcess.start({ configFile, environment, clock });
    this.#gateway = gateway;
    gate.port = mqttPort;
    void gateway.exited.then((how) => {
      if (this.#gateway !== gateway) return;
      const problem = `the gateway under test ended by itself (${how}):\n${gateway.lastWords}`;
      this.#failure.abort(new DrillError('DRILL_GATEWAY', problem));
    });
  }

  async killGateway(): Promise<void> {
    const gateway = this.#gateway;
    this.#gateway = undefined;
    await gateway?.kill9();
  }

  async stopGateway(): Promise<number | string> {
    const gateway = this.#gateway;
    this.#gateway = undefined;
    const { clock, loaded } = this.#options;
    return (await gateway?.stop(clock, loaded.config.shutdownTimeoutMs + STOP_SLACK_MS)) ?? 'not running';
  }

  residentBytes(): number | undefined {
    return this.#gateway?.residentBytes();
  }

  startFleet(history: FleetHistory): DrillFleet {
    const { setting, clock, logger } = this.#options;
    const { devices, rate } = setting;
    const fleet = new Fleet({
      url: `mqtt://127.0.0.1:${this.deviceWire.port}`,
      devices,
      rate,
      qos: 1,
      seed: 1,
      // Devices go on measuring while they wait, and keep it in their memory.
      backlog: Infinity,
      types: this.#parts.types,
      clock,
      logger,
      observer: {
        joined: history.joined,
        sent: history.sentOne,
        acknowledged: history.acknowledgedOne,
        connectionLost: history.connectionLost,
      },
    });
    this.#fleet = fleet;
    fleet.start();
    return fleet;
  }

  recordsInKafka(): Promise<number> {
    return this.#recordCount(this.#options.topic);
  }

  async readBack(take: (record: DeliveredRecord) => void): Promise<number> {
    const { ground, topic } = this.#options;
    await readTopicContents({
      client: ground.client,
      groupId: topic,
      topic,
      signal: this.#options.signal,
      onRecord: (partition, { value }) => {
        const { deviceId, sequence } = readEnvelope(value ?? Buffer.alloc(0));
        take({ deviceId, sequence: Number(sequence ?? 0), partition });
      },
    });
    return this.#recordCount(`${topic}.dlq`);
  }

  /** How many records a topic that nothing is deleted from has had. */
  async #recordCount(topic: string): Promise<number> {
    const logs = await this.#options.ground.admin.logBounds(topic);
    return logs.reduce((sum, { end }) => sum + end, 0);
  }

  /** Ends and removes everything. Never rejects: what could not be removed is named. */
  async close(): Promise<string[]> {
    const { admin } = this.#options.ground;
    const { topics, configFile } = this.#parts;
    const folder = dirname(configFile);
    const steps: [string, () => Promise<unknown>][] = [
      ['the gateway under test', () => this.killGateway()],
      ['the simulated devices', async () => this.#fleet?.stop(0)],
      ['a proxy', () => this.deviceWire.close()],
      ['a proxy', () => this.kafkaWire.close()],
      [`the topics ${topics.join(', ')}`, () => admin.deleteTopics(topics)],
      [`the folder ${folder}`, () => rm(folder, { recursive: true, force: true })],
    ];
    const left: string[] = [];
    for (const [what, remove] of steps) {
      try {
        await remove();
      } catch (error) {
        left.push(`${what} could not be removed: ${errorMessage(error)}`);
      }
    }
    return left;
  }
}

/** Where the gateway listens now: another port after each start. */
interface Gate {
  port: number;
}

function usable(loaded: LoadedConfig): LoadedConfig {
  if (loaded.faults.length === 0) return loaded;
  const faults = loaded.faults.map((fault) => `  ${describeFault(fault)}`).join('\n');
  throw new DrillError('DRILL_CONFIG', `the gateway under test can't be configured so:\n${faults}`);
}
