import { balances, STATES, type Account, type Ledger } from './ledger.ts';

/** Where records of a former process are counted whose account is not known yet; below 0: fewer than expected. */
export const RECOVERED_ACCOUNT = '(recovered)';

/** Where records are counted that were lost to damage before anybody could read whose they were. */
export const UNREAD_ACCOUNT = '(unread)';

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

/** What a start finds in the journal. */
export interface RestoredJournal {
  readonly openRecords: number;
  /** Open too, and known to be lost: not among the others. */
  readonly lostRecords: number;
}

/**
 * Brings a former process's figures back. After a clean stop they are exact. After a crash they are those of the last
 * checkpoint; what the journal holds is counted anew as it is read ({@link RecoveredRecords}), what was in memory alone
 * is gone from them (its devices were not acknowledged, or by contract `receive`, which counts as lost by contract),
 * and a new epoch says so.
 */
export function restoreLedger(
  ledger: Ledger,
  text: string,
  { openRecords, lostRecords }: RestoredJournal,
  nowMs: number,
): LedgerEpoch {
  const note = text === '' ? undefined : (JSON.parse(text) as Note);
  for (const stored of note?.accounts ?? []) {
    if (stored.profile === RECOVERED_ACCOUNT) continue;
    const account = ledger.account(stored.profile);
    for (const state of STATES) if (state !== 'open') account[state] += stored[state] ?? 0;
    account.acknowledged += stored.acknowledged ?? 0;
    const safe = account.produced + account.deadLettered + account.filtered + account.dropped;
    const known = safe + account.damaged + account.lostByContract + account.openInJournal;
    account.lostByContract += Math.max(0, account.acknowledged - known);
    account.opened = STATES.reduce((sum, state) => sum + account[state], 0);
  }
  const surplus = openRecords + lostRecords - ledger.total().openInJournal;
  if (surplus !== 0) {
    const recovered = ledger.account(RECOVERED_ACCOUNT);
    recovered.opened += surplus;
    recovered.openInJournal += surplus;
  }
  loseUnread(ledger, lostRecords);
  if (note === undefined) return { number: 1, sinceMs: nowMs };
  return note.clean ? note.epoch : { number: note.epoch.number + 1, sinceMs: nowMs };
}

/** The journal lost so many of its open records; whose they were is not known yet. */
export function loseUnread(ledger: Ledger, records: number): void {
  if (records === 0) return;
  const unread = ledger.account(UNREAD_ACCOUNT);
  unread.openInJournal -= records;
  unread.damaged += records;
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
        .filter(({ profile }) => profile !== RECOVERED_ACCOUNT && profile !== UNREAD_ACCOUNT)
        .map(({ profile, openInJournal }) => [profile, openInJournal]),
    );
  }

  seen(profile: string, records = 1): void {
    this.#seen.set(profile, (this.#seen.get(profile) ?? 0) + records);
  }

  /**
   * All have been read. What damage took is missing in the accounts that the last checkpoint says it belongs to; of what
   * came later than that nobody knows whose it was.
   */
  settle(): void {
    const ledger = this.#ledger;
    const unread = ledger.accounts().find(({ profile }) => profile === UNREAD_ACCOUNT);
    for (const profile of new Set([...this.#expected.keys(), ...this.#seen.keys()])) {
      const missing = (this.#expected.get(profile) ?? 0) - (this.#seen.get(profile) ?? 0);
      if (missing === 0) continue;
      const account = ledger.account(profile);
      const damaged = Math.max(0, Math.min(missing, -(unread?.openInJournal ?? 0)));
      if (unread !== undefined) {
        unread.openInJournal += damaged;
        unread.damaged -= damaged;
      }
      account.damaged += damaged;
      account.openInJournal -= damaged;
      this.#hand(account, damaged - missing);
    }
    if (unread !== undefined && unread.openInJournal < 0) this.#hand(unread, -unread.openInJournal);
  }

  /** So many that were recovered are this account's. */
  #hand(account: Account, records: number): void {
    const recovered = this.#ledger.account(RECOVERED_ACCOUNT);
    account.opened += records;
    account.openInJournal += records;
    recovered.opened -= records;
    recovered.openInJournal -= records;
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
