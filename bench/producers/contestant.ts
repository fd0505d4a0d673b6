import { readFileSync } from 'node:fs';
import { RecordSource, type Assignment, type Figures } from './records.ts';

/** So many records between two looks at the clock. */
export const RECORDS_A_LOOK = 1_000;

/**
 * A producer under load: sends records from this number on, {@link RECORDS_A_LOOK} at a time while `goesOn` says so,
 * and resolves once all have results.
 */
export type SendRecords = (
  from: number,
  goesOn: () => boolean,
  source: RecordSource,
) => Promise<{ readonly next: number; readonly errors: number }>;

/** Runs a contestant: warm-up, then the measured records; prints its {@link Figures}. */
export async function contest(
  start: (assignment: Assignment) => Promise<{ send: SendRecords; close: () => Promise<unknown> }>,
): Promise<void> {
  const assignment = JSON.parse(process.argv[2] ?? '') as Assignment;
  const { warmupMs, measuredMs, pool, valueBytes } = assignment;
  const source = new RecordSource(readFileSync(pool), valueBytes);
  const { send, close } = await start(assignment);
  const until = (forMs: number): (() => boolean) => {
    const endMs = performance.now() + forMs;
    return () => performance.now() < endMs;
  };
  const { next: warmedUp } = await send(0, until(warmupMs), source);

  const startedAtMs = performance.now();
  const before = process.cpuUsage();
  const { next, errors } = await send(warmedUp, until(measuredMs), source);
  const { user, system } = process.cpuUsage(before);
  const figures: Figures = {
    warmedUp,
    records: next - warmedUp,
    elapsedMs: performance.now() - startedAtMs,
    cpuMicros: user + system,
    errors,
  };
  await close();
  console.log(JSON.stringify(figures));
}
