import { renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const PRELOAD = pathToFileURL(resolve(import.meta.dirname, 'shifted-clock.ts')).href;

/** The wall clock of a gateway that runs in a process of its own. */
export class WallClock {
  /** What the gateway's process has to have in its environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly #file: string;

  /** @param folder where the clock's file goes */
  constructor(folder: string) {
    this.#file = join(folder, 'clock-offset');
    this.environment = { NODE_OPTIONS: `--import ${PRELOAD}`, SHIFTED_CLOCK: this.#file };
    this.setOffset(0);
  }

  /** From now on the clock is off by so many milliseconds. */
  setOffset(ms: number): void {
    // In one step: the gateway reads the file at any moment.
    writeFileSync(`${this.#file}.new`, String(Math.round(ms)));
    renameSync(`${this.#file}.new`, this.#file);
  }
}
