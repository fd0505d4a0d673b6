/**
 * `npm run bench:stages`: what each step of a message's way costs, alone. With `--compare <revision>` the same
 * steps of another revision take turns with them, and the result says which moved beyond noise; the exit code
 * is 1 if one became slower.
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
import { verdict } from './stages/noise.ts';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '..');
/** What lies in bench/stages beside the stages. */
const NO_STAGES = ['stage.ts', 'fleet.ts', 'transcode.ts', 'measure.ts', 'noise.ts'];

interface StagesArguments {
  readonly compare?: string;
  readonly rounds: number;
  readonly only?: readonly string[];
}

await new Command('bench:stages')
  .description('what each step of a message costs, alone; nanoseconds of processor time a message')
  .option('--compare <revision>', 'a git revision to compare the work tree with, e.g. HEAD~1')
  .option('--rounds <number>', 'processes for each stage and revision', wholeNumber(1), 9)
  .option('--only <text>', 'only stages whose file name contains this (may be repeated)', list)
  .action(main)
  .parseAsync();

async function main({ compare, rounds, only }: StagesArguments): Promise<void> {
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
    const { text, slower } = await against(files, rounds, other);
    process.stdout.write(`${text}\n`);
    process.exitCode = slower ? 1 : 0;
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

async function against(
  files: readonly string[],
  rounds: number,
  other: string,
): Promise<{ text: string; slower: boolean }> {
  const rows: string[][] = [];
  let slower = false;
  for (const file of files) {
    const before: number[] = [];
    const after: number[] = [];
    let name = file;
    let reason: string | undefined;
    for (let round = 0; round < rounds && reason === undefined; round++) {
      // In turns, the first of them alternating: a machine that gets busier does so for both.
      for (const isOther of round % 2 === 0 ? [true, false] : [false, true]) {
        try {
          const figure = await measure(isOther ? other : root, file);
          name = figure.name;
          (isOther ? before : after).push(figure.nanosPerMessage);
        } catch (error) {
          if (!isOther) throw error;
          reason = 'that revision has no such stage, or another interface';
          break;
        }
      }
    }
    rows.push(reason === undefined ? compared(name, before, after) : [name, '', '', '', '', reason]);
    if (reason === undefined) {
      const { change, moved } = verdict(before, after);
      slower ||= moved && change > 0;
    }
    process.stderr.write(`${rows.at(-1)?.join(' ') ?? ''}\n`);
  }
  const head = ['stage', 'then ns', 'now ns', 'change', 'p', 'verdict'];
  return { text: plainText({ head, rows, wordColumns: 1 }), slower };
}

function compared(name: string, before: readonly number[], after: readonly number[]): string[] {
  const { change, significance, moved } = verdict(before, after);
  const percent = `${change > 0 ? '+' : ''}${(change * 100).toFixed(1)} %`;
  const word = moved ? (change > 0 ? 'slower' : 'faster') : 'within noise';
  return [name, median(before).toFixed(0), median(after).toFixed(0), percent, significance.toFixed(4), word];
}

async function measure(folder: string, file: string): Promise<StageFigure> {
  const { stdout } = await run(process.execPath, [join(folder, 'bench/stages/measure.ts'), file], {
    cwd: folder,
  });
  return JSON.parse(stdout) as StageFigure;
}

/** The sources of another revision in a folder of their own, measured by the stages as they are now. */
async function checkOut(revision: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-stages-'));
  try {
    const archive = join(folder, 'sources.tar');
    await run('git', ['archive', '--output', archive, revision], { cwd: root });
    await run('tar', ['-xf', archive, '-C', folder]);
    rmSync(join(folder, 'bench'), { recursive: true, force: true });
    cpSync(join(root, 'bench'), join(folder, 'bench'), { recursive: true });
    const modules = join(root, 'node_modules');
    if (existsSync(modules)) symlinkSync(modules, join(folder, 'node_modules'));
    return folder;
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}
