import { describe, expect, it } from 'vitest';
import { type Logger, silentLogger } from '../../../src/core/logger.ts';
import { segmentPath } from '../../../src/journal/disk/segment-file.ts';
import { segmentOf } from '../../../src/journal/journal-record.ts';
import type { JournalSettings } from '../../../src/journal/settings.ts';
import { FsError, MemoryFs } from '../../durable-log/memory-fs.ts';
import { openRig, readAll, type Rig } from '../rig.ts';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

function pathOf(rig: Rig, number: number, directory = '/a'): string {
  return segmentPath({ id: segmentOf(rig.durable.get(number)!), directory });
}

/** Appends until there are so many segments; the numbers of each. */
async function fill(rig: Rig, segments: number, from = 0): Promise<number[][]> {
  const bySegment = new Map<number, number[]>();
  for (let number = from; bySegment.size < segments; number++) {
    expect(rig.append(number, 500)).toBe(true);
    await rig.journal.flush();
    const id = segmentOf(rig.durable.get(number)!);
    bySegment.set(id, [...(bySegment.get(id) ?? []), number]);
  }
  return [...bySegment.values()];
}

/** What is logged as an error when the journal is opened. */
async function reopen(
  fs: MemoryFs,
  settings: Partial<JournalSettings> = {},
): Promise<{ readonly rig: Rig; readonly errors: readonly string[] }> {
  const errors: string[] = [];
  const logger: Logger = {
    ...silentLogger,
    error: (fields, text) => errors.push(JSON.stringify([fields, text])),
  };
  return { rig: await openRig(fs, settings, { logger }), errors };
}

describe('a segment file that somebody deleted', () => {
  it.each([
    ['a clean stop', true],
    ['a kill -9', false],
  ])(
    'is reported with what was open in it after %s, and everything else is read in order',
    async (_, isClean) => {
      const first = await openRig();
      const [oldest, middle, newest] = (await fill(first, 3)) as [number[], number[], number[]];
      // Some of what is deleted was done, and is not missed.
      for (const number of middle.slice(0, 5)) first.journal.acknowledge(first.durable.get(number)!);
      await first.journal.checkpoint();
      const left = isClean ? first.fs : first.fs.clone();
      await first.journal.close();
      const gone = pathOf(first, middle[0]!);
      left.remove(gone);

      const { rig, errors } = await reopen(left);
      expect(rig.journal.recovery.damage).toEqual([
        expect.objectContaining({
          segmentId: segmentOf(first.durable.get(middle[0]!)!),
          lostRecords: middle.length - 5,
        }),
      ]);
      expect(errors).toHaveLength(1);
      expect(errors[0]).toContain('"gone":true');
      expect(rig.journal.stats.lostRecords).toBe(middle.length - 5);
      expect(rig.journal.found).toEqual({
        openRecords: oldest.length + newest.length,
        lostRecords: middle.length - 5,
      });
      expect((await readAll(rig.journal)).map(({ number }) => number)).toEqual([...oldest, ...newest]);
      await rig.journal.close();
      // Said once.
      const again = await reopen(left);
      expect(again.errors).toEqual([]);
      await again.rig.journal.close();
    },
  );

  it('is reported when all of them are gone, and when it was begun after the last checkpoint', async () => {
    for (const keepsLast of [false, true]) {
      const first = await openRig();
      await first.journal.checkpoint();
      // A checkpoint knows of the first segments only where it was written with them.
      if (!keepsLast) {
        await fill(first, 2);
        await first.journal.checkpoint();
      }
      const [middle] = keepsLast ? await fill(first, 2) : [[]];
      const left = first.fs.clone();
      await first.journal.close();
      for (const path of left.paths().filter((name) => name.endsWith('.segment'))) {
        if (!keepsLast || path === pathOf(first, middle![0]!)) left.remove(path);
      }
      left.kill();
      const { rig } = await reopen(left);
      expect(rig.journal.found.lostRecords).toBe(keepsLast ? middle!.length : first.durable.size);
      await rig.journal.close();
    }
  });

  it('is noticed while the gateway runs: its records count as lost, and the reader goes on behind it', async () => {
    const rig = await openRig();
    const [oldest, middle, newest] = (await fill(rig, 3)) as [number[], number[], number[]];
    rig.fs.remove(pathOf(rig, middle[0]!));
    expect((await readAll(rig.journal)).map(({ number }) => number)).toEqual([...oldest, ...newest]);
    expect(rig.journal.stats).toMatchObject({ lostRecords: middle.length, damages: 1 });
    expect(rig.journal.backlog.openRecords).toBe(oldest.length + newest.length);
    await rig.journal.close();
  });

  it('is not missed when its records were done, also where no checkpoint could say so before a crash', async () => {
    const first = await openRig();
    const [oldest, ...others] = await fill(first, 3);
    await first.journal.checkpoint();
    const before = first.fs.clone();
    for (const number of oldest!) first.journal.acknowledge(first.durable.get(number)!);
    first.fs.fault = (operation, path) => {
      if (operation === 'sync' && path.includes('checkpoint')) throw new FsError('EIO');
      return undefined;
    };
    await first.journal.checkpoint();
    // Its room is free at once.
    expect(first.fs.content(`${pathOf(first, 0)}.finished`)).toHaveLength(0);
    const unsaid = first.fs.clone();
    for (const path of before.paths())
      if (path.includes('checkpoint')) unsaid.put(path, before.content(path));
    first.fs.fault = () => undefined;
    await first.journal.checkpoint();
    const said = first.fs.clone();
    await first.journal.close();
    for (const fs of [unsaid, said]) {
      const { rig, errors } = await reopen(fs);
      expect(errors).toEqual([]);
      expect(rig.journal.found).toEqual({ openRecords: others.flat().length, lostRecords: 0 });
      await rig.journal.close();
      expect(fs.paths().filter((path) => path.endsWith('.finished'))).toEqual([]);
    }
  });
});

describe('a journal whose checkpoints were deleted', () => {
  it('says that all of it is sent again, and that nobody knows whether something is missing', async () => {
    const first = await openRig();
    await fill(first, 2);
    await first.journal.close();
    for (const path of first.fs.paths()) if (path.includes('checkpoint')) first.fs.remove(path);
    const { rig, errors } = await reopen(first.fs);
    expect(errors).toEqual([expect.stringContaining('no checkpoint')]);
    expect((await readAll(rig.journal)).map(({ number }) => number)).toEqual(range(0, first.durable.size));
    await rig.journal.close();
  });
});

describe('one of several directories of a journal', () => {
  const settings = { directories: ['/a', '/b'] };

  /** Records in both: the first directory does not work for a while. */
  async function inBoth(): Promise<{ readonly rig: Rig; readonly inB: readonly number[] }> {
    const rig = await openRig(new MemoryFs(), settings);
    await fill(rig, 1);
    rig.fs.unplugged.add('/a');
    const inB = (await fill(rig, 3, rig.durable.size)).slice(1).flat();
    rig.fs.unplugged.delete('/a');
    await rig.journal.checkpoint();
    return { rig, inB };
  }

  it('is taken for not mounted when it is empty at the start and records are missing: nothing is given up', async () => {
    const { rig, inB } = await inBoth();
    await rig.journal.close();
    const unmounted = rig.fs.clone();
    for (const path of unmounted.paths()) if (path.startsWith('/b/')) unmounted.remove(path);
    await expect(openRig(unmounted.clone(), settings)).rejects.toThrow(/\/b can't be used.*empty/);
    // Whoever takes it out of the configuration has been told, and goes on.
    const { rig: without } = await reopen(unmounted, { directories: ['/a'] });
    expect(without.journal.found.lostRecords).toBe(inB.length);
    await without.journal.close();
  });

  it('is written to no more when it is unplugged while the gateway runs, and its records wait for it', async () => {
    const { rig, inB } = await inBoth();
    const { fs } = rig;
    const opened: string[] = [];
    fs.unplugged.add('/b');
    fs.fault = (operation, path) => {
      if (operation === 'read' || operation === 'write' || operation === 'sync') return undefined;
      if (operation === 'open') opened.push(path);
      if (path.startsWith('/b')) throw new FsError('ENOENT');
      return undefined;
    };
    const reader = rig.journal.openReader({ from: rig.durable.get(inB[0]!)! });
    await expect(reader.next()).rejects.toMatchObject({ fault: { code: 'ENOENT' } });
    for (const number of inB) rig.journal.acknowledge(rig.durable.get(number)!);
    await rig.journal.checkpoint();
    // Nothing is written where the disk should be.
    expect(opened.filter((path) => path.startsWith('/b/checkpoint'))).toEqual([]);
    expect(opened.filter((path) => path.startsWith('/a/checkpoint'))).not.toEqual([]);
    expect(rig.journal.stats.lostRecords).toBe(0);
    fs.fault = () => undefined;
    fs.unplugged.delete('/b');
    rig.append(10_001);
    await rig.journal.flush();
    rig.journal.acknowledge(rig.durable.get(10_001)!);
    await rig.journal.checkpoint();
    const open = [...rig.durable.keys()].filter((number) => !inB.includes(number) && number !== 10_001);
    expect((await readAll(rig.journal)).map(({ number }) => number)).toEqual(open);
    await rig.journal.close();
    // What was done while its disk was away is removed, and not sent again.
    const { rig: again } = await reopen(fs, settings);
    expect((await readAll(again.journal)).map(({ number }) => number)).toEqual(open);
    await again.journal.close();
  });
});
