import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { LoadReport } from '../load.ts';
import type { Percentiles } from '../load/histogram.ts';
import type { Contestant } from './contestants.ts';
import { BenchTopic } from './kafka-topic.ts';
import { cpuMicros, memoryBytes } from './process-figures.ts';

/** What is asked of every contestant alike. */
export interface Workload {
  readonly name: string;
  readonly devices: number;
  readonly qos: 0 | 1;
  readonly window: number;
  /** Messages a second; 0: as fast as the windows allow. */
  readonly rate: number;
  readonly messages: number;
  readonly warmup: number;
  readonly partitions: number;
}

export interface RunResult {
  readonly contestant: Contestant;
  /** From the first PUBLISH until Kafka held everything. */
  readonly perSecond: number;
  /** Processor time of the bridge alone, user and system, all threads. */
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
}

/** One contestant under one workload: start, warm up, measure, count what Kafka holds, stop. */
export async function runOnce(
  contestant: Contestant,
  workload: Workload,
  bootstrapServers: string,
  topicName: string,
): Promise<RunResult> {
  const topic = await BenchTopic.create(bootstrapServers, topicName, workload.partitions);
  const bridge = await contestant.start({ bootstrapServers, topic: topicName });
  const load = new LoadProcess(bridge.port, workload);
  try {
    await load.step('ready');
    await topic.filled(workload.warmup);

    const cpuBefore = cpuMicros(bridge.pid);
    const startMs = performance.now();
    load.proceed();
    const { result } = await load.step('measured');
    const expected = workload.warmup + workload.messages;
    await topic.filled(expected);
    const elapsedMs = performance.now() - startMs;
    const cpu = cpuMicros(bridge.pid) - cpuBefore;

    const { peak } = memoryBytes(bridge.pid);
    load.proceed();
    await load.ended();
    await bridge.stop();
    // Only now can nothing more arrive: too many would be repeats.
    const inKafka = await topic.records();
    return {
      contestant,
      perSecond: (workload.messages * 1000) / elapsedMs,
      cpuMicrosPerMessage: cpu / workload.messages,
      peakMemoryBytes: peak,
      latency: result.latency,
      sentPerSecond: (result.sent * 1000) / result.elapsedMs,
      missed: result.missed,
      acknowledged: result.acknowledged,
      expectedInKafka: expected,
      inKafka,
    };
  } finally {
    load.kill();
    await bridge.stop();
    await topic.remove();
  }
}

/** bench/load.ts as a child, which waits for a word before each of its steps. */
class LoadProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown>;
  readonly #reports: LoadReport[] = [];

  constructor(port: number, workload: Workload) {
    const options: Record<string, string | number> = {
      url: `mqtt://127.0.0.1:${port}`,
      devices: workload.devices,
      qos: workload.qos,
      window: workload.window,
      rate: workload.rate,
      messages: workload.messages,
      warmup: workload.warmup,
      profile: 'env-sensor',
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    this.#child = fork(resolve(import.meta.dirname, '../load.ts'), args, { stdio: 'inherit' });
    this.#exit = once(this.#child, 'exit');
    this.#child.on('message', (report) => this.#reports.push(report as LoadReport));
  }

  /** Waits for a report. */
  async step<S extends LoadReport['step']>(step: S): Promise<Extract<LoadReport, { step: S }>> {
    let report = this.#reports.shift();
    while (report === undefined) {
      if (!this.#child.connected) throw new Error('the load generator ended by itself');
      await Promise.race([once(this.#child, 'message'), this.#exit]);
      report = this.#reports.shift();
    }
    if (report.step === 'failed') throw new Error(`the load generator failed: ${report.reason}`);
    if (report.step !== step) throw new Error(`the load generator is at ${report.step}, not at ${step}`);
    return report as Extract<LoadReport, { step: S }>;
  }

  proceed(): void {
    this.#child.send('proceed');
  }

  async ended(): Promise<void> {
    await this.#exit;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
