import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { DrillError } from './drill.ts';

/**
 * Resident memory of a process now, and the most there has been since its start; bytes. Linux only.
 * @throws Error where /proc doesn't have the process
 */
export function memoryBytes(pid: number): { readonly resident: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytesOf = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return { resident: bytesOf('VmRSS'), peak: bytesOf('VmHWM') };
}

export interface GatewayProcessOptions {
  /** In its working directory. */
  readonly configFile: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

/** The script behind the command `sluice`; the same place seen from src/ and from dist/. */
const ENTRY = resolve(import.meta.dirname, '../../../bin/sluice.js');
const START_TIMEOUT_MS = 60_000;
/** Enough to see why it ended. */
const LINES_KEPT = 12;
const LISTENS_AT = /^\s*MQTT\s+mqtt:\/\/[^\s:]+:(\d+)/m;

/** `sluice run` as a process of its own, in a session of its own: a terminal's Ctrl-C is not for it. */
export class GatewayProcess {
  readonly #child: ChildProcess;
  readonly #exit = Promise.withResolvers<number | NodeJS.Signals>();
  readonly #lines: string[] = [];
  #rest = '';
  #mqttPort = Promise.withResolvers<number>();

  /**
   * Resolves when it accepts devices.
   * @throws {DrillError} `DRILL_GATEWAY` with its last lines
   */
  static async start(options: GatewayProcessOptions): Promise<{ gateway: GatewayProcess; mqttPort: number }> {
    const gateway = new GatewayProcess(options);
    const timeUp = Promise.withResolvers<undefined>();
    const cancel = options.clock.schedule(() => timeUp.resolve(undefined), START_TIMEOUT_MS);
    try {
      const ended = gateway.#exit.promise.then(() => undefined);
      const mqttPort = await Promise.race([gateway.#mqttPort.promise, ended, timeUp.promise]);
      if (mqttPort !== undefined) return { gateway, mqttPort };
      const problem = `the gateway under test did not start; it said:\n${gateway.lastWords}`;
      throw new DrillError('DRILL_GATEWAY', problem);
    } catch (error) {
      await gateway.kill9();
      throw error;
    } finally {
      cancel();
    }
  }

  private constructor({ configFile, environment }: GatewayProcessOptions) {
    this.#child = spawn(process.execPath, [...process.execArgv, ENTRY, 'run', '--config', configFile], {
      cwd: dirname(configFile),
      detached: true,
      // The channel ends with this process, whatever ends it, and the gateway with the channel.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...environment },
    });
    for (const output of [this.#child.stdout, this.#child.stderr]) {
      output?.on('data', (chunk: Buffer) => this.#read(chunk.toString()));
    }
    this.#child.once('error', (error) => {
      this.#read(`${error.message}\n`);
      this.#exit.resolve('SIGKILL');
    });
    this.#child.once('close', (code, signal) => this.#exit.resolve(code ?? signal ?? 'SIGKILL'));
  }

  /** Its exit status, or the signal that ended it. */
  get exited(): Promise<number | NodeJS.Signals> {
    return this.#exit.promise;
  }

  /** The end of what it has written. */
  get lastWords(): string {
    return this.#lines.join('\n');
  }

  /** undefined where the system doesn't tell, or the process is gone. */
  residentBytes(): number | undefined {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return undefined;
    try {
      return memoryBytes(pid).resident;
    } catch {
      return undefined;
    }
  }

  /** Resolves when it is gone. */
  async kill9(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exit.promise;
  }

  /** SIGTERM, and kill -9 if it has not ended after `timeoutMs`. */
  async stop(clock: Clock, timeoutMs: number): Promise<number | NodeJS.Signals> {
    this.#child.kill('SIGTERM');
    const cancel = clock.schedule(() => {
      this.#child.kill('SIGKILL');
    }, timeoutMs);
    const exit = await this.#exit.promise;
    cancel();
    return exit;
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    // A line without an end is not kept for ever.
    this.#rest = (lines.pop() ?? '').slice(-4_096);
    for (const line of lines) {
      const port = LISTENS_AT.exec(line)?.[1];
      if (port !== undefined) this.#mqttPort.resolve(Number(port));
      if (line.trim() !== '') this.#lines.push(line);
    }
    this.#lines.splice(0, Math.max(0, this.#lines.length - LINES_KEPT));
  }
}
