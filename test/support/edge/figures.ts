import { appendFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { cpuMicros } from '../../../bench/harness/process-figures.ts';
import { memoryBytes } from '../../../src/drill/process-memory.ts';

/** A gateway's processor time and memory over a stretch of a run. */
export class Stretch {
  readonly #pid: number;
  readonly #sinceMs = performance.now();
  readonly #sinceCpuMicros: number;

  constructor(pid: number) {
    this.#pid = pid;
    this.#sinceCpuMicros = cpuMicros(pid);
  }

  /** Microseconds of processor time for each of so many messages. */
  cpuPerMessage(messages: number): number {
    return (cpuMicros(this.#pid) - this.#sinceCpuMicros) / messages;
  }

  get seconds(): number {
    return (performance.now() - this.#sinceMs) / 1_000;
  }
}

export const residentMiB = (pid: number): number => memoryBytes(pid).resident / 2 ** 20;

/** Prints what was measured, and appends it to the file EDGE_REPORT where that is set. */
export function report(title: string, figures: Readonly<Record<string, number | string | undefined>>): void {
  const texts = Object.entries(figures).map(
    ([name, value]) => `${name} ${typeof value === 'number' ? Number(value.toPrecision(4)) : (value ?? '-')}`,
  );
  const line = `${title}: ${texts.join(', ')}, load average ${loadavg()[0]?.toFixed(1)}\n`;
  process.stdout.write(line);
  const file = process.env.EDGE_REPORT;
  if (file !== undefined && file !== '') appendFileSync(file, line);
}
