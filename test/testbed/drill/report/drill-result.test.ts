import { describe, expect, it } from 'vitest';

import { DeliveryJudge } from '../../../../src/testbed/drill/delivery-judge.ts';
import {
  explainRepeats,
  latencyBins,
  pubackTimes,
  replayBound,
} from '../../../../src/testbed/drill/report/drill-result.ts';
import type { DeviceHistory } from '../../../../src/testbed/drill/fleet-history.ts';

const NEVER = Infinity;

function device(messages: readonly (readonly [sentMs: number, ackMs: number])[], lostAtMs: number[] = []) {
  return {
    sentAtMs: messages.map(([sent]) => sent),
    acknowledgedAtMs: messages.map(([, acknowledged]) => acknowledged),
    lostAtMs,
  } satisfies DeviceHistory;
}

describe('the report of PUBACK times', () => {
  const moments = { steadyMs: 1_000, faultMs: 5_000, healedMs: 8_000, drainedMs: 9_000, endMs: 12_000 };

  it('tells what was acknowledged before the fault, was on its way in it, and was sent after it', () => {
    const messages = [
      [500, 900], // while everything warms up
      [2_000, 2_010],
      [4_990, 8_500], // on its way when the fault began
      [6_000, 8_600],
      [8_500, 8_520], // after the fault, and before all was through
      [9_000, 9_030],
      [11_000, NEVER],
    ] as const;
    const { before, during, after } = pubackTimes(new Map([['a', device(messages)]]), moments);
    expect([before.maxMs, after.maxMs].map((ms) => Math.round(ms ?? 0))).toEqual([10, 30]);
    expect(Math.round(during.p50Ms ?? 0)).toBeCloseTo(2_600, -2);
    expect(Math.round(during.maxMs ?? 0)).toBeCloseTo(3_510, -2);
  });

  it('has no `after` where nothing was ever through', () => {
    const devices = new Map([['a', device([[9_500, 9_600]])]]);
    const { during, after } = pubackTimes(devices, { ...moments, drainedMs: undefined });
    expect(after.maxMs).toBeUndefined();
    expect(during.maxMs).toBeDefined();
  });

  it('has a bin for each stretch of time in which a PUBACK came, and none for others', () => {
    const devices = new Map([
      ['a', device([[0, 100], [50, 150], [0, 2_700]])], // prettier-ignore
      ['b', device([[100, 400], [100, NEVER]])], // prettier-ignore
    ]);
    expect(latencyBins(devices, 0, 1_000)).toEqual([
      { atMs: 500, p50Ms: 100, p99Ms: 300 },
      { atMs: 2_500, p50Ms: 2_700, p99Ms: 2_700 },
    ]);
  });
});

describe('a message that is in Kafka twice', () => {
  function repeats(
    history: DeviceHistory,
    copies: readonly number[],
    { breaksAtMs = [] as number[], bound = 0 } = {},
  ) {
    const judge = new DeliveryJudge(new Map([['a', { sent: history.sentAtMs.length, acknowledged: [] }]]));
    for (const [index, times] of copies.entries()) {
      for (let n = 0; n < times; n++) judge.take({ deviceId: 'a', sequence: index + 1, partition: 0 });
    }
    const found = explainRepeats(judge, new Map([['a', history]]), breaksAtMs, bound);
    return { resent: found.resent, replayed: found.replayed, unexplained: found.unexplained };
  }
  const none = { count: 0, examples: [] };

  it('was sent again if its connection was lost while it was on its way, once for each loss', () => {
    const history = device([[0, 100], [0, 500], [200, 500]], [50, 300]); // prettier-ignore
    expect(repeats(history, [2, 3, 2])).toEqual({ resent: 4, replayed: 0, unexplained: none });
    expect(repeats(history, [3, 1, 1])).toEqual({
      resent: 1,
      replayed: 0,
      unexplained: { count: 1, examples: ['a#1'] },
    });
  });

  it('was not sent again for a connection that was lost before it was sent or after it was acknowledged', () => {
    expect(repeats(device([[100, 200]], [50, 250]), [2]).unexplained.examples).toEqual(['a#1']);
  });

  it('was sent again after a kill that the device had no connection to notice', () => {
    const breaksAtMs = [50];
    expect(repeats(device([[0, 100]]), [2], { breaksAtMs })).toMatchObject({ resent: 1, unexplained: none });
    // One loss and one kill are most probably the same event: they count once.
    expect(repeats(device([[0, 100]], [51]), [3], { breaksAtMs }).unexplained.count).toBe(1);
  });

  it('that was never acknowledged may be sent again at any loss', () => {
    expect(repeats(device([[0, NEVER]], [1, 2, 3]), [4])).toMatchObject({ resent: 3, unexplained: none });
  });

  it('may come from the journal, within its bound', () => {
    const history = device([[0, 10], [0, 10], [0, 10]]); // prettier-ignore
    expect(repeats(history, [2, 2, 2], { bound: 3 })).toEqual({ resent: 0, replayed: 3, unexplained: none });
    expect(repeats(history, [2, 2, 2], { bound: 1 })).toMatchObject({
      replayed: 1,
      unexplained: { count: 2 },
    });
  });
});

describe('the bound of what a journal repeats', () => {
  const counts = [0, 1_000, 2_000, undefined, 4_000, 5_000].map((inKafka, second) => ({
    atMs: second * 1_000,
    inKafka,
  }));

  it('is what Kafka took since the last checkpoint that is certain, for each kill', () => {
    // A checkpoint a second, and a second for answers: certain is what stood there at 2.5 s.
    expect(replayBound(counts, [4_500], 1_000)).toBe(5_000 - 2_000);
    expect(replayBound(counts, [2_000, 4_500], 1_000)).toBe(2_000 + 3_000);
    expect(replayBound(counts, [], 1_000)).toBe(0);
  });

  it('counts from the beginning where nothing is known yet, and up to the last that is known', () => {
    expect(replayBound(counts, [500], 1_000)).toBe(1_000);
    expect(replayBound(counts, [9_000], 1_000)).toBe(0);
    expect(replayBound([], [9_000], 1_000)).toBe(0);
  });
});
