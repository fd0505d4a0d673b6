import { beforeEach, describe, expect, it } from 'vitest';
import { SenderLoop } from '../../../src/producer/sending/sender-loop.ts';
import { ManualClock } from '../../testbed/fleet/manual-clock.ts';

describe('the sender loop', () => {
  let clock: ManualClock;
  let deferred: (() => void)[];
  let runs: number[];
  let nextMs: number;
  let loop: SenderLoop;

  beforeEach(() => {
    clock = new ManualClock();
    deferred = [];
    runs = [];
    nextMs = Infinity;
    const runOnce = (nowMs: number) => {
      runs.push(nowMs);
      return nextMs;
    };
    loop = new SenderLoop(runOnce, clock, (callback) => deferred.push(callback));
  });

  const runDeferred = () => {
    for (const callback of deferred.splice(0)) callback();
  };

  it('the sender loop runs once for everything that happens in one turn', () => {
    loop.wakeup();
    loop.wakeup();
    runDeferred();
    expect(runs).toEqual([0]);
  });

  it('the sender loop runs when the time has come that the last step named', () => {
    nextMs = 20;
    loop.wakeup();
    runDeferred();
    nextMs = Infinity;
    clock.advance(19);
    expect(runs).toHaveLength(1);
    clock.advance(1);
    expect(runs).toEqual([0, 20]);
    clock.advance(1_000);
    expect(runs).toHaveLength(2);
  });

  it('the sender loop keeps the earliest of several times', () => {
    loop.wakeupWithin(30);
    loop.wakeupWithin(10);
    loop.wakeupWithin(20);
    clock.advance(10);
    expect(runs).toEqual([10]);
  });

  it('the sender loop runs no more after it was stopped', () => {
    loop.wakeupWithin(10);
    loop.wakeup();
    loop.stop();
    runDeferred();
    clock.advance(100);
    expect(runs).toEqual([]);
  });
});
