import { afterEach, describe, expect, it } from 'vitest';

import { FsError } from '../../durable-log/memory-fs.ts';
import { until } from '../../support/until.ts';
import { GatedSink, StoreRig } from '../store-rig.ts';

/** Never by itself. */
const NO_SPILL = { spill: { afterMs: 600_000, bufferShare: 1 } };
const DEVICES = ['d1', 'd2'] as const;

const rigs: StoreRig[] = [];

async function open(given: Parameters<typeof StoreRig.open>[0] = {}): Promise<StoreRig> {
  const rig = await StoreRig.open({ options: NO_SPILL, ...given });
  rigs.push(rig);
  return rig;
}

afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.close();
});

/** Numbers of a device, one after the other. */
function send(rig: StoreRig, key: string, from: number, to: number): void {
  for (let number = from; number < to; number++) expect(rig.send(number, key, 't', true)).toBe(true);
}

async function settle({ journal }: StoreRig): Promise<void> {
  await journal.flush();
  await until(() => journal.backlog.pendingRecords === 0, { everyMs: 1, what: 'the disk' });
}

const values = (key: string, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `${key}#${from + i}`);

describe('a stop while Kafka is away, contract kafka-or-journal', () => {
  it('has the disk acknowledge what was in memory alone, and the next start sends it in order before anything newer', async () => {
    const first = await open();
    send(first, 'd1', 0, 10);
    send(first, 'd2', 10, 20);
    first.store.stop();
    await first.store.copyWhatWaits();
    await settle(first);
    expect(first.outcomes.size).toBe(20);
    // What waited at its connection; of d3 nothing was in the producer.
    send(first, 'd1', 20, 25);
    send(first, 'd3', 25, 30);
    await settle(first);
    expect(first.outcomes.size).toBe(30);
    expect(first.ledger.total()).toMatchObject({ opened: 30, open: 0, openInJournal: 30, acknowledged: 30 });
    expect(first.balanced).toBe(true);

    const sink = new GatedSink();
    const second = await open({ fs: await first.crash(), sink });
    await second.drain();
    expect(Object.fromEntries(sink.log)).toEqual({
      't-1': [...values('d1', 0, 10), ...values('d1', 20, 25)],
      't-2': values('d2', 10, 20),
      't-3': values('d3', 25, 30),
    });
  });

  it('what Kafka acknowledges meanwhile is not sent again', async () => {
    const first = await open();
    for (const [index, key] of DEVICES.entries()) send(first, key, 10 * index, 10 * index + 10);
    first.store.stop();
    const copied = first.store.copyWhatWaits();
    first.sink.acknowledge();
    await copied;
    await settle(first);
    expect(first.ledger.total()).toMatchObject({ opened: 20, produced: 20, open: 0, openInJournal: 0 });
    expect(first.journal.backlog.openRecords).toBe(0);
    expect(first.sink.acknowledge()).toBe(0);
    expect(Object.fromEntries(first.sink.log)).toEqual({
      't-1': values('d1', 0, 10),
      't-2': values('d2', 10, 20),
    });
  });

  it('while the disk is broken nothing is acknowledged, and Kafka alone is waited for', async () => {
    const rig = await open();
    rig.fs.fault = (operation) => {
      if (operation === 'sync' || operation === 'write') throw new FsError('EIO');
      return undefined;
    };
    for (const [index, key] of DEVICES.entries()) send(rig, key, 10 * index, 10 * index + 10);
    rig.send(20, 'd3');
    await until(() => rig.journal.health.state === 'faulty', { what: 'the fault' });
    rig.store.stop();
    const copied = rig.store.copyWhatWaits();
    expect(rig.outcomes.size).toBe(0);
    rig.sink.acknowledge();
    await copied;
    expect(rig.outcomes.size).toBe(21);
    expect(rig.ledger.total()).toMatchObject({ produced: 21, open: 0 });
    rig.fs.fault = () => undefined;
  });

  it('what the memory of the journal has no room for at once is copied too', async () => {
    const rig = await open({ settings: { bufferBytes: 300 } });
    send(rig, 'd1', 0, 50);
    send(rig, 'd2', 50, 100);
    rig.store.stop();
    await rig.store.copyWhatWaits();
    await settle(rig);
    expect(rig.outcomes.size).toBe(100);
    expect(rig.ledger.total()).toMatchObject({ open: 0, openInJournal: 100 });
  });
});
