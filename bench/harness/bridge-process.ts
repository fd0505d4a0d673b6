import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 60_000;

/** A bridge as a process of its own, which says its port on its output when it is ready. */
export class BridgeProcess {
  readonly #child: ChildProcess;
  readonly #portPattern: RegExp;
  readonly #exit: Promise<unknown>;
  #output = '';

  /** `portPattern` finds the port in its first group. */
  static async start(
    command: readonly [string, ...string[]],
    environment: Readonly<Record<string, string>>,
    portPattern: RegExp,
  ): Promise<BridgeProcess> {
    const bridge = new BridgeProcess(command, environment, portPattern);
    try {
      await bridge.said(portPattern);
    } catch (error) {
      await bridge.stop();
      throw error;
    }
    return bridge;
  }

  private constructor(
    [program, ...args]: readonly [string, ...string[]],
    environment: Readonly<Record<string, string>>,
    portPattern: RegExp,
  ) {
    this.#portPattern = portPattern;
    this.#child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#exit = new Promise((done) => {
      this.#child.once('exit', done).once('error', (error) => {
        this.#output += error.message;
        done(error);
      });
    });
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

  /** What it has written so far. */
  get output(): string {
    return this.#output;
  }

  /** Waits until it has written this. */
  async said(pattern: RegExp): Promise<void> {
    const timeout = AbortSignal.timeout(START_TIMEOUT_MS);
    while (!pattern.test(this.#output)) {
      if (this.#hasEnded()) throw new Error(`the bridge ended at once:\n${this.#output}`);
      await Promise.race([once(this.#child, 'output', { signal: timeout }), this.#exit]);
    }
  }

  async stop(): Promise<void> {
    if (this.#child.pid === undefined) return;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#exit;
    clearTimeout(timer);
  }

  #hasEnded(): boolean {
    return this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
}
