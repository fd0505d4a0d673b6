#!/usr/bin/env -S MALLOC_ARENA_MAX=1 node --max-semi-space-size=4 --expose-gc
// The command `sluice`, in a clone (sources, run as they are) and in an installed package (built JavaScript).
// This file and what it imports must be readable to Node 18, to tell people with an old Node what to do.
import { existsSync, realpathSync } from 'node:fs';
import module from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { NODE_OPTIONS } from './node-options.js';
import { endWithRelay, relay } from './relay.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(root, 'src', 'cli', 'main.ts');
const isClone = existsSync(source);

if (isNewEnough(process.versions.node)) {
  if (isClone && !existsSync(join(root, 'node_modules'))) {
    fail('the packages that it needs are not installed yet: npm ci (or npm start, which does everything)');
  }
  endWithRelay();
  endWithReader();
  // What V8 compiled, and of a clone the JavaScript of its sources: the next start takes half the time. In a
  // folder that is ours, since whoever can write to it decides what runs; where it can't be written, without. The journal's
  // thread knows of it by the environment: else it translates its sources anew, and takes 30 MB more for that.
  const compiled = join(root, '.cache', 'compiled');
  if (module.enableCompileCache(compiled).directory !== undefined) process.env.NODE_COMPILE_CACHE = compiled;
  await import(pathToFileURL(isClone ? source : join(root, 'dist', 'cli', 'main.js')).href);
} else {
  // The clone's own Node 24, a development dependency.
  const node = join(root, 'node_modules', '.bin', 'node');
  if (!isClone) fail('it needs Node.js 24.6 or newer, and this is ' + process.version);
  if (!existsSync(node)) {
    fail(`it needs Node.js 24.6 or newer, and this is ${process.version}: npm ci brings one into this clone`);
  }
  // A Node of this clone that is too old itself would start itself for ever.
  if (realpathSync(node) === realpathSync(process.execPath)) {
    fail(
      `it needs Node.js 24.6 or newer, and this clone's own is ${process.version}: npm ci brings a newer one`,
    );
  }
  process.exitCode = await relay(node, [
    ...NODE_OPTIONS,
    fileURLToPath(import.meta.url),
    ...process.argv.slice(2),
  ]);
}

/**
 * Output that nobody reads any more must not end the gateway in the middle of its work, as an error on stdout
 * would. A closed terminal (EIO) sends SIGHUP besides; a closed pipe (EPIPE, `sluice tail | head`) sends
 * nothing that Node passes on, and so is taken for an order to end.
 */
function endWithReader() {
  let isEnding = false;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => {
      if (error.code === 'EIO' || isEnding) return;
      isEnding = true;
      process.kill(process.pid, 'SIGTERM');
    });
  }
}

/** package.json's `engines`. */
function isNewEnough(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 24 || (major === 24 && minor >= 6);
}

function fail(why) {
  process.stderr.write(`sluice: ${why}\n`);
  process.exit(1);
}
