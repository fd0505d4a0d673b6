import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { HEADER_BYTES, readHeader } from '../../src/durable-log/file-header.ts';
import { NodeLogDirectory } from '../../src/durable-log/log-directory.ts';
import { LogFile, readGroups } from '../../src/durable-log/log-file.ts';
import { MemoryDirectory } from './memory-directory.ts';

const KIND = { magic: 'SLUICETT', version: 1 };
const GROUPS = [['a', 'bb', ''], ['c'], ['d'.repeat(300), 'e']];
const ALL = GROUPS.flat();

async function written(): Promise<Buffer> {
  const directory = new MemoryDirectory();
  const log = await LogFile.create(directory, 'log', KIND);
  for (const group of GROUPS) await log.append(group.map((text) => Buffer.from(text)));
  const { bytes } = directory.files.get('log')!;
  expect(bytes.length).toBe(log.bytes);
  return bytes;
}

function read(bytes: Buffer): { records: string[]; committed: number; damaged: number; torn: number } {
  const found = { records: [] as string[], committed: 0, damaged: 0, torn: 0 };
  const [header] = readHeader(bytes, KIND.magic);
  if (header === undefined) return found;
  for (const { records, committed, damagedBytes = 0, tornBytes = 0 } of readGroups(bytes, header)) {
    found.records.push(...records.map((record) => record.toString()));
    if (committed) found.committed += records.length;
    found.damaged += damagedBytes;
    found.torn += tornBytes;
  }
  return found;
}

describe('a log file', () => {
  it('is read as it was written', async () => {
    expect(read(await written())).toEqual({ records: ALL, committed: ALL.length, damaged: 0, torn: 0 });
  });

  it('cut at any byte gives back a beginning of what was written, and is torn, never damaged', async () => {
    const bytes = await written();
    let whole = 0;
    for (let end = HEADER_BYTES; end < bytes.length; end++) {
      const { records, committed, damaged, torn } = read(bytes.subarray(0, end));
      if (torn === 0 && committed === records.length) whole++;
      expect(records, `cut at ${end}`).toEqual(ALL.slice(0, records.length));
      expect([0, 3, 4]).toContain(committed);
      expect(damaged).toBe(0);
    }
    // Only where a group ends is nothing torn: behind the header, and behind the first two groups.
    expect(whole).toBe(3);
  });

  it('with any byte changed loses one record, or some of the last group, says so, and gives back nothing else', async () => {
    const bytes = await written();
    for (let at = HEADER_BYTES; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 0x40;
      const { records, committed, damaged, torn } = read(changed);
      expect(
        ALL.filter((text) => records.includes(text)),
        `byte ${at}`,
      ).toEqual(records);
      // What is in the last group is not known to be whole when its commit frame is gone.
      const isSaid = damaged > 0 || torn > 0 || committed < ALL.length;
      expect(isSaid, `byte ${at}`).toBe(true);
      if (damaged > 0) expect(ALL.length - records.length).toBeLessThanOrEqual(1);
      else expect(records.slice(0, 4), `byte ${at}`).toEqual(ALL.slice(0, 4));
    }
  });

  it('shows no record that is not on stable storage where the commit frame follows the sync', async () => {
    const directory = new MemoryDirectory();
    const log = await LogFile.create(directory, 'log', KIND);
    await log.appendSynced([Buffer.from('first')]);
    directory.fault = (operation) => (operation === 'sync' ? Promise.reject(new Error('EIO')) : undefined);
    await expect(log.appendSynced([Buffer.from('second')])).rejects.toThrow('EIO');
    expect(read(directory.files.get('log')!.bytes)).toMatchObject({
      records: ['first', 'second'],
      committed: 1,
    });
  });

  it('belongs to its owner alone, as does its directory, and is never opened over another', async () => {
    const parent = await mkdtemp(join(tmpdir(), 'sluice-log-'));
    onTestFinished(() => rm(parent, { recursive: true, force: true }));
    const directory = new NodeLogDirectory(join(parent, 'new', 'logs'));
    await directory.lock();
    const log = await LogFile.create(directory, 'log', KIND);
    await log.appendSynced([Buffer.from('x')]);
    await log.close();
    expect((await stat(directory.path)).mode & 0o777).toBe(0o700);
    expect((await stat(join(directory.path, 'log'))).mode & 0o777).toBe(0o600);
    await expect(directory.create('log')).rejects.toMatchObject({ code: 'EEXIST' });
    expect(read(await directory.read('log')).records).toEqual(['x']);
    directory.unlock();
  });
});
