import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/core/logger.ts';
import {
  acknowledgedButLost,
  balances,
  Ledger,
  State,
  type Figures,
} from '../../../src/delivery/ledger/ledger.ts';
import { ledgerNote, RECOVERED_ACCOUNT, restoreLedger } from '../../../src/delivery/ledger/ledger-note.ts';
import {
  imbalances,
  LedgerWatch,
  type LedgerWatchOptions,
} from '../../../src/delivery/ledger/ledger-watch.ts';
import { ManualClock } from '../../testbed/fleet/manual-clock.ts';
import { until } from '../../support/until.ts';
import { StoreRig } from '../store-rig.ts';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

async function journaled(rig: StoreRig): Promise<void> {
  await rig.journal.flush();
  await until(() => rig.journal.backlog.pendingRecords === 0, { everyMs: 1 });
}

describe('the ledger over a restart', () => {
  it('is exact after a clean stop, type by type, before anything is read', async () => {
    const first = await StoreRig.open();
    for (const number of range(0, 10)) first.send(number, 'd1');
    await journaled(first);
    first.sink.acknowledge();
    for (const number of range(10, 15)) first.send(number, 'd1');
    await journaled(first);
    const before = first.ledger.account('meter').figures;
    await first.close();

    const second = await StoreRig.open({ fs: first.fs });
    expect(second.ledger.account('meter').figures).toEqual({ ...before, open: 0 });
    expect(second.ledger.account('meter').figures).toMatchObject({ produced: 10, openInJournal: 5 });
    expect(second.epoch).toEqual(first.epoch);
    await second.drain();
    expect(second.ledger.account('meter').figures).toMatchObject({
      opened: 15,
      produced: 15,
      openInJournal: 0,
    });
    expect(imbalances(second.ledger, second.journal.backlog.openRecords)).toEqual([]);
    await second.close();
  });

  it('is rebuilt from the journal after a crash, and a new epoch says so', async () => {
    const first = await StoreRig.open();
    for (const number of range(0, 10)) first.send(number, 'd1');
    await journaled(first);
    await first.journal.checkpoint();
    // What the last checkpoint doesn't know of.
    for (const number of range(10, 30)) first.send(number, 'd1');
    await journaled(first);
    const left = await first.crash();

    const second = await StoreRig.open({ fs: left });
    expect(second.epoch).toEqual({ number: 2, sinceMs: 1_000 });
    expect(second.ledger.total()).toMatchObject({ openInJournal: 30 });
    expect(imbalances(second.ledger, 30)).toEqual([]);
    await second.drain();
    await until(() => second.ledger.account(RECOVERED_ACCOUNT).figures.openInJournal === 0, { everyMs: 1 });
    expect(second.ledger.account('meter').figures).toMatchObject({
      opened: 30,
      produced: 30,
      openInJournal: 0,
    });
    expect(second.ledger.account(RECOVERED_ACCOUNT).figures).toMatchObject({ opened: 0, openInJournal: 0 });
    expect(second.balanced).toBe(true);
    await second.close();
  });

  it.each([
    ['a clean stop', true],
    ['a kill -9', false],
  ])('keeps the duplicates that were suppressed over %s, and balances with them', async (_, isClean) => {
    const first = await StoreRig.open();
    for (const number of range(0, 4)) first.send(number, 'd1');
    await journaled(first);
    const account = first.ledger.account('meter');
    // As delivery counts them: see suppressed.test.ts.
    account.move(State.outside, State.suppressed, 3);
    if (!isClean) await first.journal.checkpoint();
    const left = isClean ? first.fs : await first.crash();
    if (isClean) await first.close();

    const second = await StoreRig.open({ fs: left });
    expect(second.ledger.account('meter').figures).toMatchObject({
      opened: 7,
      suppressed: 3,
      openInJournal: 4,
    });
    expect(second.balanced).toBe(true);
    await second.drain();
    expect(second.ledger.account('meter').figures).toMatchObject({ opened: 7, suppressed: 3, produced: 4 });
    expect(acknowledgedButLost(second.ledger.account('meter').figures)).toBe(0);
    expect(imbalances(second.ledger, second.journal.backlog.openRecords)).toEqual([]);
    await second.close();
  });

  it.each([
    ['a clean stop', true],
    ['a kill -9', false],
  ])(
    'counts records of a segment file that is gone as damaged, of the type that they had, after %s',
    async (_, isClean) => {
      const settings = { segmentBytes: 64 << 10 };
      const first = await StoreRig.open({ settings });
      for (const number of range(0, 6))
        first.send(number, 'd1', 't', false, number % 2 === 0 ? 'meter' : 'valve');
      await journaled(first);
      await first.journal.checkpoint();
      // Later than the checkpoint: nobody knows whose these were.
      if (!isClean) for (const number of range(6, 8)) first.send(number, 'd1');
      await journaled(first);
      const left = isClean ? first.fs : await first.crash();
      if (isClean) await first.close();
      const segment = left.paths().find((path) => path.endsWith('.segment'))!;
      left.remove(segment);

      const second = await StoreRig.open({ fs: left, settings });
      const zero = { openInJournal: 0, produced: 0 };
      for (const type of ['meter', 'valve']) {
        expect(second.ledger.account(type).figures).toMatchObject({
          ...zero,
          opened: 3,
          damaged: 3,
          acknowledged: 3,
        });
        expect(acknowledgedButLost(second.ledger.account(type).figures)).toBe(3);
      }
      expect(second.ledger.total()).toMatchObject({ ...zero, opened: 6, damaged: 6 });
      expect(second.balanced).toBe(true);
      expect(imbalances(second.ledger, second.journal.backlog.openRecords)).toEqual([]);
      await second.close();

      // It stays damage over further restarts, and becomes nothing else.
      const third = await StoreRig.open({ fs: left, settings });
      expect(third.ledger.account('meter').figures).toMatchObject({
        opened: 3,
        damaged: 3,
        lostByContract: 0,
      });
      expect(third.balanced).toBe(true);
      await third.close();
    },
  );

  it('counts what contract receive had acknowledged and held in memory as lost by contract', () => {
    const before = new Ledger();
    const account = before.account('sensor');
    account.move(State.outside, State.produced, 7);
    account.move(State.outside, State.open, 5);
    account.acknowledge(10);
    const after = new Ledger();
    restoreLedger(
      after,
      ledgerNote(before, { number: 1, sinceMs: 0 }, false),
      { openRecords: 0, lostRecords: 0 },
      5,
    );
    expect(after.account('sensor').figures).toMatchObject({
      opened: 10,
      produced: 7,
      open: 0,
      lostByContract: 3,
    });
    expect(balances(after.account('sensor').figures)).toBe(true);
    expect(acknowledgedButLost(after.account('sensor').figures)).toBe(0);
  });
});

/** What a defect would make of the books: they say what the test writes, and need not balance. */
class ForgedBooks {
  readonly sensor: Figures = new Ledger().account('sensor').figures;

  figures(): Figures[] {
    return [this.sensor];
  }

  total(): Figures {
    return this.sensor;
  }
}

describe('the watch on the ledger', () => {
  function watchOn(
    ledger: LedgerWatchOptions['ledger'],
    journal: LedgerWatchOptions['journal'] = () => undefined,
  ) {
    const errors: unknown[] = [];
    const logger = { ...silentLogger, error: (fields: unknown) => errors.push(fields) };
    const watch = new LedgerWatch({ ledger, journal, clock: new ManualClock(), logger });
    const alarm = (): unknown =>
      watch
        .metrics()
        .find(({ name }) => name === 'sluice_ledger_imbalanced')
        ?.read();
    return { watch, errors, alarm };
  }

  it('raises the alarm with the numbers when a delivery is in no state, and only if it stays so', () => {
    const books = new ForgedBooks();
    const { watch, errors, alarm } = watchOn(books);
    books.sensor.opened = 3;
    watch.look();
    expect([alarm(), errors.length]).toEqual([0, 0]);
    watch.look();
    expect(alarm()).toBe(1);
    expect(JSON.stringify(errors)).toContain('sensor');
    books.sensor.refused = 3;
    watch.look();
    expect(alarm()).toBe(0);
  });

  it('raises it while devices publish and every figure changes from look to look', () => {
    const books = new ForgedBooks();
    const { watch, errors, alarm } = watchOn(books);
    const account = books.sensor;
    account.opened = 1;
    for (let look = 0; look < 2; look++) {
      account.opened += 100;
      account.produced += 100;
      watch.look();
    }
    expect(alarm()).toBe(1);
    expect(JSON.stringify(errors)).toContain('201');
  });

  it('raises it when ever more are missing, and not for a moment between two steps', () => {
    const epoch = { number: 1, sinceMs: 0 };
    let openRecords = 0;
    const { watch, alarm } = watchOn(new Ledger(), () => ({ epoch, openRecords }));
    for (const missing of [7, 0, 5, 9, 0]) {
      openRecords = missing;
      watch.look();
      expect(alarm()).toBe(0);
    }
    for (openRecords = 1; openRecords <= 6; openRecords++) watch.look();
    expect(alarm()).toBe(1);
  });

  it("notices when the accounts and the journal's own book disagree", () => {
    expect(imbalances(new Ledger(), 4)).toMatchObject([
      { difference: 4, text: 'the journal holds 4 records, and the accounts say 0' },
    ]);
  });
});
