import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeFs } from '../../../src/durable-log/file-system.ts';
import { FinishedFiles } from '../../../src/journal/disk/segment-removal.ts';
import { FsError, MemoryFs, type Operation } from '../../durable-log/memory-fs.ts';
import { openRig } from '../rig.ts';

const MIB = 1 << 20;
const PATH = '/a/000000000001.segment';

/** A file of so many bytes, which can be looked at when it has no name any more. */
function fileOf(bytes: number): { fs: MemoryFs; size: () => number } {
  const fs = new MemoryFs();
  fs.put(PATH, Buffer.alloc(bytes));
  const file = fs.open(PATH, 'read');
  return { fs, size: () => file.size() };
}

function failing(fs: MemoryFs, failed: Operation): void {
  fs.fault = (operation) => {
    if (operation === failed) throw new FsError('EIO');
    return undefined;
  };
}

describe('a file that is removed', () => {
  it('has no name at once, and gives its space back in pieces', () => {
    const { fs, size } = fileOf(9 * MIB);
    const files = new FinishedFiles(fs);
    expect(files.remove(PATH)).toBe(true);
    expect(fs.paths()).toEqual([]);
    const sizes: number[] = [];
    while (!files.giveBack()) sizes.push(size() / MIB);
    expect(sizes).toEqual([7, 5, 3, 1]);
    expect(files.giveBack()).toBe(true);
  });

  it('is given back in one piece with others when they are small', () => {
    const fs = new MemoryFs();
    const paths = Array.from({ length: 8 }, (_, i) => `/a/${i}`);
    for (const path of paths) fs.put(path, Buffer.alloc(MIB / 2));
    const files = new FinishedFiles(fs);
    for (const path of paths) files.remove(path);
    expect([files.giveBack(), files.giveBack()]).toEqual([false, true]);
  });

  it('keeps name and content where the disk does not let it go', () => {
    const { fs, size } = fileOf(4 * MIB);
    const files = new FinishedFiles(fs);
    failing(fs, 'remove');
    expect(files.remove(PATH)).toBe(false);
    fs.fault = () => undefined;
    expect(files.giveBack()).toBe(true);
    expect(fs.paths()).toEqual([PATH]);
    expect(size()).toBe(4 * MIB);
  });

  it.each(['open', 'truncate'] as const)('goes at once where it can not be cut (%s)', (operation) => {
    const { fs } = fileOf(4 * MIB);
    const files = new FinishedFiles(fs);
    failing(fs, operation);
    expect(files.remove(PATH)).toBe(true);
    expect(files.giveBack()).toBe(true);
    expect(fs.paths()).toEqual([]);
  });

  it('leaves nothing open on a real disk', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-finished-'));
    try {
      const files = new FinishedFiles(nodeFs);
      const remove = (name: string): void => {
        writeFileSync(join(folder, name), Buffer.alloc(5 * MIB));
        expect(files.remove(join(folder, name))).toBe(true);
      };
      remove('first');
      expect(openBytes(folder)).toEqual([5 * MIB]);
      expect(files.giveBack()).toBe(false);
      expect(openBytes(folder)).toEqual([3 * MIB]);
      while (!files.giveBack());
      expect(openBytes(folder)).toEqual([]);
      remove('second');
      files.close();
      expect(openBytes(folder)).toEqual([]);
      expect(readdirSync(folder)).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** Sizes of files of a folder that this process has open and that have no name. */
function openBytes(folder: string): number[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(folder) ? [statSync(`/proc/self/fd/${fd}`).size] : [];
    } catch {
      // The one that listed the folder.
      return [];
    }
  });
}

describe('while finished segments are removed', () => {
  it('a commit waits for one piece of them, not for all', async () => {
    const fs = new MemoryFs();
    const rig = await openRig(fs, { segmentBytes: 6 * MIB, maxBytes: 48 * MIB, bufferBytes: 16 * MIB });
    let next = 0;
    while (fs.paths().filter((path) => path.endsWith('.segment')).length < 4) {
      rig.append(next++, 1 * MIB);
      await rig.journal.flush();
    }
    for (const position of rig.durable.values()) rig.journal.acknowledge(position);
    const log: string[] = [];
    fs.fault = (operation, path) => {
      if (operation === 'truncate' && log.push('piece') === 1) rig.append(next);
      if (operation === 'sync' && path.endsWith('.segment')) log.push('commit');
      return undefined;
    };
    await rig.journal.checkpoint();
    expect(log.slice(0, 3)).toEqual(['piece', 'commit', 'piece']);
    expect(rig.durable.has(next)).toBe(true);
    // One is kept as a spare, one is written to.
    expect(fs.paths().filter((path) => path.endsWith('.segment'))).toHaveLength(1);
    await rig.journal.close();
  });
});
