import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { identify, isRunning, signal } from '../../../src/testbed/local-kafka/process-identity.ts';

let child: ChildProcess;

beforeEach(async () => {
  child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(child, 'spawn');
});

afterEach(() => {
  child.kill('SIGKILL');
});

test('a process keeps its identity as long as it runs, and has none afterwards', async () => {
  const identity = identify(child.pid!)!;
  expect(identify(child.pid!)).toEqual(identity);
  expect(isRunning(identity)).toBe(true);
  expect(signal(identity, 'SIGKILL')).toBe(true);
  await once(child, 'exit');
  expect(isRunning(identity)).toBe(false);
  expect(signal(identity, 'SIGKILL')).toBe(false);
});

test('another process with the same pid is not taken for the one that was meant', () => {
  const predecessor = { ...identify(child.pid!)!, startedAt: 'an earlier boot:42' };
  expect(isRunning(predecessor)).toBe(false);
  expect(signal(predecessor, 'SIGKILL')).toBe(false);
  expect(child.exitCode).toBeNull();
  expect(child.signalCode).toBeNull();
});
