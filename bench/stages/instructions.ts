import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { StageFigure } from './measure.ts';

const run = promisify(execFile);

/**
 * Instructions of the program itself, without the kernel's: the same from run to run, however busy the machine is,
 * but for what the compiler and the garbage collector decide. Virtual machines often have no such counter.
 */
export const INSTRUCTIONS = 'instructions:u';

/** How long the calls of one count take, roughly. */
const COUNTED_NANOS = 300e6;

/** Whether this machine counts `event`: perf is installed, may be used, and the processor shows its counters. */
export async function isCounted(event: string): Promise<boolean> {
  try {
    return (await counted(event, process.execPath, ['--version'])) !== undefined;
  } catch {
    return false;
  }
}

/**
 * A stage's instructions a message: a process that makes twice as many calls, less one that makes them once, so that
 * start and warm-up do not count. `like`: a figure of the same stage, which tells how many calls take a while.
 * @throws Error the machine does not count `event`, or the stage fails
 */
export async function instructionsPerMessage(
  folder: string,
  file: string,
  event: string,
  like: StageFigure,
): Promise<number> {
  const calls = Math.max(1, Math.round(COUNTED_NANOS / (like.nanosPerMessage * like.messages)));
  const program = [join(folder, 'bench/stages/measure.ts'), file];
  const once = await counted(event, process.execPath, [...program, String(calls)], folder);
  const twice = await counted(event, process.execPath, [...program, String(2 * calls)], folder);
  if (once === undefined || twice === undefined) throw new Error(`${event} is not counted on this machine`);
  return (twice - once) / (calls * like.messages);
}

async function counted(
  event: string,
  command: string,
  args: readonly string[],
  cwd?: string,
): Promise<number | undefined> {
  const { stderr } = await run('perf', ['stat', '-x', ',', '-e', event, command, ...args], { cwd });
  return countIn(stderr, event);
}

/** The count in what `perf stat -x ,` prints (`<count>,<unit>,<event>,...`); undefined: it could not count that. */
export function countIn(text: string, event: string): number | undefined {
  const line = text.split('\n').find((each) => each.split(',')[2] === event);
  const count = Number(line?.split(',')[0]);
  return Number.isNaN(count) ? undefined : count;
}
