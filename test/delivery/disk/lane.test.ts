import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { Lane, TRANSITIONS, type LaneState } from '../../../src/delivery/disk/lane.ts';
import { until } from '../../support/until.ts';
import { StoreRig } from '../store-rig.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** What can be done to a lane, and where that leads. */
const EVENTS: Readonly<
  Record<string, { readonly run: (lane: Lane) => void; readonly to: (lane: Lane) => LaneState }>
> = {
  leaveDirect: {
    run: (lane) => {
      lane.leaveDirect();
    },
    to: (lane) => (lane.uncopied > 0 ? 'copying' : 'indirect'),
  },
  stayDirect: {
    run: (lane) => {
      lane.stayDirect();
    },
    to: () => 'direct',
  },
  // Also of a lane that is not copying any more: then it says nothing.
  copied: {
    run: (lane) => {
      lane.copied();
    },
    to: (lane) => (lane.state === 'copying' ? 'indirect' : lane.state),
  },
  close: {
    run: (lane) => {
      lane.close();
    },
    to: () => 'closing',
  },
  reopen: {
    run: (lane) => {
      lane.reopen(0);
    },
    to: () => 'indirect',
  },
  becomeDirect: {
    run: (lane) => {
      lane.becomeDirect();
    },
    to: () => 'direct',
  },
  retire: {
    run: (lane) => {
      lane.retire();
    },
    to: () => 'retired',
  },
};

describe('a lane', () => {
  it('goes only where the table of transitions leads, and throws at anything else', () => {
    const event = fc.constantFrom(...Object.keys(EVENTS), 'sendAlone', 'settle');
    fc.assert(
      fc.property(
        fc.constantFrom('direct' as const, 'indirect' as const),
        fc.array(event),
        (first, events) => {
          const indirect = new Set<Lane>();
          const lane = new Lane('t', 0, first, indirect);
          for (const name of events) {
            const before = lane.state;
            if (name === 'sendAlone' && before === 'direct') lane.recordSent(true);
            if (name === 'settle' && lane.uncopied > 0) lane.recordSettled(true);
            const rule = EVENTS[name];
            if (rule !== undefined) {
              const to = rule.to(lane);
              const isDrawn = to === before ? name === 'copied' : TRANSITIONS[before][to] !== undefined;
              const mayHappen = isDrawn && !(name === 'becomeDirect' && lane.inFlight > 0);
              if (mayHappen) rule.run(lane);
              else
                expect(() => {
                  rule.run(lane);
                }, `${name} when ${before}`).toThrow(/^a lane /);
              expect(lane.state).toBe(mayHappen ? to : before);
            }
            expect(lane.holdsBack).toBe(lane.state === 'copying' || lane.state === 'closing');
            expect(indirect.has(lane)).toBe(lane.state !== 'direct' && lane.state !== 'retired');
          }
        },
      ),
    );
  });

  it('does not become direct while what was read back is on its way to Kafka', () => {
    const lane = new Lane('t', 0, 'indirect', new Set());
    lane.recordSent(false);
    expect(() => {
      lane.becomeDirect();
    }).toThrow('only when all that was read back is in Kafka');
    lane.recordSettled(false);
    lane.becomeDirect();
    expect(lane.state).toBe('direct');
  });

  it('wakes those that wait when it takes records again, the first first, until one is refused', () => {
    const lane = new Lane('t', 0, 'indirect', new Set());
    lane.close();
    const heard: number[] = [];
    for (const device of [1, 2, 3]) {
      lane.wait(() => {
        heard.push(device);
        // The second finds that there is no room again.
        if (device === 2) lane.wait(() => heard.push(20));
      });
    }
    lane.reopen(0);
    expect(heard).toEqual([1, 2]);
    expect(lane.waiting).toBe(2);
    lane.wake();
    expect(heard).toEqual([1, 2, 3, 20]);
  });
});

test('whatever producer, disk and devices do, every lane keeps to its states, and each record arrives once and in order', async () => {
  const place = fc.constantFrom('t-0', 't-1');
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        send: fc.constantFrom('d0' as const, 'd1' as const),
        count: fc.integer({ min: 1, max: 8 }),
      }),
    },
    fc.record({ shut: place }),
    fc.record({ open: place }),
    fc.record({ acknowledge: place }),
    fc.record({ isFull: fc.boolean() }),
    fc.record({ settle: fc.constant(true) }),
  );
  const seen = new Set<LaneState>();
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(step, { minLength: 5, maxLength: 40 }),
      async (kafkaFirst, steps) => {
        const rig = await StoreRig.open({ options: { spill: { afterMs: 20, bufferShare: 0.5 } } });
        const sent: Record<'d0' | 'd1', string[]> = { d0: [], d1: [] };
        let number = 0;
        try {
          rig.sink.capacity = 6;
          for (const action of steps) {
            if ('send' in action) {
              for (let i = 0; i < action.count; i++) {
                if (!rig.send(number, action.send, 't', kafkaFirst)) continue;
                sent[action.send].push(`${action.send}#${number++}`);
              }
            } else if ('shut' in action) rig.sink.shut.add(action.shut);
            else if ('open' in action) rig.sink.open(action.open);
            else if ('acknowledge' in action) rig.sink.acknowledge(action.acknowledge);
            else if ('isFull' in action) rig.sink.availableBytes = action.isFull ? 0 : 100;
            else await rig.journal.flush();
            for (const { state } of rig.store.lanes()) seen.add(state);
          }
          for (const each of ['t-0', 't-1']) rig.sink.open(each);
          await until(
            () => {
              rig.sink.acknowledge();
              return rig.outcomes.size === number && rig.ledger.total().produced === number;
            },
            { everyMs: 1, what: 'all records in Kafka' },
          );
          expect(rig.sink.log.get('t-0') ?? []).toEqual(sent.d0);
          expect(rig.sink.log.get('t-1') ?? []).toEqual(sent.d1);
          expect(rig.ledger.total()).toMatchObject({
            opened: number,
            acknowledged: number,
            open: 0,
            openInJournal: 0,
          });
        } finally {
          await rig.close();
        }
      },
    ),
    { numRuns: 40 },
  );
  // It was not always plain sailing.
  expect([...seen]).toEqual(expect.arrayContaining(['direct', 'indirect']));
});

test("ARCHITECTURE.md's picture of a lane shows every transition of the table with its reason, and no other", () => {
  const page = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8');
  const picture = page.slice(page.indexOf('stateDiagram-v2')).split('```')[0]!;
  const drawn = [...picture.matchAll(/^ +(\w+) --> (\w+): (.+)$/gm)].map(
    ([, from, to, why]) => `${from} ${to} ${why}`,
  );
  const table = Object.entries(TRANSITIONS).flatMap(([from, next]) =>
    Object.entries(next).map(([to, why]) => `${from} ${to} ${why}`),
  );
  expect(drawn.sort()).toEqual(table.sort());
});
