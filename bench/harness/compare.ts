import type { BenchKafka } from './bench-kafka.ts';
import { titleOf } from './contestants.ts';
import type { Contestant } from './contestants.ts';
import type { Skipped, WorkloadReport } from './report.ts';
import { runOnce } from './run.ts';
import type { RunResult } from './run.ts';
import { summarise } from './summary.ts';
import { Unavailable } from './toolchain.ts';
import type { Workload } from './workloads.ts';

/** Contestants that can run here, and those that can't. */
export interface Field {
  readonly ready: readonly Contestant[];
  readonly absent: readonly Skipped[];
}

/** Builds what has to be built. */
export async function prepare(
  contestants: readonly Contestant[],
  say: (text: string) => void,
): Promise<Field> {
  const ready: Contestant[] = [];
  const absent: Skipped[] = [];
  for (const contestant of contestants) {
    const title = titleOf(contestant);
    say(`preparing ${title}`);
    try {
      await contestant.prepare();
      ready.push(contestant);
    } catch (error) {
      absent.push({ title, reason: reasonOf(error) });
    }
  }
  return { ready, absent };
}

/** One workload, all contestants in turn, in an order that alternates from round to round. */
export async function compare(
  workload: Workload,
  field: Field,
  rounds: number,
  kafka: BenchKafka,
  say: (text: string) => void,
): Promise<WorkloadReport> {
  const skipped = new Map<Contestant, string>();
  const contestants = field.ready.filter((each) => each.concerns?.(workload) ?? true);
  for (const contestant of contestants) {
    const reason = contestant.unfit?.(workload);
    if (reason !== undefined) skipped.set(contestant, reason);
  }
  const results: RunResult[] = [];
  for (let round = 1; round <= rounds; round++) {
    const order = round % 2 === 1 ? contestants : contestants.toReversed();
    for (const [turn, contestant] of order.entries()) {
      if (skipped.has(contestant)) continue;
      say(`${workload.name}, round ${round} of ${rounds}: ${titleOf(contestant)}`);
      try {
        const result = await runOnce(contestant, workload, kafka, `bench-${workload.name}-${round}-${turn}`);
        const { perSecond, cpuMicrosPerMessage } = result;
        say(`  ${Math.round(perSecond)} messages/s, ${cpuMicrosPerMessage.toFixed(2)} us of CPU a message`);
        results.push(result);
      } catch (error) {
        // One that breaks under this load must not end the whole comparison; but it is not tried again.
        say(`  ${String(error)}`);
        skipped.set(contestant, reasonOf(error));
      }
    }
  }
  const left = [...skipped].map(([contestant, reason]) => ({ title: titleOf(contestant), reason }));
  return {
    workload,
    rows: summarise(contestants, results),
    skipped: [...field.absent, ...left],
    results,
  };
}

function reasonOf(error: unknown): string {
  if (error instanceof Unavailable) return error.message;
  return `it failed: ${error instanceof Error ? error.message : String(error)}`;
}
