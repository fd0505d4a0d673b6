/**
 * Measures one stage in a process of its own: `node bench/stages/measure.ts <file in bench/stages>`. Prints one
 * JSON object.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Stage, Work } from './stage.ts';

export interface StageFigure {
  readonly name: string;
  /** Processor time of the whole process, its garbage collector and compiler threads included. */
  readonly nanosPerMessage: number;
}

const WARM_UP_MS = 250;
const SLICE_MS = 60;
const SLICES = 7;

const [file = ''] = process.argv.slice(2);
const module = (await import(pathToFileURL(join(import.meta.dirname, file)).href)) as { stage: Stage };
const work = module.stage.prepare();
const expected = await work.run();
await slice(work, WARM_UP_MS);
const slices: number[] = [];
while (slices.length < SLICES) slices.push(await slice(work, SLICE_MS));
slices.sort((a, b) => a - b);
// What else the machine does only ever adds: the median of the quicker half says most about the code.
const figure: StageFigure = {
  name: module.stage.name,
  nanosPerMessage: slices[Math.floor(SLICES / 4)] as number,
};
process.stdout.write(`${JSON.stringify(figure)}\n`);

/** Nanoseconds of processor time a message, over so many milliseconds of it. */
async function slice({ run, messages }: Work, forMs: number): Promise<number> {
  const before = process.cpuUsage();
  let calls = 0;
  for (;;) {
    const result = run();
    // Most steps are done when they return, and shall not pay for a promise.
    if ((typeof result === 'number' ? result : await result) !== expected)
      throw new Error('the stage does not do the same each time');
    calls++;
    const { user, system } = process.cpuUsage(before);
    if (user + system >= forMs * 1_000) return ((user + system) * 1_000) / (calls * messages);
  }
}
