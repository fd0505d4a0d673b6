import { spawn, type ChildProcess } from 'node:child_process';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

export interface CommandResult {
  /** null: a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `sluice` command as a process of its own. */
export class SluiceCommand {
  readonly #child: ChildProcess;
  readonly result: Promise<CommandResult>;
  stdout = '';
  stderr = '';

  constructor(args: readonly string[], onOutput: (command: SluiceCommand) => void = () => {}) {
    this.#child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString();
      onOutput(this);
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.result = new Promise((done) => {
      this.#child.once('close', (status) => {
        done({ status, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }
}

/** Runs a command to its end. */
export function sluice(...args: readonly string[]): Promise<CommandResult> {
  return new SluiceCommand(args).result;
}
