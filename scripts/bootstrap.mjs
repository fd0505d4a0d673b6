// What stands between a fresh clone and `npm start`: brings the packages that package-lock.json names and a
// Node 24 into node_modules, Kafka's jars where they are wanted, and then runs the command with that Node.
// Plain JavaScript without dependencies, for whatever Node (20 or newer) the machine has.
//
//   node scripts/bootstrap.mjs run --demo               sluice run --demo
//   node scripts/bootstrap.mjs --exec vitest run        a program of node_modules/.bin
//   node scripts/bootstrap.mjs --kafka --exec ...       the same, with Kafka's jars at hand
//
// package.json starts what runs for long with `exec`: npm puts a shell in between, which would die of the signal
// that npm passes on, and leave this process to itself.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NODE_OPTIONS } from '../bin/node-options.js';
import { relay } from '../bin/relay.js';
import { linkCommand } from './link-command.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const binFolder = join(root, 'node_modules', '.bin');
const localNode = join(binFolder, 'node');

const args = process.argv.slice(2);
const wantsKafka = take('--kafka');
const isTool = take('--exec');

if (!packagesAreInstalled()) await installPackages();
linkCommand();
const node = await findNode();
process.env.PATH = [binFolder, process.env.PATH].join(delimiter);
if (wantsKafka) {
  const status = await runTool(node, [join(root, 'scripts', 'fetch-kafka.ts')]);
  if (status !== 0) process.exit(status);
}
process.exitCode = isTool
  ? await runTool(toolPath(args[0] ?? ''), args.slice(1))
  : await relay(node, [...NODE_OPTIONS, join(root, 'bin', 'sluice.js'), ...args]);

/** Takes a leading option off the arguments. */
function take(option) {
  if (args[0] !== option) return false;
  args.shift();
  return true;
}

/**
 * Whether node_modules holds what package-lock.json asks for, by the list that npm keeps there. Packages for
 * other systems are optional, and may be missing.
 */
function packagesAreInstalled() {
  const wanted = readPackages(join(root, 'package-lock.json'));
  const present = readPackages(join(root, 'node_modules', '.package-lock.json'));
  return Object.entries(wanted).every(
    ([path, { version, optional }]) =>
      path === '' || present[path]?.version === version || (optional && present[path] === undefined),
  );
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return {};
  }
}

async function installPackages() {
  // Development dependencies too, whatever NODE_ENV says: the Node that runs everything is one of them.
  await quietly('installing npm packages', [
    'ci',
    '--include=dev',
    '--include=optional',
    '--no-audit',
    '--no-fund',
  ]);
}

/** The Node to run everything with: the clone's own, or this one where it is new enough. */
async function findNode() {
  if (isNewEnough(localNode)) return localNode;
  if (isNewEnough(process.execPath)) return process.execPath;
  // Its binary comes by an install script, and npm may have been told not to run those.
  await quietly('installing Node 24 into node_modules', ['rebuild', 'node', '--ignore-scripts=false']);
  if (isNewEnough(localNode)) return localNode;
  fail(
    `Sluice needs Node.js 24.6 or newer, this is ${process.version}, and npm did not bring one. Install it from nodejs.org.`,
  );
}

function isNewEnough(executable) {
  const version = spawnSync(executable, ['--version'], { encoding: 'utf8' }).stdout ?? '';
  const [major = 0, minor = 0] = version.replace('v', '').split('.').map(Number);
  return major > 24 || (major === 24 && minor >= 6);
}

/** Runs npm with one line of progress; its own output is shown only if it fails. */
async function quietly(what, npmArgs) {
  const started = performance.now();
  const elapsed = () => `${Math.round((performance.now() - started) / 1000)} s`;
  const isTerminal = process.stdout.isTTY;
  process.stdout.write(isTerminal ? `  ${what} ...` : `  ${what} ...\n`);
  const timer = setInterval(() => {
    if (isTerminal) process.stdout.write(`\r  ${what} ... ${elapsed()}`);
  }, 1000);

  // The npm that runs us, on the Node that runs it.
  const npm = process.env.npm_execpath ?? '';
  const [command, first] = basename(npm) === 'npm-cli.js' ? [process.execPath, [npm]] : ['npm', []];
  const child = spawn(command, [...first, ...npmArgs], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const status = await ended(child);
  clearInterval(timer);
  process.stdout.write(isTerminal ? `\r\x1b[K  ${what}: ${elapsed()}\n` : `  ${what}: ${elapsed()}\n`);
  if (status === 0) return;
  process.stderr.write(output);
  process.exit(status);
}

/** A program that shares our terminal and our process group, and so hears a terminal's Ctrl-C by itself. */
async function runTool(command, toolArgs) {
  return ended(spawn(command, toolArgs, { stdio: 'inherit' }));
}

function toolPath(name) {
  if (name === 'node') return node;
  const path = join(binFolder, name);
  if (existsSync(path)) return path;
  return fail(`no program ${name} in node_modules/.bin`);
}

/** Resolves with the child's exit status; passes on the signals that it would not get otherwise. */
async function ended(child) {
  const passOn = (signal) => {
    const fromTerminal = signal === 'SIGINT' && process.stdin.isTTY;
    if (!fromTerminal) child.kill(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, passOn);
  const [status, signal] = await new Promise((resolve) => {
    child.on('error', (error) => fail(error.message));
    child.on('exit', (...how) => resolve(how));
  });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(name, passOn);
  return signal === null ? status : 128 + constants.signals[signal];
}

function fail(why) {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}
