import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { identify } from '../../src/testbed/local-kafka/process-identity.ts';
import { until } from '../support/until.ts';

const RELAY = new URL('../../bin/relay.js', import.meta.url).href;

/** Tells its pid and then each signal; ends with status 7 when it hears SIGTERM. */
const PROGRAM = `
  import { endWithRelay } from '${RELAY}';
  endWithRelay();
  process.on('SIGINT', () => console.log('SIGINT'));
  process.on('SIGTERM', () => { console.log('SIGTERM'); process.exit(7); });
  setInterval(() => {}, 1000);
  console.log(process.pid);
`;

let folder: string;
let relaying: ChildProcess;
let lines: Interface;
let heard: string[];
let programPid: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-relay-'));
  const program = join(folder, 'program.mjs');
  const relay = join(folder, 'relay.mjs');
  await writeFile(program, PROGRAM);
  await writeFile(
    relay,
    `import { relay } from '${RELAY}'; process.exitCode = await relay(process.execPath, ['${program}']);`,
  );
  // Detached, to have a process group to send signals to, as a terminal does.
  relaying = spawn(process.execPath, [relay], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  heard = [];
  lines = createInterface({ input: relaying.stdout! });
  const [pid] = (await once(lines, 'line')) as [string];
  programPid = Number(pid);
  lines.on('line', (line) => heard.push(line));
});

afterEach(async () => {
  relaying.kill('SIGKILL');
  await until(() => identify(programPid) === undefined, { what: 'the program to end' });
  await rm(folder, { recursive: true, force: true });
});

test('a Ctrl-C reaches the program once, however many of its ancestors pass it on', async () => {
  process.kill(-relaying.pid!, 'SIGINT');
  relaying.kill('SIGINT');
  relaying.kill('SIGINT');
  await until(() => heard.length > 0, { what: 'the first SIGINT' });
  relaying.kill('SIGTERM');
  const [status] = (await once(relaying, 'exit')) as [number];
  expect(heard).toEqual(['SIGINT', 'SIGTERM']);
  expect(status).toBe(7);
});

test('the program is told to end in good order when its relay is killed', async () => {
  relaying.kill('SIGKILL');
  await once(lines, 'close');
  expect(heard).toEqual(['SIGTERM']);
});

test('the end of the terminal is an order to end in good order', async () => {
  relaying.kill('SIGHUP');
  const [status] = (await once(relaying, 'exit')) as [number];
  expect(heard).toEqual(['SIGTERM']);
  expect(status).toBe(7);
});
