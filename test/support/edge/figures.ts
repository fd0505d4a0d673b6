import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { dirname } from 'node:path';
import { describeMachine, machine } from '../../../bench/harness/machine.ts';
import { cpuMicros } from '../../../bench/harness/process-figures.ts';
import { memoryBytes } from '../../../src/testbed/drill/gateway-process.ts';

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

export type Figures = Readonly<Record<string, number | string | undefined>>;

const HEAD = `# Devices at full size

Written by \`npm run test:edge\`: many persistent sessions in front of a gateway and a real Kafka, and calm devices
beside partitions without a leader and devices that flood; 100-byte payloads, raw, a message a second each. That nothing is lost or out
of order and nobody is disconnected fails the test if it is not so; times are measured and compared with what is aimed
at, and never fail it, because they depend on what else the machine does. Gateway, devices and Kafka share the machine;
load is the machine's load average of the last minute. [mqtt.md](mqtt.md#at-full-size) says what the runs are.
`;

/** What runs measured, printed as they end and kept as a page in the file EDGE_REPORT, where that is set. */
export class EdgeReport {
  readonly #machine = machine();
  readonly #rows: string[] = [];

  /** `verdict`: what the figures are to be judged by, and how they do. */
  add(run: string, figures: Figures, verdict = ''): void {
    const texts = Object.entries(figures).map(
      ([name, value]) => `${name} ${typeof value === 'number' ? rounded(value) : (value ?? '-')}`,
    );
    const load = loadavg()[0]?.toFixed(1) ?? '-';
    process.stdout.write(`${run}: ${texts.join('; ')}; ${verdict}; load average ${load}\n`);
    this.#rows.push(`| ${run} | ${texts.join('; ')} | ${verdict} | ${load} |`);
    const file = process.env.EDGE_REPORT;
    if (file === undefined || file === '') return;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, this.#page());
  }

  #page(): string {
    const head = ['| run | figures | verdict | load |', '| --- | --- | --- | ---: |'];
    return [HEAD, `${describeMachine(this.#machine)}.`, '', ...head, ...this.#rows, ''].join('\n');
  }
}

function rounded(value: number): string {
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString('en-US', { maximumFractionDigits: Math.min(digits, 3) });
}

/** How a time compares with that of quiet, of which it should be at most twice as much. */
export function comparedWithQuiet(ms: number | undefined, quietMs: number | undefined): string {
  if (ms === undefined || quietMs === undefined) return 'nothing was acknowledged';
  const ratio = ms / quietMs;
  return `p99 ${ratio.toFixed(2)} times the quiet one (at most 2): ${ratio <= 2 ? 'holds' : 'missed'}`;
}
