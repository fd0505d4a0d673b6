import { describe, expect, it } from 'vitest';
import { ledgerText } from '../../../src/cli/ledger.ts';
import { CONTRACTS } from '../../../src/core/contract.ts';
import { Ledger, reportLedger, State, type Figures } from '../../../src/delivery/ledger/ledger.ts';

const profiles = [{ type: 'sensor', topic: 'fleet/{device}', ack: CONTRACTS.kafka }];

/** Books that say so of one type, whether or not that balances. */
function booksOf(figures: Partial<Figures>): Parameters<typeof reportLedger>[0] {
  const sensor = { ...new Ledger().account('sensor').figures, ...figures };
  return { figures: () => [sensor], total: () => sensor };
}

describe('the view of the ledger', () => {
  it('shows each type with its route and contract, all states, and the equation', () => {
    const ledger = new Ledger();
    const account = ledger.account('sensor');
    account.move(State.outside, State.produced, 6);
    account.move(State.outside, State.filtered);
    account.move(State.outside, State.openInJournal, 3);
    account.acknowledge(10);
    ledger.account('(unrouted)').move(State.outside, State.deadLettered, 2);
    const report = reportLedger(ledger, profiles);
    expect(report).toMatchObject({
      ok: true,
      accounts: [
        { type: '(unrouted)', route: null, contract: null, opened: 2, states: { deadLettered: 2 } },
        { type: 'sensor', route: 'fleet/{device}', contract: 'kafka', opened: 10, balanced: true },
      ],
      total: { opened: 12, acknowledged: 10, acknowledgedButLost: 0, balanced: true },
    });
    const text = ledgerText(report);
    expect(text).toContain(
      '12 opened = 6 produced + 2 dead-lettered + 1 filtered + 0 refused + 0 duplicates suppressed + 0 open in memory + 3 open in journal' +
        ' + 0 dropped by policy + 0 damaged on disk + 0 lost by contract',
    );
    expect(text).toContain('verdict: ok');
  });

  it('says so when a delivery is in no state, or one that was acknowledged is nowhere', () => {
    const unbalanced = reportLedger(booksOf({ opened: 3, produced: 2 }), profiles);
    expect(unbalanced).toMatchObject({ ok: false, total: { balanced: false } });
    expect(ledgerText(unbalanced)).toMatch(
      /NO: the states make 2[^]*3 opened ≠ 2 produced[^]*verdict: NOT OK/,
    );
    const lost = reportLedger(booksOf({ opened: 1, refused: 1, acknowledged: 1 }), profiles);
    expect(lost).toMatchObject({ ok: false, total: { balanced: true, acknowledgedButLost: 1 } });
  });
});
