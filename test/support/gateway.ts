import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

import { until } from './until.ts';

const projectRoot = resolve(import.meta.dirname, '../..');

export interface TestGatewayOptions {
  /** Left out, the gateway starts its own local Kafka. */
  readonly bootstrapServers?: string;
  /** The text of sluice.yaml; the shipped profiles lie beside it in `devices`. */
  readonly config?: string;
  /** More files of its folder: path -> text. */
  readonly files?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** A command that runs the one that follows it, in the same process. */
  readonly launcher?: readonly string[];
  /** An existing folder to run in, e.g. that of a gateway that was killed; it is not removed then. */
  readonly folder?: string;
  /** Resolve as soon as the process runs, without waiting for its banner. */
  readonly awaitBanner?: boolean;
}

/** `sluice run` as a process of its own, on ports of its own. */
export class TestGateway {
  readonly folder: string;
  readonly #process: ChildProcess;
  readonly #ownsFolder: boolean;
  #output = '';
  #exit: Promise<number | NodeJS.Signals>;

  private constructor(folder: string, ownsFolder: boolean, child: ChildProcess) {
    this.folder = folder;
    this.#ownsFolder = ownsFolder;
    this.#process = child;
    const collect = (chunk: Buffer): void => {
      this.#output += chunk.toString();
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    this.#exit = new Promise((done) => {
      child.once('exit', (code, signal) => {
        done(code ?? signal ?? 'SIGKILL');
      });
    });
  }

  static async start(options: TestGatewayOptions = {}): Promise<TestGateway> {
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'sluice-gateway-')));
    if (options.folder === undefined) {
      cpSync(join(projectRoot, 'devices'), join(folder, 'devices'), { recursive: true });
      cpSync(join(projectRoot, 'proto'), join(folder, 'proto'), { recursive: true });
      await writeFile(
        join(folder, 'sluice.yaml'),
        options.config ?? 'kafka: { topics: { partitions: 4 } }\n',
      );
    }
    for (const [path, text] of Object.entries(options.files ?? {})) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    const [launcher, ...launcherArguments] = options.launcher ?? [];
    const child = spawn(
      launcher ?? process.execPath,
      [
        ...(launcher === undefined ? [] : [...launcherArguments, process.execPath]),
        join(projectRoot, 'src/cli/main.ts'),
        'run',
        '--config',
        join(folder, 'sluice.yaml'),
        ...(options.args ?? []),
      ],
      {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          ...process.env,
          SLUICE_MQTT__LISTENERS__0__TYPE: 'tcp',
          SLUICE_MQTT__LISTENERS__0__HOST: '127.0.0.1',
          SLUICE_MQTT__LISTENERS__0__PORT: '0',
          SLUICE_ADMIN__PORT: '0',
          ...(options.bootstrapServers === undefined
            ? {}
            : { SLUICE_KAFKA__BOOTSTRAP_SERVERS: options.bootstrapServers }),
          ...options.environment,
        },
      },
    );
    const gateway = new TestGateway(folder, options.folder === undefined, child);
    if (options.awaitBanner ?? true) await gateway.untilRunning();
    return gateway;
  }

  /** Everything it has written so far, stdout and stderr together. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get exited(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  async untilRunning(): Promise<void> {
    await until(() => this.#output.includes('is running') || this.exited, {
      timeoutMs: 90_000,
      what: `the gateway's banner`,
    });
    if (this.exited) throw new Error(`the gateway ended before it ran:\n${this.#output}`);
  }

  get mqttUrl(): string {
    return this.#fromBanner(/mqtt:\/\/[\d.]+:\d+/);
  }

  get adminUrl(): string {
    return this.#fromBanner(/http:\/\/[\d.]+:\d+/);
  }

  #fromBanner(pattern: RegExp): string {
    const [url] = pattern.exec(this.#output) ?? [];
    if (url === undefined) throw new Error(`no ${String(pattern)} in:\n${this.#output}`);
    return url;
  }

  async readiness(): Promise<{
    ready: boolean;
    conditions: { name: string; ready: boolean; reason: string }[];
  }> {
    const response = await fetch(`${this.adminUrl}/readyz`);
    return (await response.json()) as Awaited<ReturnType<TestGateway['readiness']>>;
  }

  async untilReady(timeoutMs = 60_000): Promise<void> {
    await until(async () => (await this.readiness()).ready, { timeoutMs, what: 'the gateway to be ready' });
  }

  /** The sum of a metric's samples; 0 when it isn't there. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.adminUrl}/metrics`)).text();
    return text
      .split('\n')
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** The exit code, or the signal that ended it. */
  async exit(): Promise<number | NodeJS.Signals> {
    return this.#exit;
  }

  async kill9(): Promise<void> {
    this.signal('SIGKILL');
    await this.#exit;
  }

  /** SIGTERM and wait; removes the folder. The exit code. */
  async stop(): Promise<number | NodeJS.Signals> {
    if (!this.exited) this.signal('SIGTERM');
    const code = await this.#exit;
    if (this.#ownsFolder) await rm(this.folder, { recursive: true, force: true });
    return code;
  }
}
