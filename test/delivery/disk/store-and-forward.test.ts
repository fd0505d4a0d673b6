import { afterEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../../../src/core/errors.ts';
import { Outcome } from '../../../src/core/publication.ts';
import { acknowledgedButLost } from '../../../src/delivery/ledger/ledger.ts';
import { FsError } from '../../durable-log/memory-fs.ts';
import { until } from '../../support/until.ts';
import { GatedSink, StoreRig } from '../store-rig.ts';

const rigs: StoreRig[] = [];

async function open(given: Parameters<typeof StoreRig.open>[0] = {}): Promise<StoreRig> {
  const rig = await StoreRig.open(given);
  rigs.push(rig);
  return rig;
}

afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.close();
});

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

function states(rig: StoreRig): Record<string, string> {
  return Object.fromEntries(rig.store.lanes().map((lane) => [`${lane.topic}-${lane.partition}`, lane.way]));
}

async function settle(rig: StoreRig): Promise<void> {
  await rig.journal.flush();
  await until(() => rig.journal.backlog.pendingRecords === 0, { everyMs: 1 });
}

describe('contract journal', () => {
  it('acknowledges a device when the disk has the record, and forgets the record when Kafka has it', async () => {
    const rig = await open();
    expect(rig.send(1, 'd0')).toBe(true);
    expect(rig.outcomes.size).toBe(0);
    await settle(rig);
    expect([...rig.outcomes]).toEqual([[1, Outcome.Delivered]]);
    expect(rig.ledger.total()).toMatchObject({ opened: 1, open: 0, openInJournal: 1, acknowledged: 1 });
    expect(rig.journal.backlog.openRecords).toBe(1);
    rig.sink.acknowledge();
    expect(rig.journal.backlog.openRecords).toBe(0);
    expect(rig.ledger.total()).toMatchObject({ produced: 1, openInJournal: 0 });
    expect(rig.balanced).toBe(true);
  });

  it('tells a device nothing before the fdatasync that covers its record', async () => {
    const rig = await open();
    rig.sink.shut.add('t-0');
    const told: boolean[] = [];
    rig.fs.fault = (operation, path) => {
      // Devices that were told before the first sync were told too early.
      if (operation === 'sync' && path.endsWith('.segment')) told.push(rig.outcomes.size > 0);
      return undefined;
    };
    for (const number of range(0, 50)) rig.send(number, 'd0');
    await until(() => rig.outcomes.size === 50, { everyMs: 1 });
    expect(told[0]).toBe(false);
  });

  it('acknowledges a device when Kafka has the record, if that is sooner', async () => {
    const rig = await open();
    let go = (): void => {};
    rig.disk.gate = new Promise((resolve) => (go = resolve));
    rig.send(1, 'd0');
    rig.sink.acknowledge();
    expect(rig.outcomes.get(1)).toBe(Outcome.Delivered);
    expect(rig.balanced).toBe(true);
    go();
    await settle(rig);
    expect(rig.journal.backlog.openRecords).toBe(0);
    expect(rig.ledger.total()).toMatchObject({ opened: 1, produced: 1, open: 0, openInJournal: 0 });
  });

  it('takes everything while nothing of Kafka is known, and sends it in order when it is', async () => {
    const sink = new GatedSink();
    sink.shut.add('t');
    sink.connectedBrokers = 0;
    const rig = await open({ sink });
    for (const number of range(0, 400)) expect(rig.send(number, `d${number % 4}`)).toBe(true);
    await settle(rig);
    expect(rig.outcomes.size).toBe(400);
    expect(states(rig)).toEqual({ 't--1': 'spilling' });
    expect(rig.ledger.total()).toMatchObject({ openInJournal: 400, acknowledged: 400 });

    sink.connectedBrokers = 1;
    sink.open('t');
    await rig.drain();
    for (const device of range(0, 4)) {
      const expected = range(0, 400).filter((number) => number % 4 === device);
      expect(sink.log.get(`t-${device}`)).toEqual(expected.map((number) => `d${device}#${number}`));
    }
    expect(rig.ledger.total()).toMatchObject({ produced: 400, openInJournal: 0 });
    expect(rig.balanced).toBe(true);
  });

  it('keeps the order of a partition from direct to the disk and back, while devices go on', async () => {
    const rig = await open();
    let number = 0;
    const send = (count: number): void => {
      for (let i = 0; i < count; i++) if (rig.send(number, 'd1')) number++;
    };
    send(10);
    rig.sink.shut.add('t-1');
    send(50);
    expect(states(rig)).toEqual({ 't-1': 'draining' });
    await settle(rig);
    rig.sink.open('t-1');
    await until(
      () => {
        rig.sink.acknowledge();
        send(3);
        return states(rig)['t-1'] === 'direct';
      },
      { everyMs: 1, what: 'the lane to be direct again' },
    );
    send(10);
    await rig.drain();
    expect(rig.sink.log.get('t-1')).toEqual(range(0, number).map((n) => `d1#${n}`));
    expect(rig.outcomes.size).toBe(number);
    expect(acknowledgedButLost(rig.ledger.total())).toBe(0);
  });

  it('one dead partition holds up none of the others, neither live nor from the disk, and loses nothing', async () => {
    const rig = await open();
    rig.sink.shut.add('t-2');
    for (const number of range(0, 40)) rig.send(number, `d${number % 4}`);
    rig.sink.acknowledge();
    expect(rig.sink.log.get('t-3')).toHaveLength(10);
    rig.sink.shut.add('t-3');
    for (const number of range(40, 80)) rig.send(number, `d${number % 4}`);
    await settle(rig);
    rig.sink.open('t-3');
    await until(
      () => {
        rig.sink.acknowledge();
        return rig.sink.log.get('t-3')!.length === 20;
      },
      { what: 'the records of the living partition' },
    );
    expect(states(rig)['t-2']).toBe('spilling');
    rig.sink.open('t-2');
    await rig.drain();
    for (const device of range(0, 4)) {
      const expected = range(0, 80).filter((number) => number % 4 === device);
      expect(rig.sink.log.get(`t-${device}`)).toEqual(expected.map((number) => `d${device}#${number}`));
    }
    expect(rig.balanced).toBe(true);
  });

  it('after a crash sends what Kafka had not acknowledged, before anything newer of the same key', async () => {
    const first = await open();
    first.sink.shut.add('t-1');
    for (const number of range(0, 20)) first.send(number, `d${number % 2}`);
    await settle(first);
    const left = await first.crash();

    const sink = new GatedSink();
    const second = await open({ fs: left, sink });
    for (const number of range(20, 40)) second.send(number, `d${number % 2}`);
    await second.drain();
    for (const device of range(0, 2)) {
      const expected = range(0, 40).filter((number) => number % 2 === device);
      expect(sink.log.get(`t-${device}`)).toEqual(expected.map((number) => `d${device}#${number}`));
    }
    expect(second.ledger.account('meter').figures).toMatchObject({
      opened: 40,
      produced: 40,
      openInJournal: 0,
    });
    expect(second.balanced).toBe(true);
  });

  it('when a topic gets more partitions in an outage, everything arrives once', async () => {
    const rig = await open();
    rig.sink.shut.add('t-1').add('t-3');
    for (const number of range(0, 40)) rig.send(number, `d${number % 4}`);
    await settle(rig);
    rig.sink.partitions = 8;
    for (const number of range(40, 80)) rig.send(number, `d${number % 8}`);
    rig.sink.open('t-1');
    rig.sink.open('t-3');
    await rig.drain();
    const sent = [...rig.sink.log.values()].flat();
    expect(sent).toHaveLength(80);
    expect(new Set(sent.map((value) => value.split('#')[1])).size).toBe(80);
  });

  it('devices wait while the disk is full, and nothing is lost', async () => {
    const rig = await open({ settings: { maxBytes: 1 << 20, bufferBytes: 1 << 20 } });
    rig.sink.connectedBrokers = 0;
    for (const place of ['t-0', 't-1', 't-2', 't-3']) rig.sink.shut.add(place);
    let number = 0;
    await until(
      () => {
        while (number < 60_000 && rig.send(number, `d${number % 4}`)) number++;
        return rig.waits && rig.journal.health.state === 'full';
      },
      { everyMs: 1, what: 'a full journal' },
    );
    const taken = number;
    rig.sink.connectedBrokers = 1;
    for (const place of ['t-0', 't-1', 't-2', 't-3']) rig.sink.open(place);
    await rig.drain();
    expect([...rig.sink.log.values()].flat()).toHaveLength(taken);
    await until(() => rig.send(number, 'd0'), { what: 'room' });
    expect(rig.ledger.total()).toMatchObject({ dropped: 0 });
  });

  it('with drop-newest what comes to a full disk is acknowledged and counted as dropped', async () => {
    const rig = await open({
      settings: { maxBytes: 1 << 20, bufferBytes: 1 << 20, whenFull: 'drop-newest' },
    });
    rig.sink.connectedBrokers = 0;
    rig.sink.shut.add('t-0');
    let number = 0;
    await until(
      () => {
        for (let i = 0; i < 1_000; i++) if (rig.send(number, 'd0')) number++;
        return rig.ledger.total().dropped > 0;
      },
      { everyMs: 1, what: 'dropped records' },
    );
    await settle(rig);
    expect(rig.outcomes.size).toBe(number);
    rig.sink.connectedBrokers = 1;
    rig.sink.open('t-0');
    await rig.drain();
    const { produced, dropped } = rig.ledger.total();
    expect(produced + dropped).toBe(number);
    expect([...rig.outcomes.values()].filter((outcome) => outcome === Outcome.Dropped)).toHaveLength(dropped);
    expect(rig.balanced).toBe(true);
    expect(acknowledgedButLost(rig.ledger.total())).toBe(0);
  });

  it('with drop-oldest the ledger balances, whatever was on its way when its segment went', async () => {
    const rig = await open({
      settings: { maxBytes: 1 << 20, bufferBytes: 1 << 20, whenFull: 'drop-oldest' },
    });
    rig.sink.capacity = 100;
    let number = 0;
    await until(
      () => {
        for (let i = 0; i < 500; i++) if (rig.send(number, `d${number % 4}`)) number++;
        return rig.ledger.total().dropped > 500;
      },
      { everyMs: 1, timeoutMs: 30_000, what: 'dropped records' },
    );
    rig.sink.capacity = Number.POSITIVE_INFINITY;
    await rig.drain();
    const { produced, dropped, opened } = rig.ledger.total();
    expect(opened).toBe(number);
    expect(produced + dropped).toBe(number);
    expect(rig.balanced).toBe(true);
  });

  it('with an age limit the ledger balances, whatever was on its way when it had waited for too long', async () => {
    const rig = await open({ settings: { maxAgeMs: 100, segmentMaxAgeMs: 0, checkpointIntervalMs: 5 } });
    rig.sink.capacity = 20;
    for (let number = 0; number < 400; number++) {
      await until(() => rig.send(number, `d${number % 4}`), { everyMs: 1, what: 'room' });
    }
    await until(() => rig.ledger.total().dropped > 300, { everyMs: 1, what: 'dropped records' });
    expect(rig.balanced).toBe(true);
    rig.sink.capacity = Number.POSITIVE_INFINITY;
    await rig.drain();
    const { opened, produced, dropped } = rig.ledger.total();
    expect(opened).toBe(400);
    expect(produced + dropped).toBe(400);
    expect(rig.outcomes.size).toBe(400);
    expect(rig.balanced).toBe(true);
  });

  it('a type with drop-oldest pays for itself alone: what another type was acknowledged for arrives, all of it', async () => {
    const rig = await open({
      settings: { maxBytes: 1 << 20, bufferBytes: 1 << 20 },
      policyOf: (type) => (type === 'chatty' ? 'drop-oldest' : 'block'),
    });
    rig.sink.connectedBrokers = 0;
    for (const place of ['t-0', 't-1']) rig.sink.shut.add(place);
    let number = 0;
    // The device of the other type stops sending before it would have to wait.
    await until(
      () => {
        for (let i = 0; i < 500; i++) {
          const isMeter = number % 2 === 0 && number < 4_000;
          if (rig.send(number, isMeter ? 'd0' : 'd1', 't', false, isMeter ? 'meter' : 'chatty')) number++;
        }
        return rig.ledger.account('chatty').figures.dropped > 500;
      },
      { everyMs: 1, timeoutMs: 30_000, what: 'dropped records' },
    );
    await settle(rig);
    rig.sink.connectedBrokers = 1;
    for (const place of ['t-0', 't-1']) rig.sink.open(place);
    await rig.drain();
    expect(rig.ledger.account('meter').figures).toMatchObject({ opened: 2_000, produced: 2_000, dropped: 0 });
    expect(rig.sink.log.get('t-0')).toEqual(range(0, 2_000).map((index) => `d0#${2 * index}`));
    const { opened, produced, dropped } = rig.ledger.account('chatty').figures;
    expect(produced + dropped).toBe(opened);
    expect(rig.balanced).toBe(true);
    expect(acknowledgedButLost(rig.ledger.total())).toBe(0);
  });

  it('what Kafka refuses goes to the dead letters, live and after a crash', async () => {
    const first = await open();
    first.send(1, 'd1');
    await settle(first);
    first.sink.acknowledge('t-1', new SluiceError('RECORD_TOO_LARGE', 'too large'));
    expect(first.sink.held.get('t.dlq-1')).toHaveLength(1);
    const left = await first.crash();

    const sink = new GatedSink();
    sink.refusing = (value) => (value === 't d1#1' ? new SluiceError('RECORD_TOO_LARGE', 'no') : undefined);
    const second = await open({ fs: left, sink });
    await second.drain();
    expect(sink.log.get('t.dlq-1')).toEqual(['d1#1']);
    // Whose it is is counted when all that a former process left has been read.
    await until(() => second.ledger.account('meter').figures.opened === 1, {
      everyMs: 1,
      what: 'the account',
    });
    expect(second.ledger.account('meter').figures).toMatchObject({
      opened: 1,
      deadLettered: 1,
      openInJournal: 0,
    });
  });
});

describe('contract kafka-or-journal', () => {
  const send = (rig: StoreRig, number: number, key: string): boolean => rig.send(number, key, 't', true);

  it('waits for Kafka alone while that is quick: the disk rests', async () => {
    const rig = await open();
    for (const number of range(0, 100)) send(rig, number, `d${number % 4}`);
    expect(rig.outcomes.size).toBe(0);
    rig.sink.acknowledge();
    expect(rig.outcomes.size).toBe(100);
    expect(rig.journal.stats.commits).toBe(0);
    expect(rig.ledger.total()).toMatchObject({ opened: 100, produced: 100, open: 0, openInJournal: 0 });
    expect(rig.balanced).toBe(true);
  });

  it('turns to the disk when Kafka has not acknowledged in time, what is under way first, and back', async () => {
    const rig = await open();
    for (const number of range(0, 20)) send(rig, number, 'd1');
    await until(() => rig.outcomes.size === 20, { everyMs: 1, what: 'acknowledgements by the disk' });
    expect(states(rig)['t-1']).toBe('draining');
    expect(rig.ledger.total()).toMatchObject({ openInJournal: 20, open: 0, produced: 0 });
    for (const number of range(20, 40)) expect(send(rig, number, 'd1')).toBe(true);
    await settle(rig);
    expect(rig.outcomes.size).toBe(40);

    let number = 40;
    await until(
      () => {
        rig.sink.acknowledge();
        if (send(rig, number, 'd1')) number++;
        return states(rig)['t-1'] === 'direct';
      },
      { everyMs: 1, what: 'the lane to be direct again' },
    );
    await rig.drain();
    const { commits } = rig.journal.stats;
    for (const next of range(number, number + 10)) expect(send(rig, next, 'd1')).toBe(true);
    rig.sink.acknowledge();
    expect(rig.journal.stats.commits).toBe(commits);
    expect(rig.sink.log.get('t-1')).toEqual(range(0, number + 10).map((n) => `d1#${n}`));
    expect(rig.balanced).toBe(true);
    expect(rig.ledger.total()).toMatchObject({ open: 0, openInJournal: 0, produced: number + 10 });
  });

  it('after a crash sends what was under way before what went to the disk behind it', async () => {
    const first = await open();
    first.sink.capacity = 5;
    for (const number of range(0, 5)) send(first, number, 'd1');
    // Finds no room: what is under way is copied first.
    for (let number = 5; number < 10;) {
      if (send(first, number, 'd1')) number++;
      await settle(first);
    }
    expect(first.outcomes.size).toBe(10);
    const left = await first.crash();
    const sink = new GatedSink();
    const second = await open({ fs: left, sink });
    await second.drain();
    expect(sink.log.get('t-1')).toEqual(range(0, 10).map((n) => `d1#${n}`));
  });

  it('turns to the disk when the buffers pass their mark, though Kafka may only be slow', async () => {
    const rig = await open({ options: { spill: { afterMs: 100, bufferShare: 0.5 } } });
    rig.sink.availableBytes = 40;
    send(rig, 1, 'd0');
    await until(() => rig.outcomes.size === 1, { everyMs: 1 });
    expect(rig.ledger.total()).toMatchObject({ openInJournal: 1 });
  });

  it('leaves partitions alone that Kafka does acknowledge', async () => {
    const rig = await open();
    let number = 0;
    send(rig, number++, 'd1');
    await until(
      () => {
        send(rig, number++, 'd2');
        rig.sink.acknowledge('t-2');
        return rig.outcomes.has(0);
      },
      { everyMs: 1, what: 'the slow partition to be on the disk' },
    );
    expect(states(rig)).toMatchObject({ 't-1': 'draining', 't-2': 'direct' });
    expect(rig.journal.stats.journaledRecords).toBe(1);
  });

  it('waits for Kafka alone while the disk is broken, and uses the disk when it works again', async () => {
    const rig = await open();
    rig.fs.fault = (operation) => {
      if (operation === 'sync' || operation === 'write') throw new FsError('EIO');
      return undefined;
    };
    rig.sink.capacity = 2;
    expect(send(rig, 0, 'd1')).toBe(true);
    expect(send(rig, 1, 'd1')).toBe(true);
    await until(() => rig.journal.health.state === 'faulty', { what: 'the fault' });
    expect(rig.outcomes.size).toBe(0);
    rig.sink.acknowledge();
    expect(rig.outcomes.size).toBe(2);
    rig.fs.fault = () => undefined;
    await until(() => rig.journal.health.state === 'ok', { what: 'a disk that works' });
    let number = 2;
    for (let tries = 0; tries < 20; tries++) {
      if (send(rig, number, 'd1')) number++;
      await settle(rig);
    }
    // Two fit into the producer; what came behind them is on the disk, and copies of those two.
    expect(number).toBeGreaterThan(4);
    expect(rig.journal.stats.journaledRecords).toBeGreaterThanOrEqual(number - 2);
    expect(rig.outcomes.size).toBe(number);
    await rig.drain();
    expect(rig.sink.log.get('t-1')).toEqual(range(0, number).map((n) => `d1#${n}`));
    expect(rig.balanced).toBe(true);
  });

  it('refuses what Kafka failed with, as long as no disk has it', async () => {
    const rig = await open();
    send(rig, 1, 'd1');
    rig.sink.acknowledge('t-1', new SluiceError('SOME_FAILURE', 'no'));
    expect(rig.outcomes.get(1)).toBe(Outcome.Refused);
    expect(rig.ledger.total()).toMatchObject({ opened: 1, refused: 1, open: 0, acknowledged: 0 });
  });
});
