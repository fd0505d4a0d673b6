import { describe, expect, it } from 'vitest';
import { ledgerText } from '../../../src/cli/ledger.ts';
import { CONTRACTS } from '../../../src/core/contract.ts';
import { reportLedger } from '../../../src/delivery/ledger/ledger-report.ts';
import { Ledger } from '../../../src/delivery/ledger/ledger.ts';

const profiles = [{ type: 'sensor', topic: 'fleet/{device}', ack: CONTRACTS.kafka }];

function ledgerOf(figures: Partial<ReturnType<Ledger['account']>>): Ledger {
  const ledger = new Ledger();
  Object.assign(ledger.account('sensor'), figures);
  return ledger;
}

describe('the view of the ledger', () => {
  it('shows each type with its route and contract, all states, and the equation', () => {
    const ledger = ledgerOf({ opened: 10, produced: 6, filtered: 1, openInJournal: 3, acknowledged: 10 });
    ledger.account('(unrouted)').opened = 2;
    ledger.account('(unrouted)').deadLettered = 2;
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
    const unbalanced = reportLedger(ledgerOf({ opened: 3, produced: 2 }), profiles);
    expect(unbalanced).toMatchObject({ ok: false, total: { balanced: false } });
    expect(ledgerText(unbalanced)).toMatch(
      /NO: the states make 2[^]*3 opened ≠ 2 produced[^]*verdict: NOT OK/,
    );
    const lost = reportLedger(ledgerOf({ opened: 1, refused: 1, acknowledged: 1 }), profiles);
    expect(lost).toMatchObject({ ok: false, total: { balanced: true, acknowledgedButLost: 1 } });
  });
});
