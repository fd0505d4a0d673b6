import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { LoadReport } from '../load.ts';
import type { Workload } from './workloads.ts';

/** 1-KiB messages take 10 times as long to make, and as much memory. */
const LARGE_FRAMES = 20_000;
/** A step that takes so much longer than it should has come to a stand: one must not hold up the others. */
const PATIENCE_MS = 120_000;

/** bench/load.ts as a child, which waits for a word before each of its steps. */
export class LoadProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown>;
  readonly #reports: LoadReport[] = [];
  readonly #patienceMs: number;

  constructor(port: number, workload: Workload, config: string) {
    const { length, warmupSeconds } = workload;
    const seconds = Math.max(warmupSeconds, 'seconds' in length ? length.seconds : 0);
    this.#patienceMs = PATIENCE_MS + seconds * 1000;
    const options: Record<string, string | number> = {
      url: `${workload.tls ? 'mqtts' : 'mqtt'}://127.0.0.1:${port}`,
      devices: workload.devices,
      qos: workload.qos,
      window: workload.window,
      rate: workload.rate,
      warmup: `${warmupSeconds * 1000}ms`,
      ...('seconds' in length ? { duration: `${length.seconds * 1000}ms` } : { messages: length.messages }),
      config,
      ...(workload.warmupRate === undefined ? {} : { 'warmup-rate': workload.warmupRate }),
      ...(workload.payload === 'data-logger' ? { frames: LARGE_FRAMES } : {}),
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    this.#child = fork(resolve(import.meta.dirname, '../load.ts'), args, { stdio: 'inherit' });
    this.#exit = once(this.#child, 'exit');
    this.#child.on('message', (report) => this.#reports.push(report as LoadReport));
  }

  /** Waits for a report. Rejects when the load fails or nothing comes for far too long. */
  async step<S extends LoadReport['step']>(step: S): Promise<Extract<LoadReport, { step: S }>> {
    const signal = AbortSignal.timeout(this.#patienceMs);
    let report = this.#reports.shift();
    while (report === undefined) {
      if (!this.#child.connected) throw new Error('the load generator ended by itself');
      if (signal.aborted) {
        throw new Error(
          `no end of the load within ${Math.round(this.#patienceMs / 1000)} s: the bridge hangs`,
        );
      }
      const heard = once(this.#child, 'message', { signal }).catch(() => undefined);
      await Promise.race([heard, this.#exit]);
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
