import type { WorkloadOptions } from './workloads.ts';

/** One comparison of the record: a workload, who takes part, and how often. */
export interface PlannedComparison {
  readonly workload: string;
  /** Contestants whose title contains one of these; left out, all. */
  readonly only?: readonly string[];
  readonly rounds: number;
  readonly changes?: WorkloadOptions;
}

/** Each bridge with its own promise, without the other forms of it and without the floors. */
const BRIDGES = ['sluice', 'go: ', 'java: ', '20 ms batches, raw, PUBACK after Kafka'];

/**
 * What docs/performance.md is made from: all workloads, so that on two cores the whole takes some forty minutes. The
 * two that most is read from get everybody and more than one round.
 */
export const RECORD: readonly PlannedComparison[] = [
  { workload: 'saturation', rounds: 3 },
  { workload: 'fleet', rounds: 2 },
  { workload: 'saturation-qos0', rounds: 1 },
  { workload: 'fleet-10k', only: BRIDGES, rounds: 1 },
  { workload: 'fleet-tls', only: BRIDGES, rounds: 1 },
  { workload: 'large', only: BRIDGES, rounds: 1 },
  { workload: 'large-qos0', only: BRIDGES, rounds: 1 },
  { workload: 'burst', only: BRIDGES, rounds: 1 },
  { workload: 'outage', only: BRIDGES, rounds: 1 },
  { workload: 'edge-link', only: BRIDGES, rounds: 1 },
  { workload: 'edge-drain', only: BRIDGES, rounds: 1 },
];

export const SECONDS_A_STUDY_POINT = 5;
