import { describe, expect, it } from 'vitest';
import { emptyJournalRecord } from '../../src/journal/journal-record.ts';
import { FsError, MemoryFs } from '../durable-log/memory-fs.ts';
import { until } from '../support/until.ts';
import { numbered, numberOf, openRig, readAll } from './rig.ts';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const withResolvers = (): { promise: Promise<void>; resolve: () => void } => {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => (resolve = done));
  return {
    promise,
    resolve: () => {
      resolve();
    },
  };
};
const quickly = { everyMs: 5 };

describe('an acknowledgement', () => {
  it('never comes before the fdatasync that covers its record', async () => {
    const fs = new MemoryFs();
    const rig = await openRig(fs);
    const target = { recordJournaled: (token: number) => fs.log.push(`done ${token}`) };
    let next = 0;
    for (let round = 0; round < 30; round++) {
      for (let count = 1 + (round % 7); count > 0; count--) {
        const { record, meta } = numbered(next);
        fs.log.push(`append ${next}`);
        rig.journal.append(record, meta, target, next++);
      }
      await rig.journal.flush();
    }
    await rig.journal.close();
    for (let number = 0; number < next; number++) {
      const appended = fs.log.indexOf(`append ${number}`);
      const between = fs.log.slice(appended + 1, fs.log.indexOf(`done ${number}`));
      const disk = between.filter((line) => line.includes('.segment'));
      expect(disk.some((line) => line.startsWith('write'))).toBe(true);
      // Nothing was written after the last sync, so that the sync covers all that was written.
      expect(disk.at(-1)).toMatch(/^sync/);
    }
  });
});

describe.each(['ENOSPC', 'EIO', 'EROFS'])('a disk that answers %s', (code) => {
  it.each(['open', 'write', 'sync'] as const)(
    'to %s: records wait, the state says why, and all is well again without a restart',
    async (failing) => {
      const fs = new MemoryFs();
      const rig = await openRig(fs, { bufferBytes: 1 << 20 });
      for (const number of range(0, 100)) rig.append(number);
      await rig.journal.flush();

      fs.fault = (operation, path) => {
        if (operation === failing && path.includes('.segment')) throw new FsError(code);
        // A disk that takes no writes does not make new files either.
        if (operation === 'open' && failing !== 'open' && path.includes('.segment') && code === 'EROFS') {
          throw new FsError(code);
        }
        return undefined;
      };
      // The segment that is open goes on while only making new ones fails; fill it.
      let next = 100;
      let room = true;
      while (room && next < 100_000) room = rig.append(next, 200) && ++next > 0;
      expect(room).toBe(false);
      await until(() => rig.journal.health.state === 'faulty', { ...quickly, what: 'the fault to show' });
      expect(rig.journal.health.code).toBe(code);
      expect(rig.durable.size).toBeLessThan(next);

      let woken = false;
      rig.wait(() => (woken = true));
      fs.fault = () => undefined;
      await until(() => rig.durable.size === next, { ...quickly, what: 'all records to be durable' });
      expect(woken).toBe(true);
      expect(rig.journal.health.state).toBe('ok');
      expect((await readAll(rig.journal)).map(({ number }) => number)).toEqual(range(0, next));
      await rig.journal.close();

      const again = await openRig(fs);
      expect((await readAll(again.journal)).map(({ number }) => number)).toEqual(range(0, next));
      await again.journal.close();
    },
  );
});

describe.each(['ENOSPC', 'EIO', 'EROFS'])('a checkpoint that answers %s', (code) => {
  it.each(['open', 'write', 'sync'] as const)(
    'to %s: records go on, the state says so, and the ledger and what is done are kept when it is written again',
    async (failing) => {
      const fs = new MemoryFs();
      let note = 'before';
      const rig = await openRig(fs, {}, { note: () => note });
      for (const number of range(0, 10)) rig.append(number);
      await rig.journal.flush();
      fs.fault = (operation, path) => {
        if (operation === failing && path.includes('checkpoint')) throw new FsError(code);
        return undefined;
      };
      for (const number of range(0, 5)) rig.journal.acknowledge(rig.durable.get(number)!);
      note = 'balances';
      await rig.journal.maintain();
      expect(rig.journal.health).toMatchObject({ state: 'degraded' });
      rig.append(10);
      await rig.journal.flush();
      expect(rig.durable.size).toBe(11);

      fs.fault = () => undefined;
      await rig.journal.maintain();
      expect(rig.journal.health.state).toBe('ok');
      fs.kill();
      const again = await openRig(fs);
      expect(again.journal.recoveredNote).toBe('balances');
      expect((await readAll(again.journal)).map(({ number }) => number)).toEqual(range(5, 11));
      await again.journal.close();
    },
  );
});

describe('a failed fdatasync', () => {
  it('makes the records be written again in another segment, and they are read once', async () => {
    const fs = new MemoryFs();
    const rig = await openRig(fs);
    for (const number of range(0, 10)) rig.append(number);
    await rig.journal.flush();
    const before = fs.paths().filter((path) => path.endsWith('.segment'));
    let failures = 1;
    fs.fault = (operation, path) => {
      if (operation === 'sync' && path.includes('.segment') && failures-- > 0) throw new FsError('EIO');
      // Nor can the untrusted bytes be cut off.
      if (operation === 'truncate') throw new FsError('EIO');
      return undefined;
    };
    for (const number of range(10, 20)) rig.append(number);
    await rig.journal.flush();
    expect(fs.paths().filter((path) => path.endsWith('.segment')).length).toBe(before.length + 1);
    fs.kill();
    const again = await openRig(fs);
    expect((await readAll(again.journal)).map(({ number }) => number)).toEqual(range(0, 20));
    await again.journal.close();
  });
});

describe('a disk that writes less than it was given', () => {
  it('makes the journal write the rest, and every record is read back', async () => {
    const fs = new MemoryFs();
    const rig = await openRig(fs);
    let count = 0;
    fs.fault = (operation) => (operation === 'write' ? 1 + ((count += 37) % 300) : undefined);
    for (const number of range(0, 500)) rig.append(number);
    await rig.journal.flush();
    // So many writes were cut short: a commit of a thousand bytes and more takes some.
    expect(count).toBeGreaterThan(37 * 20);
    expect(rig.journal.health).toEqual({ state: 'ok' });
    expect((await readAll(rig.journal)).map(({ number }) => number)).toEqual(range(0, 500));
    await rig.journal.close();
  });
});

describe('a disk that hangs', () => {
  it('confirms nothing, says so, and bounds what waits in memory', async () => {
    const rig = await openRig(new MemoryFs(), { bufferBytes: 1 << 20, stalledAfterMs: 20 });
    const { promise, resolve } = withResolvers();
    rig.disk.gate = promise;
    let next = 0;
    while (rig.append(next, 200)) next++;
    expect(rig.journal.backlog.pendingRecords).toBe(next);
    await until(() => rig.journal.health.state === 'stalled', { ...quickly, what: 'the stall to show' });
    expect(rig.durable.size).toBe(0);
    resolve();
    await until(() => rig.durable.size === next, quickly);
    expect(rig.journal.health.state).toBe('ok');
    await rig.journal.close();
  });
});

describe('a journal in several directories', () => {
  it('writes to another when one fails, and the records stay in order across them', async () => {
    const fs = new MemoryFs();
    const settings = { directories: ['/a', '/b'] };
    const rig = await openRig(fs, settings);
    for (const number of range(0, 50)) rig.append(number);
    await rig.journal.flush();
    fs.fault = (operation, path) => {
      if (path.startsWith('/a/') && (operation === 'write' || operation === 'open')) throw new FsError('EIO');
      return undefined;
    };
    for (const number of range(50, 100)) rig.append(number);
    await rig.journal.flush();
    expect(rig.journal.health.state).toBe('degraded');
    expect(fs.paths().some((path) => path.startsWith('/b/') && path.endsWith('.segment'))).toBe(true);
    fs.fault = () => undefined;
    // The next segment is begun in the preferred directory again.
    let next = 100;
    while (rig.journal.health.state !== 'ok') {
      rig.append(next++, 4000);
      await rig.journal.flush();
    }
    await rig.journal.close();
    const again = await openRig(fs, settings);
    expect((await readAll(again.journal)).map(({ number }) => number)).toEqual(range(0, next));
    await again.journal.close();
  });

  it('says that one that stands by is unplugged before it is needed, and is well when it is back', async () => {
    const fs = new MemoryFs();
    const rig = await openRig(fs, { directories: ['/a', '/b'] });
    const journalOne = async (number: number): Promise<void> => {
      rig.append(number);
      await rig.journal.flush();
      rig.journal.acknowledge(rig.durable.get(number)!);
      await rig.journal.checkpoint();
      // A commit asks the disk how it is.
      rig.append(number + 1);
      await rig.journal.flush();
    };
    await journalOne(0);
    expect(rig.journal.health.state).toBe('ok');
    fs.unplugged.add('/b');
    await journalOne(2);
    expect(rig.journal.health).toMatchObject({ state: 'degraded', code: 'JOURNAL_DIRECTORY_GONE' });
    expect(rig.journal.health.reason).toMatch(/^\/b: /);
    fs.unplugged.delete('/b');
    await journalOne(4);
    expect(rig.journal.health).toEqual({ state: 'ok' });
    await rig.journal.close();
  });

  it('is well again when all failed and are back, though only one of them is written to', async () => {
    const fs = new MemoryFs();
    const rig = await openRig(fs, { directories: ['/a', '/b'] });
    rig.append(0);
    await rig.journal.flush();
    fs.fault = (operation, path) => {
      if (operation === 'sync' && path.endsWith('.segment')) throw new FsError('EIO');
      return undefined;
    };
    rig.append(1);
    await until(() => rig.journal.health.state === 'faulty', { ...quickly, what: 'the fault to show' });
    fs.fault = () => undefined;
    await rig.journal.flush();
    rig.journal.acknowledge(rig.durable.get(0)!);
    await rig.journal.checkpoint();
    rig.append(2);
    await rig.journal.flush();
    expect(rig.journal.health).toEqual({ state: 'ok' });
    await rig.journal.close();
  });

  it('is refused when one of them can not be used at the start, and the message says what to do', async () => {
    const fs = new MemoryFs();
    fs.fault = (operation, path) => {
      if (operation === 'list' && path === '/b') throw new FsError('EACCES');
      return undefined;
    };
    const refused = openRig(fs, { directories: ['/a', '/b'] });
    await expect(refused).rejects.toMatchObject({ code: 'JOURNAL_UNAVAILABLE' });
    const message = /^the journal directory .* can't be used: EACCES.*; mount it or correct its permissions/;
    await expect(refused).rejects.toThrow(message);
  });
});

describe('a disk that fails while it is read', () => {
  it('lets the same reader go on when it is well again, and nothing is skipped', async () => {
    const rig = await openRig();
    for (const number of range(0, 300)) rig.append(number);
    await rig.journal.flush();
    const reader = rig.journal.openReader();
    rig.fs.fault = (operation) => {
      if (operation === 'read') throw new FsError('EIO');
      return undefined;
    };
    await expect(reader.next()).rejects.toMatchObject({ fault: { code: 'EIO' } });
    rig.fs.fault = () => undefined;
    const record = emptyJournalRecord();
    const seen: number[] = [];
    for (let batch; (batch = await reader.next()) !== undefined;) {
      while (batch.next(record)) seen.push(numberOf(record.value));
    }
    expect(seen).toEqual(range(0, 300));
    expect(rig.journal.stats.lostRecords).toBe(0);
    await rig.journal.close();
  });
});
