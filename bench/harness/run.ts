import { setTimeout as delay } from 'node:timers/promises';
import { memoryBytes } from '../../src/testbed/drill/gateway-process.ts';
import type { Percentiles } from '../load/histogram.ts';
import type { BenchKafka } from './bench-kafka.ts';
import type { Contestant, RunningBridge } from './contestants.ts';
import { BenchTopic } from './kafka-topic.ts';
import { LoadProcess } from './load-process.ts';
import { cpuMicros } from './process-figures.ts';
import { writeSetting } from './setting.ts';
import type { Setting } from './setting.ts';
import type { Workload } from './workloads.ts';

export interface RunResult {
  readonly contestant: Contestant;
  /** Messages that were measured. */
  readonly messages: number;
  /** From the first PUBLISH until Kafka held everything; of a floor, until the last PUBACK. */
  readonly perSecond: number;
  /** Processor time of the bridge's processes alone, user and system, all threads. */
  readonly cpuMicrosPerMessage: number;
  readonly peakMemoryBytes: number;
  /** PUBLISH to PUBACK; without meaning at QoS 0. */
  readonly latency: Percentiles;
  /** What the generator sent a second; below the workload's rate, the machine was too busy to tell anything. */
  readonly sentPerSecond: number;
  /** Turns that a paced device could not take: its window was full, or the generator too late. */
  readonly missed: number;
  readonly acknowledged: number;
  /** Warm-up and measured messages that should be in Kafka, and those that are. */
  readonly expectedInKafka: number;
  readonly inKafka: number;
  /** Bytes of record batches in Kafka, for each message; 0 of a floor. */
  readonly kafkaBytesPerMessage: number;
  /** After Kafka hung: from its return until it held as much as it would have without. */
  readonly caughtUpMs?: number;
  /** Of Sluice: how far its counters moved in the measurement, by name. */
  readonly counters?: Readonly<Record<string, number>>;
}

/** One contestant under one workload: start, warm up, measure, count what Kafka holds, stop. */
export async function runOnce(
  contestant: Contestant,
  workload: Workload,
  kafka: BenchKafka,
  topicName: string,
): Promise<RunResult> {
  return kafka.reachedBy(workload.link, async (bootstrapServers) => {
    const topic = await BenchTopic.create(kafka.kafka.bootstrapServers, topicName, workload.partitions);
    const setting = writeSetting({
      workload,
      bootstrapServers,
      topic: topicName,
      value: contestant.value === 'nothing' ? 'raw' : contestant.value,
      contract: contestant.contract,
      producer: contestant.producer ?? {},
    });
    try {
      const bridge = await contestant.start({ workload, bootstrapServers, topic: topicName, setting });
      const run = new Run(contestant, workload, kafka, topic, bridge);
      return await run.measure(setting);
    } finally {
      setting.remove();
      await topic.remove();
    }
  });
}

class Run {
  readonly #contestant: Contestant;
  readonly #workload: Workload;
  readonly #kafka: BenchKafka;
  readonly #topic: BenchTopic;
  readonly #bridge: RunningBridge;

  constructor(
    contestant: Contestant,
    workload: Workload,
    kafka: BenchKafka,
    topic: BenchTopic,
    bridge: RunningBridge,
  ) {
    this.#contestant = contestant;
    this.#workload = workload;
    this.#kafka = kafka;
    this.#topic = topic;
    this.#bridge = bridge;
  }

  async measure(setting: Setting): Promise<RunResult> {
    const bridge = this.#bridge;
    const load = new LoadProcess(bridge.port, this.#workload, setting.loadFile);
    try {
      const { sent: warmup } = await load.step('ready');
      await this.#inKafka(warmup);

      const countersBefore = await readCounters(bridge.metricsUrl);
      const bytesBefore = this.#topic.bytes(this.#kafka.kafka.dataDir());
      const cpuBefore = this.#cpuMicros();
      const startMs = performance.now();
      load.proceed();
      const caughtUp = this.#outage(startMs, warmup);
      // It is awaited below; should it fail before, that must not end the process.
      caughtUp.catch(() => undefined);
      const { result } = await load.step('measured');
      const messages = result.sent;
      await this.#inKafka(warmup + messages);
      const elapsedMs = performance.now() - startMs;
      const cpu = this.#cpuMicros() - cpuBefore;
      const caughtUpMs = await caughtUp;

      const bytes = this.#topic.bytes(this.#kafka.kafka.dataDir()) - bytesBefore;
      const counters = difference(countersBefore, await readCounters(bridge.metricsUrl));
      const peakMemoryBytes = sum(bridge.pids.map((pid) => memoryBytes(pid).peak));
      load.proceed();
      await load.ended();
      await bridge.stop();
      const writes = this.#contestant.value !== 'nothing';
      return {
        contestant: this.#contestant,
        messages,
        perSecond: (messages * 1000) / (writes ? elapsedMs : result.elapsedMs),
        cpuMicrosPerMessage: cpu / messages,
        peakMemoryBytes,
        latency: result.latency,
        sentPerSecond: (result.sent * 1000) / result.elapsedMs,
        missed: result.missed,
        acknowledged: result.acknowledged,
        expectedInKafka: writes ? warmup + messages : 0,
        // Only now can nothing more arrive: too many would be repeats.
        inKafka: await this.#topic.records(),
        kafkaBytesPerMessage: bytes / messages,
        ...(caughtUpMs === undefined ? {} : { caughtUpMs }),
        ...(counters === undefined ? {} : { counters }),
      };
    } finally {
      load.kill();
      await bridge.stop();
    }
  }

  async #inKafka(count: number): Promise<void> {
    if (this.#contestant.value !== 'nothing') await this.#topic.filled(count);
  }

  #cpuMicros(): number {
    return sum(this.#bridge.pids.map(cpuMicros));
  }

  /** Lets Kafka hang after a third of the load; how long it then takes until nothing is behind any more. */
  async #outage(startMs: number, warmup: number): Promise<number | undefined> {
    const { outageMs, rate, length } = this.#workload;
    if (outageMs === undefined || !('seconds' in length)) return undefined;
    await delay((length.seconds * 1000) / 3);
    this.#kafka.kafka.pause();
    await delay(outageMs);
    this.#kafka.kafka.continue();
    const backMs = performance.now();
    for (;;) {
      const inKafka = await this.#topic.records();
      const nowMs = performance.now();
      const due = Math.min(rate * length.seconds, (rate * (nowMs - startMs - IN_STEP_MS)) / 1000);
      if (inKafka - warmup >= due || nowMs - backMs > GIVE_UP_MS) return nowMs - backMs;
      await delay(LOOK_EVERY_MS);
    }
  }
}

/** A bridge is not behind if what it was sent so long ago is in Kafka. */
const IN_STEP_MS = 250;
const LOOK_EVERY_MS = 20;
const GIVE_UP_MS = 60_000;

async function readCounters(url: string | undefined): Promise<Record<string, number> | undefined> {
  if (url === undefined) return undefined;
  const counters: Record<string, number> = {};
  for (const line of (await (await fetch(url)).text()).split('\n')) {
    const [, name, value] = /^(\w+_total)(?:\{[^}]*\})? (\S+)$/.exec(line) ?? [];
    if (name !== undefined) counters[name] = (counters[name] ?? 0) + Number(value);
  }
  return counters;
}

function difference(
  before: Record<string, number> | undefined,
  after: Record<string, number> | undefined,
): Record<string, number> | undefined {
  if (before === undefined || after === undefined) return undefined;
  return Object.fromEntries(
    Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)]),
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
