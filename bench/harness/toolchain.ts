import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '../..');
const LARGEST_OUTPUT_BYTES = 16 * 2 ** 20;

/** What a benchmark needs and this machine doesn't have: the contestant is left out, with this reason. */
export class Unavailable extends Error {}

/** How a peer that isn't TypeScript is made. */
export interface Recipe {
  /** Its folder under bench/peers. */
  readonly folder: string;
  /** A program that must be there, and the arguments that make it say its version. */
  readonly tool: readonly [program: string, ...versionArguments: string[]];
  /** The command that builds into `out`. */
  command(source: string, out: string): readonly [string, ...string[]];
}

/**
 * Builds a peer into .cache/bench, once for each state of its sources; returns the folder.
 * @throws {Unavailable} when its toolchain is missing or the build fails, e.g. for want of a registry.
 */
export async function build(recipe: Recipe): Promise<string> {
  const { folder, tool } = recipe;
  const source = join(root, 'bench/peers', folder);
  const out = join(root, '.cache/bench', `${folder}-${hashOf(source)}`);
  if (existsSync(out)) return out;

  const [program, ...versionArguments] = tool;
  await run(program, versionArguments).catch(() => {
    throw new Unavailable(`no ${program} on this machine`);
  });
  const unfinished = `${out}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  const [command, ...args] = recipe.command(source, unfinished);
  try {
    await run(command, args, { cwd: source, maxBuffer: LARGEST_OUTPUT_BYTES });
  } catch (error) {
    const { stderr, stdout } = error as { stderr?: string; stdout?: string };
    const words = `${stderr ?? ''}${stdout ?? ''}`.trim().split('\n').slice(-5).join('\n');
    throw new Unavailable(`${command} could not build it:\n${words}`, { cause: error });
  }
  renameSync(unfinished, out);
  return out;
}

function hashOf(folder: string): string {
  const hash = createHash('sha256');
  for (const file of globSync('**/*.*', { cwd: folder }).sort()) {
    const path = join(folder, file);
    hash.update(file);
    // A folder whose name has a dot is no file.
    hash.update(readIfFile(path));
  }
  return hash.digest('hex').slice(0, 12);
}

function readIfFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}
