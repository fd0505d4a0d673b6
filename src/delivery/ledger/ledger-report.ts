import type { Contract } from '../../core/contract.ts';
import { acknowledgedButLost, balances, STATES, type Account, type Ledger } from './ledger.ts';

type State = (typeof STATES)[number];

/** One device type's deliveries: `opened` is the sum of `states`, or something is wrong. */
export interface AccountReport {
  readonly type: string;
  /** The topic pattern of its route; null where no profile of this name is there any more, or none matched. */
  readonly route: string | null;
  readonly contract: string | null;
  readonly opened: number;
  readonly states: Readonly<Record<State, number>>;
  /** Deliveries whose device was told; no state. */
  readonly acknowledged: number;
  readonly acknowledgedButLost: number;
  readonly balanced: boolean;
}

export interface LedgerReport {
  /** Every delivery is in exactly one state, and none that was acknowledged is nowhere. */
  readonly ok: boolean;
  readonly accounts: readonly AccountReport[];
  readonly total: Omit<AccountReport, 'type' | 'route' | 'contract'>;
}

/** What became of every delivery since the ledger was opened, by device type and route. */
export function reportLedger(
  ledger: Ledger,
  profiles: readonly { readonly type: string; readonly topic: string; readonly ack: Contract }[],
): LedgerReport {
  const accounts = ledger
    .accounts()
    .map((account) => {
      const profile = profiles.find(({ type }) => type === account.profile);
      return {
        type: account.profile,
        route: profile?.topic ?? null,
        contract: profile?.ack.name ?? null,
        ...figuresOf(account),
      };
    })
    .sort((a, b) => a.type.localeCompare(b.type));
  const total = figuresOf(ledger.total());
  const sound = [total, ...accounts].every(
    (figures) => figures.balanced && figures.acknowledgedButLost === 0,
  );
  return { ok: sound, accounts, total };
}

function figuresOf(account: Account): LedgerReport['total'] {
  return {
    opened: account.opened,
    states: Object.fromEntries(STATES.map((state) => [state, account[state]])) as Record<State, number>,
    acknowledged: account.acknowledged,
    acknowledgedButLost: acknowledgedButLost(account),
    balanced: balances(account),
  };
}
