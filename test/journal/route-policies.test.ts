import { describe, expect, it } from 'vitest';
import type { FullPolicy } from '../../src/core/profile/profile.ts';
import { DROPPED, emptyJournalRecord, type Position } from '../../src/journal/journal-record.ts';
import type { WaitingRoom } from '../../src/journal/room/journal-room.ts';
import { FsError, MemoryFs } from '../durable-log/memory-fs.ts';
import { until } from '../support/until.ts';
import { numbered, numberOf, openRig, type Rig } from './rig.ts';

const small = { segmentBytes: 64 << 10, maxBytes: 256 << 10 };
const quickly = { everyMs: 1 };

/** One journal for routes of which each has its own policy. */
class Routes {
  readonly rig: Rig;
  /** By account: number -> position. */
  readonly confirmed = new Map<string, Map<number, Position>>();
  readonly dropped: ReadonlyMap<string, number>;

  private constructor(rig: Rig, dropped: ReadonlyMap<string, number>) {
    this.rig = rig;
    this.dropped = dropped;
  }

  static async open(policies: Readonly<Record<string, FullPolicy>>, fs = new MemoryFs()): Promise<Routes> {
    const dropped = new Map<string, number>();
    const rig = await openRig(fs, small, {
      policyOf: (account) => policies[account],
      onDropped: (account, records) => dropped.set(account, (dropped.get(account) ?? 0) + records),
    });
    return new Routes(rig, dropped);
  }

  /** undefined: taken. */
  append(account: string, number: number, size = 500): WaitingRoom | undefined {
    const { record, meta } = numbered(number, size);
    const confirmed = this.confirmed.get(account) ?? new Map<number, Position>();
    this.confirmed.set(account, confirmed);
    const target = { recordJournaled: (token: number, position: Position) => confirmed.set(token, position) };
    const refusal = this.rig.journal.append(record, { ...meta, account }, target, number);
    if (refusal instanceof Error) throw refusal;
    return refusal;
  }

  /** Appends until it has to wait. The next number. */
  async fill(account: string, first = 0): Promise<number> {
    let next = first;
    while (this.append(account, next) === undefined) {
      next++;
      await this.rig.journal.flush();
    }
    return next;
  }

  /** What is open, by account, in order. */
  async open(): Promise<Record<string, number[]>> {
    const reader = this.rig.journal.openReader();
    const record = emptyJournalRecord();
    const found: Record<string, number[]> = {};
    for (let batch; (batch = await reader.next(4096)) !== undefined;) {
      while (batch.next(record)) (found[record.account] ??= []).push(numberOf(record.value));
    }
    return found;
  }
}

describe('routes with policies of their own in one full journal', () => {
  it('with `drop-oldest` give up their own oldest records alone, and what that makes room for is their own', async () => {
    const routes = await Routes.open({ keeps: 'block', spills: 'drop-oldest' });
    const { journal } = routes.rig;
    let number = 0;
    for (let room = true; room; number++) {
      room = routes.append(number % 2 === 0 ? 'keeps' : 'spills', number) === undefined;
      await journal.flush();
    }
    // The first one that has to wait may be of either.
    const kept = [...(routes.confirmed.get('keeps') ?? [])].map(([first]) => first);
    let keeperTaken = false;
    routes.append('keeps', 1_000_000)?.wait(() => (keeperTaken = true));
    expect(keeperTaken).toBe(false);

    for (let next = 2_000_001; next < 2_000_201; next++) {
      for (
        let room = routes.append('spills', next);
        room !== undefined;
        room = routes.append('spills', next)
      ) {
        const free = room;
        await new Promise<void>((resolve) => {
          free.wait(resolve);
        });
      }
      await journal.flush();
    }
    const { keeps, spills } = await routes.open();
    expect(keeps).toEqual(kept);
    expect(keeperTaken).toBe(false);
    // The newest of the other, in order, and without a gap.
    const all = [...routes.confirmed.get('spills')!.keys()];
    expect(spills).toEqual(all.slice(all.length - spills!.length));
    expect(spills!.at(-1)).toBe(2_000_200);
    expect(routes.dropped).toEqual(new Map([['spills', all.length - spills!.length]]));
    expect(journal.stats.droppedRecords).toBe(all.length - spills!.length);
    expect(journal.backlog.usedBytes).toBeLessThanOrEqual(small.maxBytes);

    // When there is room that nobody gave up, who waited has it.
    for (const [, position] of routes.confirmed.get('keeps')!) journal.acknowledge(position);
    await until(() => keeperTaken, { ...quickly, what: 'room for the route that waits' });
    await journal.close();
  });

  it('with `drop-newest` drop what comes of that route, while others wait', async () => {
    const routes = await Routes.open({ keeps: 'block', skips: 'drop-newest' });
    const next = await routes.fill('keeps');
    for (let number = next; number < next + 50; number++) {
      expect(routes.append('skips', number)).toBeUndefined();
      expect(routes.append('keeps', number)).toBeDefined();
    }
    expect([...routes.confirmed.get('skips')!.values()]).toEqual(Array.from({ length: 50 }, () => DROPPED));
    expect(routes.rig.journal.stats.droppedRecords).toBe(50);
    expect(await routes.open()).toEqual({ keeps: Array.from({ length: next }, (_, index) => index) });
    await routes.rig.journal.close();
  });

  it('with `drop-oldest` and nothing of their own in there wait like the others, and drop nothing of theirs', async () => {
    const routes = await Routes.open({ keeps: 'block', spills: 'drop-oldest' });
    const { journal } = routes.rig;
    const next = await routes.fill('keeps');
    let taken = false;
    const room = routes.append('spills', next);
    expect(room).toBeDefined();
    room?.wait(() => (taken = routes.append('spills', next) === undefined));
    await journal.maintain();
    expect(journal.stats.droppedRecords).toBe(0);
    expect((await routes.open()).keeps).toHaveLength(next);
    for (const [, position] of routes.confirmed.get('keeps')!) journal.acknowledge(position);
    await until(() => taken, { ...quickly, what: 'room' });
    await journal.close();
  });

  it('do not get back what they gave up after a crash, and nothing else is given up', async () => {
    const routes = await Routes.open({ keeps: 'block', spills: 'drop-oldest' });
    const { journal, fs } = routes.rig;
    for (let number = 0; journal.stats.droppedRecords === 0; number++) {
      const account = number % 3 === 0 ? 'keeps' : 'spills';
      const room = routes.append(account, number);
      if (room !== undefined && account === 'spills') {
        await new Promise<void>((resolve) => {
          room.wait(resolve);
        });
      }
      await journal.flush();
    }
    await journal.checkpoint();
    const before = await routes.open();
    fs.powerLoss(() => 0);
    const again = await Routes.open({}, fs);
    expect(await again.open()).toEqual(before);
    await again.rig.journal.close();
  });

  it('on a disk without space give up what may go, and everybody goes on', async () => {
    const routes = await Routes.open({ keeps: 'block', spills: 'drop-oldest' });
    const { journal, fs } = routes.rig;
    for (let number = 0; number < 200; number++) {
      routes.append(number < 150 ? 'spills' : 'keeps', number);
      await journal.flush();
    }
    // The disk has as much as it has now, and not a byte more.
    const bytes = (): number =>
      fs.paths().reduce((sum, path) => sum + (path.endsWith('.segment') ? fs.content(path).length : 0), 0);
    const limit = bytes();
    fs.fault = (operation, path) => {
      if (operation === 'write' && path.endsWith('.segment') && bytes() > limit - 20_000) {
        throw new FsError('ENOSPC');
      }
      return undefined;
    };
    for (let number = 200; number < 220; number++) expect(routes.append('keeps', number)).toBeUndefined();
    await journal.flush();
    fs.fault = () => undefined;
    expect((await routes.open()).keeps).toEqual(Array.from({ length: 70 }, (_, index) => 150 + index));
    expect([...routes.dropped.keys()]).toEqual(['spills']);
    expect(journal.health.state).toBe('ok');
    await journal.close();
  });
});
