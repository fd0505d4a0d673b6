import { titleOf } from './contestants.ts';
import type { Contestant } from './contestants.ts';
import type { RunResult } from './run.ts';

/** A contestant's rounds in one row: medians, because a machine's other work only ever slows a round down. */
export interface Row {
  readonly title: string;
  readonly name: string;
  readonly acknowledges: Contestant['acknowledges'];
  readonly value: Contestant['value'];
  readonly rounds: number;
  readonly messages: number;
  readonly perSecond: number;
  readonly cpuMicrosPerMessage: number;
  /** The least and the most of the rounds. */
  readonly cpuMicrosRange: readonly [number, number];
  /** Processor time a message, as a multiple of the first contestant's. */
  readonly ratio: number;
  readonly peakMemoryBytes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly kafkaBytesPerMessage: number;
  /** Turns of all rounds that a paced device could not take. */
  readonly missed: number;
  /** Messages of all rounds that Kafka should hold and does not. */
  readonly lost: number;
  /** Records of all rounds that Kafka holds beyond those that it should. */
  readonly repeated: number;
  /** After Kafka hung, until nothing was behind any more. */
  readonly caughtUpMs?: number;
}

/** One row a contestant, in their order; the first one's processor time is the measure of the others. */
export function summarise(contestants: readonly Contestant[], results: readonly RunResult[]): Row[] {
  const rows: Row[] = [];
  for (const contestant of contestants) {
    const runs = results.filter((run) => run.contestant === contestant);
    if (runs.length === 0) continue;
    const cpu = runs.map((run) => run.cpuMicrosPerMessage);
    const cpuMicrosPerMessage = median(cpu);
    const caughtUp = runs.flatMap((run) => run.caughtUpMs ?? []);
    rows.push({
      title: titleOf(contestant),
      name: contestant.name,
      acknowledges: contestant.acknowledges,
      value: contestant.value,
      rounds: runs.length,
      messages: runs[0]?.messages ?? 0,
      perSecond: median(runs.map((run) => run.perSecond)),
      cpuMicrosPerMessage,
      cpuMicrosRange: [Math.min(...cpu), Math.max(...cpu)],
      ratio: cpuMicrosPerMessage / (rows[0]?.cpuMicrosPerMessage ?? cpuMicrosPerMessage),
      peakMemoryBytes: median(runs.map((run) => run.peakMemoryBytes)),
      p50Ms: median(runs.map((run) => run.latency.p50Ms)),
      p99Ms: median(runs.map((run) => run.latency.p99Ms)),
      p999Ms: median(runs.map((run) => run.latency.p999Ms)),
      kafkaBytesPerMessage: median(runs.map((run) => run.kafkaBytesPerMessage)),
      missed: sum(runs.map((run) => run.missed)),
      lost: sum(runs.map((run) => Math.max(0, run.expectedInKafka - run.inKafka))),
      repeated: sum(runs.map((run) => Math.max(0, run.inKafka - run.expectedInKafka))),
      ...(caughtUp.length === 0 ? {} : { caughtUpMs: median(caughtUp) }),
    });
  }
  return rows;
}

/** The middle one; of an even number, the mean of the two in the middle; 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
