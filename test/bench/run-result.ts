import type { Contestant } from '../../bench/harness/contestants.ts';
import type { RunResult } from '../../bench/harness/run.ts';

/** A run without losses that has this cost. */
export function runResult(
  contestant: Contestant,
  cpuMicrosPerMessage: number,
  changes: Partial<RunResult> = {},
): RunResult {
  return {
    contestant,
    messages: 1_000,
    perSecond: 100_000,
    cpuMicrosPerMessage,
    peakMemoryBytes: 100 * 2 ** 20,
    latency: { count: 1_000, p50Ms: 1, p99Ms: 2, p999Ms: 3, maxMs: 4 },
    sentPerSecond: 100_000,
    missed: 0,
    acknowledged: 1_000,
    expectedInKafka: 2_000,
    inKafka: 2_000,
    kafkaBytesPerMessage: 50,
    ...changes,
  };
}
