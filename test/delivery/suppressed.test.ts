import { describe, expect, it } from 'vitest';
import { CONTRACTS } from '../../src/core/contract.ts';
import type { Route } from '../../src/core/route.ts';
import type { Delivery } from '../../src/delivery/delivery.ts';
import { balances } from '../../src/delivery/ledger/ledger.ts';
import type { UnroutedPolicy } from '../../src/delivery/unrouted-topics.ts';
import { newDelivery } from './delivery-rig.ts';

const topic = { name: 'fleet/d1', id: 1 };

function route(profile: string): Route {
  return {
    profile,
    contract: CONTRACTS.kafka,
    topic: profile,
    deadLetterTopic: `${profile}.dlq`,
    toRecord: () => undefined,
    taken() {},
    whenReady() {},
  };
}

function delivery(routes: readonly Route[], policy: UnroutedPolicy = 'local'): Delivery {
  return newDelivery({
    resolve: () => routes,
    records: { tryAppend: () => undefined },
    unrouted: { policy, deadLetterTopic: 'unrouted.dlq' },
  });
}

describe('a message that came again and is not delivered again', () => {
  it('is a delivery of each of its routes, in a state of its own, and nobody is acknowledged twice for it', () => {
    const { ledger } = withSuppressed(delivery([route('a'), route('b')]));
    for (const account of ledger.figures()) {
      expect(account).toMatchObject({ opened: 1, suppressed: 1, acknowledged: 0, open: 0 });
      expect(balances(account)).toBe(true);
    }
    expect(ledger.figures().map(({ profile }) => profile)).toEqual(['a', 'b']);
  });

  it.each([
    ['dead-letter' as const, ['(unrouted)']],
    ['local' as const, []],
  ])('without a route is in the ledger where such messages are: unrouted %s', (policy, accounts) => {
    const { ledger } = withSuppressed(delivery([], policy));
    expect(ledger.figures().map(({ profile }) => profile)).toEqual(accounts);
  });
});

function withSuppressed(sink: Delivery) {
  sink.suppressed(topic);
  return { ledger: sink.ledger };
}
