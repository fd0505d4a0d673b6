import { readFileSync } from 'node:fs';
import { RecordSource, type Assignment, type Figures } from './records.ts';

/** A producer under load: sends the records with these numbers, and resolves with the errors once all have results. */
export type SendRecords = (from: number, count: number, source: RecordSource) => Promise<number>;

/** Runs a contestant: warm-up, then the measured records; prints its {@link Figures}. */
export async function contest(
  start: (assignment: Assignment) => Promise<{ send: SendRecords; close: () => Promise<unknown> }>,
): Promise<void> {
  const assignment = JSON.parse(process.argv[2] ?? '') as Assignment;
  const { warmup, records, pool, valueBytes } = assignment;
  const source = new RecordSource(readFileSync(pool), valueBytes);
  const { send, close } = await start(assignment);
  await send(0, warmup, source);

  const startedAtMs = performance.now();
  const before = process.cpuUsage();
  const errors = await send(warmup, records, source);
  const { user, system } = process.cpuUsage(before);
  const figures: Figures = { elapsedMs: performance.now() - startedAtMs, cpuMicros: user + system, errors };
  await close();
  console.log(JSON.stringify(figures));
}
