import { describe, expect, it } from 'vitest';
import { JournalDisk } from '../../../src/journal/disk/journal-disk.ts';
import { MemoryFs } from '../../durable-log/memory-fs.ts';
import { LogLines } from '../../support/log-lines.ts';
import { ManualClock } from '../../testbed/fleet/manual-clock.ts';
import { InlineDisk } from '../inline-disk.ts';
import { openRig, readAll, type Rig } from '../rig.ts';

const YEARS_MS = 56 * 365 * 86_400_000;

/** A machine whose wall clock is set while it runs. */
class SetClock extends ManualClock {
  #setByMs = 0;

  set(byMs: number): void {
    this.#setByMs += byMs;
  }

  override wallMs(): number {
    return super.wallMs() + this.#setByMs;
  }
}

/** A journal whose segments are closed as soon as they may be, and that keeps records for a minute. */
class Aging {
  readonly rig: Rig;
  readonly clock: SetClock;
  readonly log: LogLines;
  readonly dropped: ReadonlyMap<string, number>;

  private constructor(rig: Rig, clock: SetClock, log: LogLines, dropped: ReadonlyMap<string, number>) {
    this.rig = rig;
    this.clock = clock;
    this.log = log;
    this.dropped = dropped;
  }

  static async open(fs = new MemoryFs(), clock = new SetClock(), maxAgeMs = 60_000): Promise<Aging> {
    const log = new LogLines();
    const dropped = new Map<string, number>();
    const settings = { maxAgeMs, segmentMaxAgeMs: 0, checkpointIntervalMs: 1_000 };
    const rig = await openRig(fs, settings, {
      clock,
      logger: log,
      disk: new InlineDisk(new JournalDisk(fs, () => clock.wallMs())),
      onDropped: (account, records) => dropped.set(account, (dropped.get(account) ?? 0) + records),
    });
    return new Aging(rig, clock, log, dropped);
  }

  async append(...numbers: readonly number[]): Promise<void> {
    for (const number of numbers) expect(this.rig.append(number)).toBe(true);
    await this.rig.journal.flush();
  }

  /** Second by second, each with everything that it sets off. */
  async pass(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second++) {
      this.clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async open(): Promise<readonly number[]> {
    return (await readAll(this.rig.journal)).map(({ number }) => number);
  }
}

describe('the age limit', () => {
  it('drops what has waited for longer, with `block` too and nothing behind it, counted and said loudly', async () => {
    const aging = await Aging.open();
    await aging.append(0, 1, 2, 3);
    aging.rig.journal.acknowledge(aging.rig.durable.get(2)!);
    await aging.pass(30);
    await aging.append(4, 5);
    await aging.pass(28);
    expect(await aging.open()).toEqual([0, 1, 3, 4, 5]);
    expect(aging.log.text).not.toContain('error');
    await aging.pass(10);
    expect(await aging.open()).toEqual([4, 5]);
    expect(aging.dropped).toEqual(new Map([['meter', 3]]));
    expect(aging.rig.journal.stats.droppedRecords).toBe(3);
    expect(aging.rig.journal.backlog.openRecords).toBe(2);
    expect(aging.log.text).toContain('error records are older than journal.max.age.ms');
    await aging.pass(40);
    expect(aging.dropped).toEqual(new Map([['meter', 5]]));
    expect(aging.rig.journal.backlog).toMatchObject({ openRecords: 0, usedBytes: 0 });
    await aging.rig.journal.close();
  });

  it('drops nothing unless it is configured', async () => {
    const aging = await Aging.open(undefined, undefined, Number.POSITIVE_INFINITY);
    await aging.append(0, 1);
    await aging.pass(10_000);
    expect(await aging.open()).toEqual([0, 1]);
    await aging.rig.journal.close();
  });

  it('goes by time that passed: a clock that is set by years drops nothing, and keeps nothing', async () => {
    const aging = await Aging.open();
    await aging.append(0, 1);
    await aging.pass(5);
    aging.clock.set(YEARS_MS);
    await aging.pass(20);
    await aging.append(2);
    aging.clock.set(-2 * YEARS_MS);
    await aging.pass(30);
    expect(await aging.open()).toEqual([0, 1, 2]);
    await aging.pass(10);
    expect(await aging.open()).toEqual([2]);
    await aging.rig.journal.close();
  });

  it('counts the time of former gateways, also of one that was killed, and not the time between them', async () => {
    const first = await Aging.open();
    await first.append(0, 1);
    await first.pass(40);
    first.rig.fs.kill();
    const clock = new SetClock();
    clock.set(YEARS_MS);
    const second = await Aging.open(first.rig.fs, clock);
    await second.append(2);
    await second.pass(10);
    expect(await second.open()).toEqual([0, 1, 2]);
    await second.pass(15);
    expect(await second.open()).toEqual([2]);
    expect(second.dropped).toEqual(new Map([['meter', 2]]));
    await second.rig.journal.close();
  });

  it('waits for a disk that does not answer, and drops each record once', async () => {
    const aging = await Aging.open();
    await aging.append(0, 1);
    const { fs } = aging.rig;
    fs.fault = (operation) => {
      if (operation === 'read' || operation === 'write') throw new Error('EIO: injected');
      return undefined;
    };
    await aging.pass(70);
    fs.fault = () => undefined;
    await aging.pass(5);
    expect(aging.dropped).toEqual(new Map([['meter', 2]]));
    expect(aging.rig.journal.backlog.openRecords).toBe(0);
    await aging.rig.journal.close();
  });
});
