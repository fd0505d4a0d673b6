/**
 * `npm run bench:stages`: what each step of a message's way costs, alone. With `--compare <revision>` the same
 * steps of another revision, by its own stages, take turns with them, and the result says which moved beyond noise;
 * the exit code is 1 if one became dearer. Instructions are compared where the machine counts them, which no other
 * work disturbs; elsewhere processor time in many short turns, with its scatter.
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { list, wholeNumber } from '../src/cli/terminal/option-values.ts';
import { median } from './harness/summary.ts';
import { plainText } from './harness/table.ts';
import type { StageFigure } from './stages/measure.ts';
import { INSTRUCTIONS, instructionsPerMessage, isCounted } from './stages/instructions.ts';
import { scatter, verdict } from './stages/noise.ts';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '..');
/** What lies in bench/stages beside the stages. */
const NO_STAGES = ['stage.ts', 'fleet.ts', 'transcode.ts', 'measure.ts', 'noise.ts', 'instructions.ts'];

interface StagesArguments {
  readonly compare?: string;
  readonly rounds: number;
  readonly only?: readonly string[];
  readonly event: string;
}

/** What is compared: a number for a stage of the sources in a folder. */
interface Gauge {
  readonly unit: string;
  read(folder: string, figure: StageFigure, file: string): Promise<number>;
}

await new Command('bench:stages')
  .description('what each step of a message costs, alone; nanoseconds of processor time a message')
  .option('--compare <revision>', 'a git revision to compare the work tree with, e.g. HEAD~1')
  .option('--rounds <number>', 'processes for each stage and revision', wholeNumber(1), 9)
  .option('--only <text>', 'only stages whose file name contains this (may be repeated)', list)
  .option('--event <name>', 'what is compared, as perf calls it, where it can be counted', INSTRUCTIONS)
  .action(main)
  .parseAsync();

async function main({ compare, rounds, only, event }: StagesArguments): Promise<void> {
  const files = globSync('*.ts', { cwd: join(root, 'bench/stages') })
    .filter((file) => !NO_STAGES.includes(file))
    .filter((file) => only?.some((text) => file.includes(text)) ?? true)
    .sort();
  if (files.length === 0) throw new Error(`no stage is called ${(only ?? []).join(', ')}`);
  if (compare === undefined) {
    process.stdout.write(`${await alone(files, rounds)}\n`);
    return;
  }
  const other = await checkOut(compare);
  try {
    const { text, dearer } = await against(files, rounds, other, await gaugeFor(event));
    process.stdout.write(`${text}\n`);
    process.exitCode = dearer ? 1 : 0;
  } finally {
    rmSync(other, { recursive: true, force: true });
  }
}

async function alone(files: readonly string[], rounds: number): Promise<string> {
  const rows: string[][] = [];
  for (const file of files) {
    const figures: StageFigure[] = [];
    for (let round = 0; round < rounds; round++) figures.push(await measure(root, file));
    const nanos = figures.map(({ nanosPerMessage }) => nanosPerMessage);
    rows.push([
      figures[0]?.name ?? file,
      median(nanos).toFixed(0),
      Math.min(...nanos).toFixed(0),
      Math.max(...nanos).toFixed(0),
    ]);
    process.stderr.write(`${rows.at(-1)?.join(' ') ?? ''}\n`);
  }
  return plainText({ head: ['stage', 'ns/message', 'least', 'most'], rows, wordColumns: 1 });
}

/** Counted instructions where there is a counter, or processor time. */
async function gaugeFor(event: string): Promise<Gauge> {
  if (await isCounted(event)) {
    return {
      unit: event,
      read: (folder, figure, file) => instructionsPerMessage(folder, file, event, figure),
    };
  }
  process.stderr.write(`${event} can not be counted on this machine: processor time is compared\n`);
  return { unit: 'ns', read: async (folder, _, file) => (await measure(folder, file)).nanosPerMessage };
}

async function against(
  files: readonly string[],
  rounds: number,
  other: string,
  gauge: Gauge,
): Promise<{ text: string; dearer: boolean }> {
  const rows: string[][] = [];
  let dearer = false;
  for (const file of files) {
    const row = await comparison(file, rounds, other, gauge);
    dearer ||= row.dearer;
    rows.push(row.cells);
    process.stderr.write(`${row.cells.join(' ')}\n`);
  }
  const head = ['stage', `then ${gauge.unit}`, `now ${gauge.unit}`, 'change', 'scatter', 'p', 'verdict'];
  return { text: plainText({ head, rows, wordColumns: 1 }), dearer };
}

async function comparison(
  file: string,
  rounds: number,
  other: string,
  gauge: Gauge,
): Promise<{ cells: string[]; dearer: boolean }> {
  const now = await measure(root, file);
  if (!existsSync(join(other, 'bench/stages', file))) {
    return { cells: [now.name, '', '', '', '', '', 'not in that revision'], dearer: false };
  }
  const before: number[] = [];
  const after: number[] = [];
  for (let round = 0; round < rounds; round++) {
    // In turns, the first of them alternating: a machine that gets busier does so for both.
    for (const isOther of round % 2 === 0 ? [true, false] : [false, true]) {
      (isOther ? before : after).push(await gauge.read(isOther ? other : root, now, file));
    }
  }
  const { change, significance, moved } = verdict(before, after);
  const spread = Math.max(scatter(before), scatter(after));
  const word = moved ? (change > 0 ? 'dearer' : 'cheaper') : 'within noise';
  const cells = [
    now.name,
    median(before).toPrecision(4),
    median(after).toPrecision(4),
    `${change > 0 ? '+' : ''}${(change * 100).toFixed(1)} %`,
    `${(spread * 100).toFixed(1)} %`,
    significance.toFixed(4),
    word,
  ];
  return { cells, dearer: moved && change > 0 };
}

async function measure(folder: string, file: string): Promise<StageFigure> {
  const { stdout } = await run(process.execPath, [join(folder, 'bench/stages/measure.ts'), file], {
    cwd: folder,
  });
  return JSON.parse(stdout) as StageFigure;
}

/** Another revision in a folder of its own, with its own stages: each knows its own sources. Only how is ours. */
async function checkOut(revision: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-stages-'));
  try {
    const archive = join(folder, 'sources.tar');
    await run('git', ['archive', '--output', archive, revision], { cwd: root });
    await run('tar', ['-xf', archive, '-C', folder]);
    for (const file of ['measure.ts', 'stage.ts']) {
      cpSync(join(root, 'bench/stages', file), join(folder, 'bench/stages', file));
    }
    const modules = join(root, 'node_modules');
    if (existsSync(modules)) symlinkSync(modules, join(folder, 'node_modules'));
    return folder;
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}
