import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { POOL_THREADS, sizeThreadPool } from '../../src/assembly/thread-pool.ts';

const root = resolve(import.meta.dirname, '../..');

describe("Node's thread pool", () => {
  it('has a thread more for each that a disk may keep, and keeps what an operator asked beyond', () => {
    const sized = (asked?: string): string | undefined => {
      const environment: NodeJS.ProcessEnv = asked === undefined ? {} : { UV_THREADPOOL_SIZE: asked };
      sizeThreadPool(environment);
      return environment.UV_THREADPOOL_SIZE;
    };
    expect(sized()).toBe(String(POOL_THREADS));
    expect(sized('4')).toBe(String(POOL_THREADS));
    expect(sized('many')).toBe(String(POOL_THREADS));
    expect(sized('64')).toBe('64');
  });

  it.skipIf(!existsSync('/proc/self/task'))('really has them', () => {
    const env = { ...process.env };
    delete env.UV_THREADPOOL_SIZE;
    const child = join(import.meta.dirname, 'thread-pool-process.ts');
    expect(execFileSync(process.execPath, [child], { env, encoding: 'utf8' })).toBe(String(POOL_THREADS));
  });

  it('is used for files by those alone that it is sized for, and at the start and the end of a process', () => {
    const users = globSync('src/**/*.ts', { cwd: root }).filter((file) =>
      /from 'node:fs\/promises'|\bpromises\b[^;]*from 'node:fs'/.test(readFileSync(join(root, file), 'utf8')),
    );
    const otherwise = ['src/assembly/thread-pool.ts', 'src/testbed/', 'src/cli/', 'src/features/capture/'];
    const strays = users.filter((file) => !otherwise.some((place) => file.startsWith(place)));
    expect(strays).toEqual(['src/durable-log/log-directory.ts']);
    // The session store and the audit log; and the command that reads the audit log is a process of its own.
    const logs = globSync('src/**/*.ts', { cwd: root }).filter((file) =>
      readFileSync(join(root, file), 'utf8').includes('new NodeLogDirectory('),
    );
    expect(logs.sort()).toEqual([
      'src/assembly/mqtt-edge.ts',
      'src/features/audit/audit-trail.ts',
      'src/features/audit/command.ts',
    ]);
  });
});
