import { describe, expect, it } from 'vitest';

import { deliverLast } from '../../src/assembly/final-delivery.ts';
import { Ledger, State } from '../../src/delivery/ledger/ledger.ts';
import { ManualClock } from '../testbed/fleet/manual-clock.ts';
import { until } from '../support/until.ts';

const TIMEOUT_MS = 10_000;

/** Stages with one open record. */
function stop(connectedBrokers: number, hasStore = true) {
  const ledger = new Ledger();
  ledger.account('meter').move(State.outside, State.open);
  const settle = (): void => {
    if (ledger.total().open > 0) ledger.account('meter').move(State.open, State.produced);
  };
  const calls: string[] = [];
  const acknowledgements: (() => void)[] = [];
  const clock = new ManualClock();
  const done = deliverLast(
    {
      ledger,
      producer: {
        connectionState: () => ({
          connectedBrokers,
          lastFailure: undefined,
          unreachableSinceMs: undefined,
          securityFailures: [],
        }),
        flush: () => {
          calls.push('flush');
          const { promise, resolve } = Promise.withResolvers<undefined>();
          acknowledgements.push(() => {
            settle();
            resolve(undefined);
          });
          if (ledger.total().open === 0) resolve(undefined);
          return promise;
        },
      },
      store: hasStore
        ? {
            settle: () => Promise.resolve(),
            copyWhatWaits: () => {
              calls.push('copy');
              settle();
              return Promise.resolve();
            },
          }
        : undefined,
      ingress: {
        drained: () => {
          calls.push('drained');
          return Promise.resolve();
        },
      },
    },
    clock,
    TIMEOUT_MS,
  );
  const called = (name: string): Promise<void> =>
    until(() => calls.includes(name), { what: name, everyMs: 1 });
  return { calls, clock, done, called, acknowledge: () => acknowledgements.shift()?.() };
}

describe('the last deliveries of a gateway that stops', () => {
  it('go to the disk at once if no broker is there, and are not waited for any more', async () => {
    const { calls, done } = stop(0);
    await done;
    expect(calls).toEqual(['copy', 'drained']);
  });

  it('go to Kafka alone if that answers', async () => {
    const { calls, done, called, acknowledge } = stop(1);
    await called('flush');
    acknowledge();
    await done;
    expect(calls).toEqual(['flush', 'flush', 'drained']);
  });

  it('go to the disk after half of the time if Kafka is there and does not answer', async () => {
    const { calls, clock, done, called } = stop(1);
    await called('flush');
    clock.advance(TIMEOUT_MS / 2 - 1);
    expect(calls).toEqual(['flush']);
    clock.advance(1);
    await called('copy');
    await done;
  });

  it('have no disk without a contract for it, and are given up when the time is up', async () => {
    const { calls, clock, done, called } = stop(0, false);
    await called('flush');
    clock.advance(TIMEOUT_MS);
    await done;
    expect(calls).toEqual(['flush']);
  });
});
