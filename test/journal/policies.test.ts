import { describe, expect, it } from 'vitest';
import { DROPPED, emptyJournalRecord } from '../../src/journal/journal-record.ts';
import { MemoryFs } from '../durable-log/memory-fs.ts';
import { numbered, numberOf, openRig, readAll } from './rig.ts';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const small = { segmentBytes: 64 << 10, maxBytes: 256 << 10 };

describe('a full journal', () => {
  it('with `block` lets records wait, and goes on when some are done', async () => {
    const rig = await openRig(new MemoryFs(), small);
    let next = 0;
    while (rig.append(next, 500)) {
      next++;
      await rig.journal.flush();
    }
    expect(rig.journal.health.state).toBe('full');
    let woken = false;
    rig.wait(() => (woken = rig.append(next, 500)));
    for (const position of [...rig.durable.values()].slice(0, 200)) rig.journal.acknowledge(position);
    await rig.journal.checkpoint();
    await rig.journal.flush();
    expect(woken).toBe(true);
    expect(rig.durable.has(next)).toBe(true);
    expect(rig.journal.stats.droppedRecords).toBe(0);
    await rig.journal.close();
  });

  it('with `drop-newest` confirms and drops what comes, and counts it by topic and type', async () => {
    const rig = await openRig(new MemoryFs(), { ...small, whenFull: 'drop-newest' });
    for (let number = 0; number < 1000; number++) {
      expect(rig.append(number, 500)).toBe(true);
      if (number % 20 === 0) await rig.journal.flush();
    }
    await rig.journal.flush();
    const dropped = [...rig.durable].filter(([, position]) => position === DROPPED);
    expect(dropped.length).toBeGreaterThan(400);
    expect(rig.journal.stats.droppedRecords).toBe(dropped.length);
    expect(
      [...rig.journal.stats.dropped.values()].map(({ topic, account }) => `${topic} ${account}`).sort(),
    ).toEqual(['topic-0 meter', 'topic-1 meter']);
    await rig.journal.close();
  });

  it('with `drop-oldest` keeps the newest, drops only what was not done, and counts it by topic and type', async () => {
    const rig = await openRig(new MemoryFs(), { ...small, whenFull: 'drop-oldest' });
    for (let number = 0; number < 1000; number++) {
      while (!rig.append(number, 500))
        await new Promise<void>((resolve) => {
          rig.wait(resolve);
        });
      await rig.journal.flush();
      // Every fourth is done at once.
      if (number % 4 === 0) rig.journal.acknowledge(rig.durable.get(number)!);
    }
    const found = (await readAll(rig.journal)).map(({ number }) => number);
    expect(found).toEqual(range(found[0]!, 1000).filter((number) => number % 4 !== 0));
    const open = range(0, 1000).filter((number) => number % 4 !== 0).length;
    expect(rig.journal.stats.droppedRecords).toBe(open - found.length);
    expect(rig.journal.backlog.openRecords).toBe(found.length);
    await rig.journal.close();
  });
});

describe('a dead partition', () => {
  it('does not pin the disk: its records stay at their place in compacted segments, in order', async () => {
    const fs = new MemoryFs();
    const rig = await openRig(fs);
    for (const number of range(0, 2000)) {
      rig.append(number, 300);
      if (number % 50 === 0) await rig.journal.flush();
    }
    await rig.journal.flush();
    const before = rig.journal.backlog.usedBytes;
    const survivors = range(0, 2000).filter((number) => number % 20 === 3);
    for (const [number, position] of rig.durable) if (number % 20 !== 3) rig.journal.acknowledge(position);
    for (let round = 0; round < 25; round++) await rig.journal.maintain();
    expect(rig.journal.stats.compactions).toBeGreaterThan(5);
    expect(rig.journal.backlog.usedBytes).toBeLessThan(before / 3);
    expect((await readAll(rig.journal)).map(({ number }) => number)).toEqual(survivors);
    fs.kill();
    const again = await openRig(fs);
    const found = await readAll(again.journal);
    expect(found).toEqual(survivors.map((number) => ({ number, position: rig.durable.get(number) })));
    expect(again.journal.stats.lostRecords).toBe(0);
    for (const { position } of found) again.journal.acknowledge(position);
    await again.journal.checkpoint();
    expect(again.journal.backlog.openRecords).toBe(0);
    await again.journal.close();
  });
});

describe('a checkpoint', () => {
  it('keeps what is done across a crash, out of order too, and brings the note back', async () => {
    const rig = await openRig(new MemoryFs(), {}, { note: () => 'balances' });
    for (const number of range(0, 500)) rig.append(number);
    await rig.journal.flush();
    for (const number of range(0, 500).filter((number) => number % 3 !== 0)) {
      rig.journal.acknowledge(rig.durable.get(number)!);
    }
    await rig.journal.checkpoint();
    rig.fs.powerLoss(() => 0);
    const again = await openRig(rig.fs);
    expect(again.journal.recoveredNote).toBe('balances');
    expect((await readAll(again.journal)).map(({ number }) => number)).toEqual(
      range(0, 500).filter((number) => number % 3 === 0),
    );
    await again.journal.close();
  });
});

describe('a claimed record', () => {
  it('is left to whoever claimed it while the process lives, and read by the next one', async () => {
    const rig = await openRig();
    const target = {
      recordJournaled: (token: number, position: number) => {
        if (token < 5) rig.journal.claim(position);
      },
    };
    for (const number of range(0, 10)) {
      const { record, meta } = numbered(number);
      rig.journal.append(record, meta, target, number);
    }
    await rig.journal.flush();
    expect((await readAll(rig.journal)).map(({ number }) => number)).toEqual(range(5, 10));
    await rig.journal.close();
    const again = await openRig(rig.fs);
    expect((await readAll(again.journal)).map(({ number }) => number)).toEqual(range(0, 10));
    await again.journal.close();
  });
});

describe('a reader', () => {
  it('leaves out what it is told to skip, in the same segment and in a later one', async () => {
    const rig = await openRig();
    for (const number of range(0, 400)) {
      rig.append(number, 400);
      if (number % 10 === 9) await rig.journal.flush();
    }
    const reader = rig.journal.openReader();
    const record = emptyJournalRecord();
    const rest = async (): Promise<number[]> => {
      const seen: number[] = [];
      for (let batch; seen.length === 0 && (batch = await reader.next(1000)) !== undefined;) {
        while (batch.next(record)) seen.push(numberOf(record.value));
      }
      return seen;
    };
    await rest();
    const near = reader.position + 20;
    reader.skipTo(near);
    expect((await rest())[0]).toBe([...rig.durable].find(([, position]) => position === near)![0]);
    reader.skipTo(rig.durable.get(333)!);
    reader.skipTo(rig.durable.get(7)!);
    expect((await rest())[0]).toBe(333);
    await rig.journal.close();
  });

  it('begins at a position, follows the tail, and goes on behind what it had', async () => {
    const rig = await openRig();
    for (const number of range(0, 200)) rig.append(number, 400);
    await rig.journal.flush();
    const reader = rig.journal.openReader({ from: rig.durable.get(120)! });
    const record = emptyJournalRecord();
    const seen: number[] = [];
    const take = async (): Promise<void> => {
      for (let batch; (batch = await reader.next(1000)) !== undefined;) {
        while (batch.next(record)) seen.push(numberOf(record.value));
      }
    };
    await take();
    expect(seen).toEqual(range(120, 200));
    const more = reader.more();
    for (const number of range(200, 250)) rig.append(number);
    await more;
    await rig.journal.flush();
    await take();
    expect(seen).toEqual(range(120, 250));
    await rig.journal.close();
  });
});
