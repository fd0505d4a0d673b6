import {
  acknowledgedButLost,
  State,
  STATE_NAMES,
  type Account,
  type Figures,
  type Ledger,
} from './ledger.ts';

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
  readonly accounts: readonly (Partial<Figures> & Pick<Figures, 'profile'>)[];
}

/** The ledger as text, kept with every checkpoint of the journal. */
export function ledgerNote(ledger: Ledger, epoch: LedgerEpoch, clean: boolean): string {
  return JSON.stringify({ epoch, clean, accounts: ledger.figures() } satisfies Note);
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
    for (const name of STATE_NAMES) {
      if (name !== 'open') account.move(State.outside, State[name], stored[name] ?? 0);
    }
    account.acknowledge(stored.acknowledged);
    // Nothing of it is open: what was in memory alone is gone, and what its devices were told of that is lost.
    const { figures } = account;
    const lost = Math.max(0, acknowledgedButLost(figures) - figures.damaged);
    account.move(State.outside, State.lostByContract, lost);
  }
  const surplus = openRecords + lostRecords - ledger.total().openInJournal;
  if (surplus !== 0) ledger.account(RECOVERED_ACCOUNT).move(State.outside, State.openInJournal, surplus);
  loseUnread(ledger, lostRecords);
  if (note === undefined) return { number: 1, sinceMs: nowMs };
  return note.clean ? note.epoch : { number: note.epoch.number + 1, sinceMs: nowMs };
}

/** The journal lost so many of its open records; whose they were is not known yet. */
export function loseUnread(ledger: Ledger, records: number): void {
  if (records > 0) ledger.account(UNREAD_ACCOUNT).move(State.openInJournal, State.damaged, records);
}

/** Counts a former process's records as they are read, and sets the accounts right when all have been. */
export class RecoveredRecords {
  readonly #ledger: Ledger;
  #isSettled = false;
  /** What the accounts say of records on the disk. */
  readonly #expected: ReadonlyMap<string, number>;
  readonly #seen = new Map<string, number>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
    this.#expected = new Map(
      ledger
        .figures()
        .filter(({ profile }) => profile !== RECOVERED_ACCOUNT && profile !== UNREAD_ACCOUNT)
        .map(({ profile, openInJournal }) => [profile, openInJournal]),
    );
  }

  seen(profile: string, records = 1): void {
    if (!this.#isSettled) this.#seen.set(profile, (this.#seen.get(profile) ?? 0) + records);
  }

  /**
   * All have been read. What damage took is missing in the accounts that the last checkpoint says it belongs to; of what
   * came later than that nobody knows whose it was.
   */
  settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    const ledger = this.#ledger;
    // Below 0: so many records on the disk are of other accounts.
    let unread = ledger.figures().find(({ profile }) => profile === UNREAD_ACCOUNT)?.openInJournal ?? 0;
    for (const profile of new Set([...this.#expected.keys(), ...this.#seen.keys()])) {
      const missing = (this.#expected.get(profile) ?? 0) - (this.#seen.get(profile) ?? 0);
      if (missing === 0) continue;
      const account = ledger.account(profile);
      const damaged = Math.max(0, Math.min(missing, -unread));
      if (damaged > 0) {
        ledger.account(UNREAD_ACCOUNT).move(State.damaged, State.openInJournal, damaged);
        account.move(State.openInJournal, State.damaged, damaged);
        unread += damaged;
      }
      this.#hand(account, damaged - missing);
    }
    if (unread < 0) this.#hand(ledger.account(UNREAD_ACCOUNT), -unread);
  }

  /** So many that were recovered are this account's. */
  #hand(account: Account, records: number): void {
    account.move(State.outside, State.openInJournal, records);
    this.#ledger.account(RECOVERED_ACCOUNT).move(State.openInJournal, State.outside, records);
  }
}
