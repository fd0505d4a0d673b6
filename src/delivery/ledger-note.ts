import { balances, STATES, type Account, type Ledger } from './ledger.ts';

/** Where records of a former process are counted whose account is not known yet; below 0: fewer than expected. */
export const RECOVERED_ACCOUNT = '(recovered)';

/** How long the ledger's figures go back. */
export interface LedgerEpoch {
  /** One more after each crash: what was in memory alone is not in any figure then. */
  readonly number: number;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly sinceMs: number;
}

interface Note {
  readonly epoch: LedgerEpoch;
  /** Written at a clean stop. */
  readonly clean: boolean;
  /** Another version may know fewer states. */
  readonly accounts: readonly (Partial<Account> & Pick<Account, 'profile'>)[];
}

/** The ledger as text, kept with every checkpoint of the journal. */
export function ledgerNote(ledger: Ledger, epoch: LedgerEpoch, clean: boolean): string {
  return JSON.stringify({ epoch, clean, accounts: ledger.accounts() } satisfies Note);
}

/**
 * Brings a former process's figures back. After a clean stop they are exact. After a crash they are those of the last
 * checkpoint; what the journal holds is counted anew as it is read ({@link RecoveredRecords}), what was in memory alone
 * is gone from them (its devices were not acknowledged, or by contract `receive`, which counts as lost by contract),
 * and a new epoch says so.
 */
export function restoreLedger(ledger: Ledger, text: string, openRecords: number, nowMs: number): LedgerEpoch {
  const note = text === '' ? undefined : (JSON.parse(text) as Note);
  for (const stored of note?.accounts ?? []) {
    if (stored.profile === RECOVERED_ACCOUNT) continue;
    const account = ledger.account(stored.profile);
    for (const state of STATES) if (state !== 'open') account[state] += stored[state] ?? 0;
    account.acknowledged += stored.acknowledged ?? 0;
    const safe = account.produced + account.deadLettered + account.filtered + account.dropped;
    const known = safe + account.lostByContract + account.openInJournal;
    account.lostByContract += Math.max(0, account.acknowledged - known);
    account.opened = STATES.reduce((sum, state) => sum + account[state], 0);
  }
  const surplus = openRecords - ledger.total().openInJournal;
  if (surplus !== 0) {
    const recovered = ledger.account(RECOVERED_ACCOUNT);
    recovered.opened += surplus;
    recovered.openInJournal += surplus;
  }
  if (note === undefined) return { number: 1, sinceMs: nowMs };
  return note.clean ? note.epoch : { number: note.epoch.number + 1, sinceMs: nowMs };
}

/** Counts a former process's records as they are read, and sets the accounts right when all have been. */
export class RecoveredRecords {
  readonly #ledger: Ledger;
  /** What the accounts say of records on the disk. */
  readonly #expected: ReadonlyMap<string, number>;
  readonly #seen = new Map<string, number>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
    this.#expected = new Map(
      ledger
        .accounts()
        .filter(({ profile }) => profile !== RECOVERED_ACCOUNT)
        .map(({ profile, openInJournal }) => [profile, openInJournal]),
    );
  }

  seen(profile: string, records = 1): void {
    this.#seen.set(profile, (this.#seen.get(profile) ?? 0) + records);
  }

  /** All have been read. */
  settle(): void {
    const recovered = this.#ledger.account(RECOVERED_ACCOUNT);
    for (const profile of new Set([...this.#expected.keys(), ...this.#seen.keys()])) {
      const surplus = (this.#seen.get(profile) ?? 0) - (this.#expected.get(profile) ?? 0);
      const account = this.#ledger.account(profile);
      account.opened += surplus;
      account.openInJournal += surplus;
      recovered.opened -= surplus;
      recovered.openInJournal -= surplus;
    }
  }
}

/** Deliveries that are in no state, or in two. */
export interface Imbalance {
  /** An account, or the journal. */
  readonly subject: string;
  /** How many too few (below 0: too many) are in a state. */
  readonly difference: number;
  /** The numbers, for a person. */
  readonly text: string;
}

/** What is wrong with the ledger; none: every delivery is in exactly one state. */
export function imbalances(ledger: Ledger, openRecords: number | undefined): Imbalance[] {
  const found: Imbalance[] = [];
  for (const account of ledger.accounts()) {
    if (balances(account)) continue;
    const { profile, ...figures } = account;
    const difference = account.opened - STATES.reduce((sum, state) => sum + account[state], 0);
    found.push({ subject: profile, difference, text: `${profile}: ${JSON.stringify(figures)}` });
  }
  const { openInJournal } = ledger.total();
  if (openRecords !== undefined && openRecords !== openInJournal) {
    const text = `the journal holds ${openRecords} records, and the accounts say ${openInJournal}`;
    found.push({ subject: 'the journal', difference: openRecords - openInJournal, text });
  }
  return found;
}
