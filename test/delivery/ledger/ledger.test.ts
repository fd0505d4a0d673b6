import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { Ledger, State, STATE_NAMES, balances } from '../../../src/delivery/ledger/ledger.ts';

const state = fc.constantFrom(...Object.values(State));
const move = fc.record({
  type: fc.constantFrom('meter', 'valve'),
  from: state,
  to: state,
  deliveries: fc.integer({ min: 1, max: 5 }),
});

describe('an account of the ledger', () => {
  it('balances after any sequence of moves, and so does the sum of all accounts', () => {
    fc.assert(
      fc.property(fc.array(move), (moves) => {
        const ledger = new Ledger();
        for (const { type, from, to, deliveries } of moves) {
          ledger.account(type).move(from, to, deliveries);
          expect(ledger.figures().every(balances)).toBe(true);
          expect(balances(ledger.total())).toBe(true);
        }
        const left = moves.filter(({ from, to }) => from === State.outside && to !== State.outside);
        const returned = moves.filter(({ from, to }) => to === State.outside && from !== State.outside);
        const sum = (some: typeof moves): number =>
          some.reduce((total, { deliveries }) => total + deliveries, 0);
        expect(ledger.total().opened).toBe(sum(left) - sum(returned));
      }),
    );
  });

  it('says in every state what was moved there and has not left it', () => {
    fc.assert(
      fc.property(fc.array(move), (moves) => {
        const account = new Ledger().account('meter');
        const expected: Record<string, number> = Object.fromEntries(STATE_NAMES.map((name) => [name, 0]));
        const nameOf = (of: State): string => Object.keys(State)[of]!;
        for (const { from, to, deliveries } of moves) {
          account.move(from, to, deliveries);
          expected[nameOf(from)]! -= deliveries;
          expected[nameOf(to)]! += deliveries;
        }
        for (const name of STATE_NAMES) expect(account.figures[name]).toBe(expected[name]);
      }),
    );
  });

  it('is looked up by its type once, and is the same for whoever asks', () => {
    const ledger = new Ledger();
    expect(ledger.account('meter')).toBe(ledger.account('meter'));
    expect(ledger.figures().map(({ profile }) => profile)).toEqual(['meter']);
  });
});

test('the states are numbered from 0 in the order in which they are named: an account is an array', () => {
  expect(Object.values(State)).toEqual(Object.keys(State).map((_, index) => index));
});

test('every figure of the ledger has a metric of its name', () => {
  const names = new Ledger().metrics().map(({ name }) => name);
  expect(names).toEqual([
    'sluice_deliveries_opened_total',
    'sluice_deliveries_produced_total',
    'sluice_deliveries_dead_lettered_total',
    'sluice_deliveries_filtered_total',
    'sluice_deliveries_refused_total',
    'sluice_deliveries_suppressed_total',
    'sluice_deliveries_open',
    'sluice_deliveries_open_in_journal',
    'sluice_deliveries_acknowledged_total',
    'sluice_deliveries_dropped_total',
    'sluice_deliveries_damaged_total',
    'sluice_deliveries_lost_by_contract_total',
    'sluice_deliveries_acknowledged_but_lost',
  ]);
});
