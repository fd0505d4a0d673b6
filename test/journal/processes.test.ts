import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { DiskThread } from '../../src/journal/disk/disk-thread.ts';
import { Journal } from '../../src/journal/journal.ts';
import { until } from '../support/until.ts';
import { numbered, readAll } from './rig.ts';

let directory: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-journal-'));
});

afterEach(async () => {
  await Promise.all(children.splice(0).map(kill));
  rmSync(directory, { recursive: true, force: true });
});

/** kill -9, and wait until it is gone. */
async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exit;
}

function startWriter(first = 0): { child: ChildProcess; output: () => string } {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'writer-process.ts'), directory, String(first)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  children.push(child);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  return { child, output: () => output };
}

function open(disk?: DiskThread): Promise<Journal> {
  return Journal.open({
    settings: { directories: [directory], segmentBytes: 256 << 10, maxBytes: 256 << 20, stalledAfterMs: 200 },
    clock: systemClock,
    logger: silentLogger,
    ...(disk === undefined ? {} : { disk }),
  });
}

describe('a journal on a real disk', () => {
  it('has after every kill -9 all that it confirmed, at its place, in order, once', async () => {
    const confirmed = new Map<number, number>();
    let first = 0;
    for (let life = 0; life < 4; life++) {
      const { child, output } = startWriter(first);
      await until(() => output().split('\n').length > 300 * (life + 1), {
        everyMs: 10,
        what: 'confirmations',
      });
      await kill(child);
      // A line that the kill cut in two was not heard by anybody.
      for (const line of output().split('\n').slice(0, -1)) {
        const [number, position] = line.split(' ').map(Number);
        if (position !== undefined) confirmed.set(number!, position);
      }
      const journal = await open();
      const found = await readAll(journal);
      expect(journal.recovery.damage).toEqual([]);
      const positions = new Map(found.map(({ number, position }) => [number, position]));
      expect(positions.size).toBe(found.length);
      for (const [number, position] of confirmed) expect(positions.get(number)).toBe(position);
      const numbers = found.map(({ number }) => number);
      expect([...numbers].sort((a, b) => a - b)).toEqual(numbers);
      first = Math.max(...numbers) + 1;
      await journal.close();
    }
    expect(confirmed.size).toBeGreaterThan(1000);
  });

  it('is refused to a second process, by an error that names the first, and given after its kill -9', async () => {
    const owner = startWriter();
    await until(() => owner.output().startsWith('open'), { everyMs: 10 });
    const second = startWriter();
    await until(() => second.output().includes('\n'), { everyMs: 10 });
    expect(second.output()).toContain('refused JOURNAL_LOCKED');
    expect(second.output()).toContain(`process ${owner.child.pid!} on`);
    await expect(open()).rejects.toMatchObject({ code: 'JOURNAL_LOCKED' });
    await kill(owner.child);
    const third = startWriter(1_000_000);
    await until(() => third.output().startsWith('open'), { everyMs: 10 });
  });

  it('is given to one of two processes that ask at the same moment', async () => {
    const rivals = [startWriter(), startWriter()];
    await until(() => rivals.every(({ output }) => output().includes('\n')), { everyMs: 10 });
    expect(rivals.map(({ output }) => output().split(/\s/, 1)[0]).toSorted()).toEqual(['open', 'refused']);
  });

  it('is refused to a second journal of the same process', async () => {
    const journal = await open();
    await expect(open()).rejects.toMatchObject({ code: 'JOURNAL_LOCKED' });
    await journal.close();
    await (await open()).close();
  });

  it('while fdatasync hangs, holds up neither the event loop nor the thread pool', async () => {
    const journal = await open(new DiskThread(new URL('hanging-disk-worker.ts', import.meta.url)));
    const { record, meta } = numbered(1);
    let confirmed = false;
    journal.append(record, meta, { recordJournaled: () => (confirmed = true) }, 1);
    await until(() => journal.health.state === 'stalled', { everyMs: 5 });
    // Every thread of the pool is free: as many compressions as it has threads come back before the disk does.
    await Promise.all(Array.from({ length: 8 }, () => promisify(deflate)(Buffer.alloc(10_000))));
    expect(confirmed).toBe(false);
    await until(() => confirmed, { everyMs: 20 });
    expect(journal.health.state).toBe('ok');
    await journal.close();
  });
});
