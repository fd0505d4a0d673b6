import { memoryBytes } from '../../src/testbed/drill/gateway-process.ts';
import { cpuMicros } from '../harness/process-figures.ts';

/** What a gateway and its process say of themselves at one moment. */
export interface GatewayFigures {
  readonly atMs: number;
  readonly cpuMicros: number;
  readonly residentBytes: number;
  /** Of JavaScript objects, before the next garbage collection. */
  readonly heapBytes: number;
  /** Of buffers. */
  readonly externalBytes: number;
  /** Records that the journal has taken since its start. */
  readonly journaled: number;
  readonly syncs: number;
  /** Records on the disk that Kafka has not acknowledged. */
  readonly open: number;
  readonly journalBytes: number;
}

/** Reads `/metrics`, and what the system says of the process. */
export async function readFigures(metricsUrl: string, pid: number): Promise<GatewayFigures> {
  const values = new Map<string, number>();
  for (const line of (await (await fetch(metricsUrl)).text()).split('\n')) {
    const [, name = '', value] = /^(\w+)(?:\{[^}]*\})? (\S+)$/.exec(line) ?? [];
    if (value === undefined) continue;
    values.set(name, (values.get(name) ?? 0) + Number(value));
  }
  const value = (name: string): number => values.get(name) ?? 0;
  return {
    atMs: performance.now(),
    cpuMicros: cpuMicros(pid),
    residentBytes: memoryBytes(pid).resident,
    heapBytes: value('nodejs_heap_size_used_bytes'),
    externalBytes: value('nodejs_external_memory_bytes'),
    journaled: value('sluice_journal_records_total'),
    syncs: value('sluice_journal_syncs_total'),
    open: value('sluice_journal_open_records'),
    journalBytes: value('sluice_journal_used_bytes'),
  };
}
