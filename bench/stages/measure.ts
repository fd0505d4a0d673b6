/**
 * Measures one stage in a process of its own: `node bench/stages/measure.ts <file in bench/stages>` prints one JSON
 * object. With a number behind the file it makes so many calls after the warm-up instead and ends, for whoever
 * counts from outside (`perf stat`).
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Stage, Work } from './stage.ts';

export interface StageFigure {
  readonly name: string;
  /** Messages of one call. */
  readonly messages: number;
  /** Processor time of the whole process, its garbage collector and compiler threads included. */
  readonly nanosPerMessage: number;
}

const WARM_UP_MS = 250;
/** Many short turns: what else the machine does hits some of them, and leaves the others alone. */
const SLICE_MS = 20;
const SLICES = 30;

const [file = '', calls] = process.argv.slice(2);
const module = (await import(pathToFileURL(join(import.meta.dirname, file)).href)) as { stage: Stage };
const work = module.stage.prepare();
const expected = await work.run();
await slice(work, WARM_UP_MS);
if (calls === undefined) {
  const slices: number[] = [];
  while (slices.length < SLICES) slices.push(await slice(work, SLICE_MS));
  slices.sort((a, b) => a - b);
  // Other work only ever adds: the median of the quicker half says most about the code.
  const figure: StageFigure = {
    name: module.stage.name,
    messages: work.messages,
    nanosPerMessage: slices[Math.floor(SLICES / 4)] as number,
  };
  process.stdout.write(`${JSON.stringify(figure)}\n`);
} else {
  for (let left = Number(calls); left > 0; left--) await call(work);
}

/** Nanoseconds of processor time a message, over so many milliseconds of it. */
async function slice(work: Work, forMs: number): Promise<number> {
  const before = process.cpuUsage();
  let calls = 0;
  for (;;) {
    const pending = call(work);
    // Most steps are done when they return, and shall not pay for a promise.
    if (pending !== undefined) await pending;
    calls++;
    const { user, system } = process.cpuUsage(before);
    if (user + system >= forMs * 1_000) return ((user + system) * 1_000) / (calls * work.messages);
  }
}

function call({ run }: Work): Promise<void> | undefined {
  const result = run();
  if (typeof result !== 'number') return result.then(check);
  check(result);
  return undefined;
}

function check(result: number): void {
  if (result !== expected) throw new Error('the stage does not do the same each time');
}
