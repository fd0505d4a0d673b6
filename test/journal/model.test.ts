import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Position } from '../../src/journal/journal-record.ts';
import { FsError, MemoryFs } from '../durable-log/memory-fs.ts';
import { hastyClock, openRig, readAll, type Rig } from './rig.ts';

process.env.JOURNAL_MODEL_KEY = '5a'.repeat(32);

type Step =
  | { readonly kind: 'append'; readonly count: number; readonly size: number }
  | { readonly kind: 'flush' | 'maintain' | 'read' }
  | { readonly kind: 'acknowledge'; readonly picks: readonly number[] }
  | {
      readonly kind: 'fault';
      readonly operation: 'write' | 'sync' | 'open';
      readonly times: number;
      /** From then on nothing can be cut off or removed either, until the crash. */
      readonly stubborn: boolean;
    }
  | { readonly kind: 'crash'; readonly power: boolean; readonly seed: number; readonly hurry: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('append' as const),
    count: fc.integer({ min: 1, max: 60 }),
    size: fc.constantFrom(8, 100, 1500),
  }),
  fc.record({ kind: fc.constantFrom('flush' as const, 'maintain' as const, 'read' as const) }),
  fc.record({
    kind: fc.constant('acknowledge' as const),
    picks: fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), { maxLength: 80 }),
  }),
  fc.record({
    kind: fc.constant('fault' as const),
    operation: fc.constantFrom('write' as const, 'sync' as const, 'open' as const),
    times: fc.integer({ min: 1, max: 3 }),
    stubborn: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('crash' as const),
    power: fc.boolean(),
    seed: fc.integer({ min: 1, max: 1 << 30 }),
    hurry: fc.boolean(),
  }),
);

/** What must be true of a journal, kept beside it. */
class Model {
  next = 0;
  /** Said to be durable, and not acknowledged: must be read, at this position. */
  readonly open = new Map<number, Position>();
  /** Acknowledged since the last checkpoint: may be read again after a crash. */
  readonly acknowledged = new Map<number, Position>();

  takeDurable(rig: Rig): void {
    for (const [number, position] of rig.durable) this.open.set(number, position);
    rig.durable.clear();
  }

  check(found: readonly { number: number; position: Position }[], afterCrash: boolean): void {
    // In the order of the appends, nothing twice.
    for (let index = 1; index < found.length; index++) {
      expect(found[index]!.number).toBeGreaterThan(found[index - 1]!.number);
      expect(found[index]!.position).toBeGreaterThan(found[index - 1]!.position);
    }
    const positions = new Map(found.map(({ number, position }) => [number, position]));
    for (const [number, position] of this.open)
      expect(positions.get(number), `record ${number}`).toBe(position);
    if (!afterCrash) {
      expect([...positions.keys()]).toEqual([...this.open.keys()].sort((a, b) => a - b));
      return;
    }
    for (const [number, position] of positions) {
      if (this.open.has(number)) continue;
      // What was never confirmed may be there; what was done before the last checkpoint may not.
      expect(this.acknowledged.has(number) || !this.done.has(number), `record ${number} again`).toBe(true);
      this.open.set(number, position);
    }
    for (const number of this.open.keys()) this.done.delete(number);
    this.acknowledged.clear();
  }

  readonly done = new Set<number>();

  acknowledge(rig: Rig, picks: readonly number[]): void {
    const open = [...this.open];
    for (const pick of picks) {
      const [number, position] = open[Math.floor(pick * open.length)] ?? [];
      if (number === undefined || position === undefined || !this.open.delete(number)) continue;
      rig.journal.acknowledge(position);
      this.acknowledged.set(number, position);
      this.done.add(number);
    }
  }
}

async function run(steps: readonly Step[], encrypted: boolean): Promise<void> {
  const fs = new MemoryFs();
  const settings = encrypted ? { key: { environment: 'JOURNAL_MODEL_KEY' } } : {};
  const clock = hastyClock();
  let rig = await openRig(fs, settings, { clock });
  const model = new Model();
  for (const current of steps) {
    switch (current.kind) {
      case 'append':
        for (let count = 0; count < current.count; count++) {
          if (rig.append(model.next, current.size)) model.next++;
        }
        break;
      case 'flush':
        await rig.journal.flush();
        model.takeDurable(rig);
        break;
      case 'maintain':
        await rig.journal.maintain();
        model.takeDurable(rig);
        if (rig.journal.health.state === 'ok') model.acknowledged.clear();
        break;
      case 'acknowledge':
        model.takeDurable(rig);
        model.acknowledge(rig, current.picks);
        break;
      case 'read':
        await rig.journal.flush();
        fs.fault = () => undefined;
        model.takeDurable(rig);
        model.check(await readAll(rig.journal), false);
        break;
      case 'fault': {
        let { times } = current;
        fs.fault = (operation, path) => {
          if (operation === current.operation && path.endsWith('.segment') && times-- > 0)
            throw new FsError('EIO');
          if (current.stubborn && (operation === 'truncate' || operation === 'remove'))
            throw new FsError('EIO');
          return undefined;
        };
        break;
      }
      case 'crash': {
        if (!current.hurry) await rig.journal.flush();
        model.takeDurable(rig);
        // What is still on its way in the old life never arrives.
        rig.disk.gate = new Promise(() => {});
        let { seed } = current;
        const random = (): number => {
          seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
          return Math.min(1, (2 * seed) / 0x7fff_ffff);
        };
        if (current.power) fs.powerLoss(random);
        else fs.kill();
        rig = await openRig(fs, settings, { clock });
        expect(rig.journal.recovery.damage.filter(({ lostRecords }) => lostRecords > 0)).toEqual([]);
        model.check(await readAll(rig.journal), true);
        break;
      }
    }
  }
  await rig.journal.flush();
  fs.fault = () => undefined;
  model.takeDurable(rig);
  model.check(await readAll(rig.journal), false);
  await rig.journal.close();
}

describe.each([false, true])(
  'whatever is appended, acknowledged, compacted and crashed (encrypted: %s)',
  (encrypted) => {
    it('what was confirmed is read once, in order and at its place, until it is done', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => run(steps, encrypted)),
        { numRuns: Number(process.env.JOURNAL_RUNS ?? (encrypted ? 60 : 150)) },
      );
    });
  },
);
