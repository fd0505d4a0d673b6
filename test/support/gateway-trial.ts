import { mkdtemp, rm } from 'node:fs/promises';
import { readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { join, resolve } from 'node:path';

import { expect, onTestFinished } from 'vitest';

import { simulatedTypes } from '../../src/testbed/fleet/simulated-types.ts';
import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import type { ContractName } from '../../src/core/contract.ts';
import { TcpProxy } from '../../src/testbed/drill/tcp-proxy.ts';
import { Fleet } from '../../src/testbed/fleet/fleet.ts';
import { DeviceAccounts } from './device-accounts.ts';
import { TestGateway, type TestGatewayOptions } from './gateway.ts';
import type { TestKafka } from './kafka.ts';
import { FaultyWire, type WireFaults } from './proxy.ts';
import { SeededRandom } from './seeds.ts';
import { readTelemetry, type ConsumedTelemetry } from './telemetry-topic.ts';
import { TopicEnds, type Ends } from './topic-ends.ts';
import { until } from './until.ts';

/** A third of a trial's devices each: those that promise to lose nothing. */
export const CONTRACTS = ['kafka', 'journal', 'kafka-or-journal'] as const satisfies readonly ContractName[];
const DEVICES_A_CONTRACT = 10;
/** Messages a second of all devices together: a machine that runs other tests at the same time is not to be the fault. */
const RATE = process.env.FAULT_RECORDS === undefined ? 600 : 3_000;
/**
 * How long the answers may have been on their way that the last checkpoint does not know of; much longer where many
 * tests share disk and processor.
 */
const ANSWERS_MS = process.env.FAULT_RECORDS === undefined ? 10_000 : 1_000;
/** After an outage, on a machine that is busy with other things. */
const DRAIN_TIMEOUT_MS = 120_000;

export interface GatewayTrialOptions {
  /** The trial's own. */
  readonly topic: string;
  readonly seed: number;
  /** Messages a second of all devices together; a few hundred, or thousands with `npm run test:faults`. */
  readonly rate?: number;
  /** More keys of its journal section, on one line. */
  readonly journal?: string;
  /** More lines of sluice.yaml. */
  readonly config?: string;
  /** More files of the gateway's folder: path -> text. */
  readonly files?: Readonly<Record<string, string>>;
  /** More of the gateway's environment, and what it is started by, given its folder. */
  readonly launch?: (folder: string) => Pick<TestGatewayOptions, 'environment' | 'launcher'>;
  readonly wireFaults?: WireFaults;
  /** The devices'. */
  readonly keepaliveSeconds?: number;
  /** When the gateway starts, Kafka is not there. */
  readonly startsWithoutKafka?: boolean;
}

/**
 * A gateway between a fleet and a real Kafka, with a wire on either side that can be spoilt, and all contracts side by
 * side.
 */
export class GatewayTrial {
  readonly random: SeededRandom;
  readonly folder: string;
  readonly kafkaWire: FaultyWire;
  readonly devices = new DeviceAccounts(systemClock);
  readonly #options: GatewayTrialOptions;
  readonly #ends: TopicEnds;
  /** Since when Kafka is out of the gateway's reach: until then its answers may have got lost. */
  #awaySinceMs = Infinity;
  /** What was certainly in Kafka before the last checkpoint of a gateway that was killed. */
  #knownDone: Ends | undefined;
  #deviceWire: TcpProxy | undefined;
  #gateway: TestGateway | undefined;
  #fleet: Fleet | undefined;

  static async open(kafka: TestKafka, options: GatewayTrialOptions): Promise<GatewayTrial> {
    // The last that was opened is closed first.
    const folder = await mkdtemp(join(tmpdir(), 'sluice-trial-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const wire = await FaultyWire.open(kafka.ports, options.wireFaults);
    onTestFinished(() => wire.close());
    const ends = await TopicEnds.watch(kafka.bootstrapServers, options.topic);
    onTestFinished(() => ends.close());
    const trial = new GatewayTrial(options, folder, wire, ends);
    onTestFinished(() => trial.#close());
    const isAlone = options.startsWithoutKafka ?? false;
    if (isAlone) trial.takeKafkaAway();
    await trial.startGateway();
    if (!isAlone) await trial.gateway.untilReady();
    await trial.#startFleet();
    return trial;
  }

  private constructor(options: GatewayTrialOptions, folder: string, kafkaWire: FaultyWire, ends: TopicEnds) {
    this.#options = options;
    this.#ends = ends;
    this.folder = folder;
    this.kafkaWire = kafkaWire;
    this.random = new SeededRandom(options.seed);
  }

  get gateway(): TestGateway {
    return this.#gateway!;
  }

  get fleet(): Fleet {
    return this.#fleet!;
  }

  async startGateway(): Promise<void> {
    this.#gateway = await this.#launch();
    await this.#noteStart();
  }

  /** After a kill: starts a gateway and kills it after so many milliseconds, wherever it is then. */
  async startBriefly(ms: number): Promise<void> {
    const brief = await this.#launch({ awaitBanner: false });
    await delay(ms);
    await brief.kill9();
    // It may have begun to send again, as the next one may.
    const knownDone = this.#knownDone;
    await this.#noteStart();
    this.#knownDone = knownDone;
  }

  /** Starts a gateway on the journal of the one that runs; resolves with how it ended. */
  async startIntruder(): Promise<{ readonly exit: number | NodeJS.Signals; readonly output: string }> {
    const intruder = await this.#launch({ awaitBanner: false });
    onTestFinished(async () => {
      await intruder.stop();
    });
    return { exit: await intruder.exit(), output: intruder.output };
  }

  /** After a kill: starts two at the same moment, one of which goes on; resolves with how the other ended. */
  async startRivals(): Promise<{ readonly exit: number | NodeJS.Signals; readonly output: string }> {
    const rivals = await Promise.all([
      this.#launch({ awaitBanner: false }),
      this.#launch({ awaitBanner: false }),
    ]);
    const [one, other] = rivals;
    onTestFinished(async () => {
      await Promise.all(rivals.map((rival) => rival.stop()));
    });
    const loser = await Promise.race(rivals.map((rival) => rival.exit().then(() => rival)));
    const winner = loser === one ? other : one;
    await winner.untilRunning();
    this.#gateway = winner;
    await this.#noteStart();
    return { exit: await loser.exit(), output: loser.output };
  }

  #launch(more: TestGatewayOptions = {}): Promise<TestGateway> {
    const { topic, config = '', journal = '', files, launch } = this.#options;
    return TestGateway.start({
      folder: this.folder,
      bootstrapServers: this.kafkaWire.bootstrapServers,
      ...launch?.(this.folder),
      files: {
        'sluice.yaml': `${CONFIG}journal: { spill.after.ms: 500, ${journal} }\n${config}`,
        'proto/env_sensor.proto': readFileSync(SCHEMA, 'utf8'),
        ...files,
        ...Object.fromEntries(CONTRACTS.map((ack) => [`trial/${ack}.yaml`, profile(ack, topic)])),
      },
      ...more,
    });
  }

  async #noteStart(): Promise<void> {
    if (this.#knownDone === undefined) return;
    this.devices.noteRelapse({ from: this.#knownDone, upTo: await this.#ends.now() });
    this.#knownDone = undefined;
  }

  /** kill -9 */
  async killGateway(): Promise<void> {
    this.devices.noteBreak();
    await this.gateway.kill9();
    const checkpointAgeMs = systemClock.wallMs() - lastCheckpointMs(this.folder);
    const lastAnswersMs = Math.min(systemClock.monotonicMs() - checkpointAgeMs, this.#awaySinceMs);
    // Of a gateway that was killed before it had done anything, what its predecessor knew.
    this.#knownDone ??= this.#ends.before(lastAnswersMs - ANSWERS_MS);
  }

  /** Kafka is gone: connections end, and no new ones are to be had. */
  takeKafkaAway(): void {
    this.#awaySinceMs = Math.min(systemClock.monotonicMs(), this.#awaySinceMs);
    this.kafkaWire.setState({ kind: 'refused' });
  }

  bringKafkaBack(): void {
    this.#awaySinceMs = Infinity;
    this.kafkaWire.setState({ kind: 'open' });
  }

  /** Does something to the connections between devices and gateway. */
  spoilDevices(how: (wire: TcpProxy) => void): void {
    this.devices.noteBreak();
    how(this.#deviceWire!);
  }

  /** Resolves when so many more messages are acknowledged. */
  async untilAcknowledged(more: number, what = 'acknowledged messages'): Promise<void> {
    const { acknowledged } = this.devices;
    // A hundred a second at the least.
    const timeoutMs = 60_000 + 10 * more;
    await until(() => this.devices.acknowledged >= acknowledged + more, { timeoutMs, what });
  }

  /** Resolves when everything that has been sent by now is acknowledged. */
  async untilSettled(what: string): Promise<void> {
    const nowMs = systemClock.monotonicMs();
    await until(() => this.devices.isSettled(nowMs), { timeoutMs: DRAIN_TIMEOUT_MS, what });
  }

  /** Ends the load and the gateway; resolves when every message is acknowledged and nothing waits on the disk. */
  async finish(): Promise<void> {
    const { unacknowledged, refused } = await this.fleet.stop(DRAIN_TIMEOUT_MS);
    expect({ unacknowledged, refused }).toEqual({ unacknowledged: 0, refused: 0 });
    await until(async () => (await this.gateway.metric('sluice_deliveries_open_in_journal')) === 0, {
      timeoutMs: DRAIN_TIMEOUT_MS,
      what: 'an empty journal',
    });
    expect(await this.gateway.metric('sluice_deliveries_acknowledged_but_lost')).toBe(0);
    expect(await this.gateway.stop()).toBe(0);
  }

  async #startFleet(): Promise<void> {
    const { rate = RATE, seed, topic, keepaliveSeconds } = this.#options;
    const wire = await TcpProxy.open({
      // Where the gateway is now: another port after each start.
      connect: () =>
        connect({ host: '127.0.0.1', port: Number(new URL(this.gateway.mqttUrl).port), noDelay: true }),
      clock: systemClock,
    });
    this.#deviceWire = wire;
    const { profiles } = loadConfig(join(this.folder, 'sluice.yaml'), {});
    this.#fleet = new Fleet({
      url: `mqtt://127.0.0.1:${wire.port}`,
      devices: DEVICES_A_CONTRACT * CONTRACTS.length,
      types: simulatedTypes(
        profiles,
        CONTRACTS.map((contract) => `${contract}-sensor`),
      ),
      rate,
      qos: 1,
      seed,
      prefix: `${topic}-`,
      // Devices go on measuring while they wait, and keep it in their memory.
      backlog: Number.POSITIVE_INFINITY,
      ...(keepaliveSeconds !== undefined && { keepaliveSeconds }),
      clock: systemClock,
      logger: silentLogger,
      observer: this.devices.observer,
    });
    this.#fleet.start();
  }

  async #close(): Promise<void> {
    await this.#fleet?.stop(0);
    await this.#deviceWire?.close();
    await this.#gateway?.stop();
  }
}

/**
 * Runs load and fault, and judges: every message is acknowledged, and Kafka holds each once, in the order in which its
 * device sent it. Copies beyond that are there only where a device had to send again, or the journal after a kill.
 */
export async function runGatewayTrial(
  kafka: TestKafka,
  options: GatewayTrialOptions,
  story: (trial: GatewayTrial) => Promise<void>,
): Promise<readonly ConsumedTelemetry[]> {
  const trial = await GatewayTrial.open(kafka, options);
  await trial.untilAcknowledged(100, 'the first messages');
  await story(trial);
  await trial.finish();
  const records = await readTelemetry(kafka.bootstrapServers, options.topic);
  trial.devices.judge(records);
  return records;
}

/** When the journal's last checkpoint was written, wall clock; 0: there is none. */
function lastCheckpointMs(folder: string): number {
  const times = ['checkpoint-0', 'checkpoint-1'].map((name) => {
    const path = join(folder, '.sluice/journal', name);
    return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  });
  return Math.max(...times);
}

const SCHEMA = resolve(import.meta.dirname, '../../proto/devices/env_sensor.proto');

const CONFIG = `
kafka:
  topics: { partitions: 4 }
  producer: { request.timeout.ms: 1000, retry.backoff.max.ms: 200, reconnect.backoff.max.ms: 200 }
profiles: trial
`;

const profile = (contract: ContractName, topic: string): string => `
type: ${contract}-sensor
topic: trial/${contract}/{device}
decode: { protobuf: { file: ../proto/env_sensor.proto, message: fleet.EnvSensor } }
device: '{device}'
time: { field: ts, unit: ms }
sequence: { field: seq }
metrics: { temperature: { field: temp, unit: Cel } }
produce: { topic: ${topic}, key: '{device}' }
ack: ${contract}
simulate: { signals: { temp: { base: 21, amplitude: 4, min: -40, max: 85 } } }
`;
