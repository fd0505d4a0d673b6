import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  DeliveryJudge,
  type DeliveredRecord,
  type DeliveryVerdict,
} from '../../../src/testbed/drill/delivery-judge.ts';

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

function judged(
  accounts: Readonly<Record<string, { sent: number; acknowledged: readonly number[] }>>,
  records: readonly DeliveredRecord[],
): DeliveryVerdict {
  const judge = new DeliveryJudge(new Map(Object.entries(accounts)));
  for (const record of records) judge.take(record);
  return judge.verdict();
}

const record = (deviceId: string, sequence: number, partition = 0): DeliveredRecord => ({
  deviceId,
  sequence,
  partition,
});

const counts = ({ lost, invented, repeated, disordered, scattered }: DeliveryVerdict): object => ({
  lost: lost.count,
  invented: invented.count,
  repeated: repeated.count,
  disordered: disordered.count,
  scattered: scattered.count,
});

const NOTHING = { lost: 0, invented: 0, repeated: 0, disordered: 0, scattered: 0 };

describe('the judge of deliveries', () => {
  it('finds nothing where Kafka holds each message once and in order', () => {
    const accounts = { a: { sent: 3, acknowledged: [1, 2, 3] }, b: { sent: 1, acknowledged: [1] } };
    const verdict = judged(accounts, [record('a', 1), record('b', 1, 1), record('a', 2), record('a', 3)]);
    expect(counts(verdict)).toEqual(NOTHING);
    expect(verdict.records).toBe(4);
  });

  it('names what was acknowledged and is not there, and only that', () => {
    const verdict = judged({ a: { sent: 4, acknowledged: [1, 2] } }, [record('a', 1), record('a', 4)]);
    expect(verdict.lost).toMatchObject({ count: 1, examples: ['a#2'] });
    expect(counts(verdict)).toEqual({ ...NOTHING, lost: 1 });
  });

  it('tells a repetition from an order fault: only first occurrences must be in order', () => {
    const account = { a: { sent: 3, acknowledged: [1, 2, 3] } };
    expect(
      counts(
        judged(
          account,
          [1, 2, 3, 1, 2].map((n) => record('a', n)),
        ),
      ),
    ).toEqual({
      ...NOTHING,
      repeated: 2,
    });
    const verdict = judged(
      account,
      [1, 3, 2].map((n) => record('a', n)),
    );
    expect(verdict.disordered).toMatchObject({ count: 1, examples: ['a#2'] });
  });

  it('names what nobody sent: a number too high, none at all, a device that is not known', () => {
    const records = [record('a', 1), record('a', 2), record('a', 0), record('a', NaN), record('x', 1)];
    const verdict = judged({ a: { sent: 1, acknowledged: [1] } }, records);
    expect(verdict.invented.examples).toEqual(['a#2', 'a#0', 'a#NaN', 'x#1']);
    expect(verdict.repeated.count).toBe(0);
  });

  it('names devices whose records are in several partitions', () => {
    const verdict = judged({ a: { sent: 2, acknowledged: [] } }, [record('a', 1, 0), record('a', 2, 1)]);
    expect(verdict.scattered.examples).toEqual(['a']);
  });

  it('counts all and names a few', () => {
    const verdict = judged({ a: { sent: 100, acknowledged: range(100) } }, []);
    expect(verdict.lost.count).toBe(100);
    expect(verdict.lost.examples).toHaveLength(20);
  });

  it('finds exactly what was done to a sound log: any records taken, repeated and invented', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ fate: fc.constantFrom('kept', 'lost', 'repeated'), partition: fc.nat(3) }), {
          maxLength: 60,
        }),
        fc.nat(10),
        (messages, invented) => {
          // Each message is of a device of its own partition, as a key would have it.
          const sent = new Map<string, number>();
          const records: DeliveredRecord[] = [];
          for (const { fate, partition } of messages) {
            const device = `device-${partition}`;
            const sequence = (sent.get(device) ?? 0) + 1;
            sent.set(device, sequence);
            if (fate !== 'lost') records.push(record(device, sequence, partition));
            if (fate === 'repeated') records.push(record(device, sequence, partition));
          }
          for (const n of range(invented))
            records.push(record('device-0', (sent.get('device-0') ?? 0) + n, 0));
          const accounts = Object.fromEntries(
            [...sent].map(([device, count]) => [device, { sent: count, acknowledged: range(count) }]),
          );
          const number = (wanted: string): number => messages.filter(({ fate }) => fate === wanted).length;
          expect(counts(judged(accounts, records))).toEqual({
            ...NOTHING,
            lost: number('lost'),
            repeated: number('repeated'),
            invented,
          });
        },
      ),
    );
  });

  it('finds an order fault in every order but the right one', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(range(8), { minLength: 2 }), (order) => {
        const isSorted = order.every((n, i) => i === 0 || n > (order[i - 1] as number));
        const { disordered } = judged(
          { a: { sent: 8, acknowledged: [] } },
          order.map((n) => record('a', n)),
        );
        expect(disordered.count > 0).toBe(!isSorted);
      }),
    );
  });
});
