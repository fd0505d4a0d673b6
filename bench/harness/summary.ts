import type { Contestant } from './contestants.ts';
import type { RunResult } from './run.ts';

/** A contestant's rounds in one row: medians, because a machine's other work only ever slows a round down. */
export interface Row {
  readonly name: string;
  readonly acknowledges: Contestant['acknowledges'];
  readonly value: Contestant['value'];
  readonly rounds: number;
  readonly perSecond: number;
  readonly cpuMicrosPerMessage: number;
  /** Processor time a message, as a multiple of the first contestant's. */
  readonly ratio: number;
  readonly peakMemoryBytes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** Turns of all rounds that a paced device could not take. */
  readonly missed: number;
  /** Messages of all rounds that Kafka should hold and does not. */
  readonly lost: number;
  /** Records of all rounds that Kafka holds beyond those that it should. */
  readonly repeated: number;
}

/** One row a contestant, in their order; the first one's processor time is the measure of the others. */
export function summarise(contestants: readonly Contestant[], results: readonly RunResult[]): Row[] {
  const rows: Row[] = [];
  for (const contestant of contestants) {
    const runs = results.filter((run) => run.contestant === contestant);
    if (runs.length === 0) continue;
    const cpuMicrosPerMessage = median(runs.map((run) => run.cpuMicrosPerMessage));
    rows.push({
      name: contestant.name,
      acknowledges: contestant.acknowledges,
      value: contestant.value,
      rounds: runs.length,
      perSecond: median(runs.map((run) => run.perSecond)),
      cpuMicrosPerMessage,
      ratio: cpuMicrosPerMessage / (rows[0]?.cpuMicrosPerMessage ?? cpuMicrosPerMessage),
      peakMemoryBytes: median(runs.map((run) => run.peakMemoryBytes)),
      p50Ms: median(runs.map((run) => run.latency.p50Ms)),
      p99Ms: median(runs.map((run) => run.latency.p99Ms)),
      p999Ms: median(runs.map((run) => run.latency.p999Ms)),
      missed: sum(runs.map((run) => run.missed)),
      lost: sum(runs.map((run) => Math.max(0, run.expectedInKafka - run.inKafka))),
      repeated: sum(runs.map((run) => Math.max(0, run.inKafka - run.expectedInKafka))),
    });
  }
  return rows;
}

/** What tells contestants apart: the same bridge may take part in several forms. */
export function titleOf({ name, value, acknowledges }: Contestant): string {
  return `${name}, ${value}, PUBACK ${acknowledges}`;
}

/** The rows as a table of plain text, aligned. */
export function table(rows: readonly Row[]): string {
  const head = [
    'bridge',
    'PUBACK',
    'value',
    'messages/s',
    'CPU us/msg',
    'ratio',
    'peak MB',
    'PUBACK p50',
    'p99 ms',
    'missed',
    'lost',
    'repeated',
  ];
  const cells = rows.map((row) => [
    row.name,
    row.acknowledges,
    row.value,
    count(row.perSecond),
    row.cpuMicrosPerMessage.toFixed(2),
    `${row.ratio.toFixed(2)}x`,
    (row.peakMemoryBytes / 2 ** 20).toFixed(0),
    row.p50Ms.toFixed(1),
    row.p99Ms.toFixed(1),
    count(row.missed),
    count(row.lost),
    count(row.repeated),
  ]);
  const widths = head.map((name, i) => Math.max(name.length, ...cells.map((row) => (row[i] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (i < 3 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(head), ...cells.map(line)].join('\n');
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
