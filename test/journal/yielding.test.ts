import { describe, expect, it } from 'vitest';
import { MemoryFs } from '../durable-log/memory-fs.ts';
import { ManualClock } from '../testbed/fleet/manual-clock.ts';
import { openRig, type Rig } from './rig.ts';

/** A journal beside a producer that may lack processor time. */
class Busy {
  readonly clock = new ManualClock();
  behind = false;

  open(): Promise<Rig> {
    return openRig(new MemoryFs(), {}, { clock: this.clock, shouldYield: () => this.behind });
  }

  /** Time passes, and what it sets off happens. */
  async pass(milliseconds: number): Promise<void> {
    for (let ms = 0; ms < milliseconds; ms++) {
      this.clock.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

async function appendAndPass(busy: Busy, rig: Rig, number: number, milliseconds: number): Promise<number> {
  expect(rig.append(number)).toBe(true);
  await busy.pass(milliseconds);
  return rig.durable.size;
}

describe('commits of the journal while the producer lacks processor time', () => {
  it('begin at once as long as it does not', async () => {
    const busy = new Busy();
    const rig = await busy.open();
    for (let number = 1; number <= 5; number++)
      expect(await appendAndPass(busy, rig, number, 1)).toBe(number);
    await rig.journal.close();
  });

  it('are late, by 20 ms after the one before at most, and take with them all that came meanwhile', async () => {
    const busy = new Busy();
    const rig = await busy.open();
    expect(await appendAndPass(busy, rig, 1, 1)).toBe(1);
    const { syncs } = rig.journal.stats;
    busy.behind = true;
    for (let number = 2; number <= 10; number++) expect(await appendAndPass(busy, rig, number, 1)).toBe(1);
    await busy.pass(15);
    expect(rig.durable.size).toBe(10);
    expect(rig.journal.stats.syncs).toBe(syncs + 1);
    await rig.journal.close();
  });

  it('begin as soon as it has caught up', async () => {
    const busy = new Busy();
    const rig = await busy.open();
    expect(await appendAndPass(busy, rig, 1, 1)).toBe(1);
    busy.behind = true;
    expect(await appendAndPass(busy, rig, 2, 3)).toBe(1);
    busy.behind = false;
    await busy.pass(2);
    expect(rig.durable.size).toBe(2);
    await rig.journal.close();
  });

  it('are not late where somebody waits for them: a flush', async () => {
    const busy = new Busy();
    const rig = await busy.open();
    expect(await appendAndPass(busy, rig, 1, 1)).toBe(1);
    busy.behind = true;
    expect(rig.append(2)).toBe(true);
    await rig.journal.flush();
    expect(rig.durable.size).toBe(2);
    await rig.journal.close();
  });
});
