import type { Contract } from '../../core/contract.ts';
import type { Metric } from '../../core/metric.ts';
import type { Route } from '../../core/route.ts';

/** Where a delivery can be. It is in exactly one of these at any moment. */
export const State = {
  /** Kafka acknowledged the record. */
  produced: 0,
  /** Kafka acknowledged the dead letter. */
  deadLettered: 1,
  /** Understood, and by its profile's rules not worth a record; acknowledged. */
  filtered: 2,
  /** Ended without a promise: the device was not acknowledged. */
  refused: 3,
  /** The message came again, and was not delivered again: the edge knew it. */
  suppressed: 4,
  /** In memory only, on its way to Kafka or to the disk. */
  open: 5,
  /** On this gateway's disk, and not known to be in Kafka. */
  openInJournal: 6,
  /** Acknowledged, and dropped because the journal was full, as configured. */
  dropped: 7,
  /** Was on the disk, and was lost to its damage. */
  damaged: 8,
  /** Acknowledged on receipt by contract `receive`, and then not delivered. */
  lostByContract: 9,
  /** Not opened yet. What has left it is what was opened: it counts below 0. */
  outside: 10,
} as const;

export type State = (typeof State)[keyof typeof State];
export type StateName = Exclude<keyof typeof State, 'outside'>;

export const STATE_NAMES = Object.keys(State).filter((name): name is StateName => name !== 'outside');

/** What an account or all of them say: `opened` is the sum of the states, or something is wrong. */
export interface Figures extends Record<StateName, number> {
  /** The device type; empty: of all. */
  profile: string;
  opened: number;
  /** The device was told that its message is safe (QoS 0: the contract was fulfilled, nobody asked). No state. */
  acknowledged: number;
}

/**
 * The deliveries of one device type: a delivery is one message on one route. They only ever move from one state to
 * another, so that the sum over all states, {@link State.outside} included, is always 0: the account balances by
 * construction.
 */
export class Account {
  readonly profile: string;
  /** By {@link State}. */
  readonly #deliveries: number[] = Object.values(State).map(() => 0);
  #acknowledged = 0;

  constructor(profile: string) {
    this.profile = profile;
  }

  /** Every message does this twice or more: two numbers in an array, no name is looked up. */
  move(from: State, to: State, deliveries = 1): void {
    const all = this.#deliveries;
    all[from] = (all[from] as number) - deliveries;
    all[to] = (all[to] as number) + deliveries;
  }

  /** Their devices were told. */
  acknowledge(deliveries = 1): void {
    this.#acknowledged += deliveries;
  }

  get figures(): Figures {
    const states = STATE_NAMES.map((name) => [name, this.#deliveries[State[name]]]);
    return {
      profile: this.profile,
      // 0 and not -0.
      opened: 0 - (this.#deliveries[State.outside] as number),
      ...(Object.fromEntries(states) as Record<StateName, number>),
      acknowledged: this.#acknowledged,
    };
  }
}

/** What became of every message, by device type. */
export class Ledger {
  readonly #accounts = new Map<string, Account>();

  /** The account of a device type, opened on first use. The profiles are finite, so are the accounts. */
  account(profile: string): Account {
    let account = this.#accounts.get(profile);
    if (account === undefined) {
      account = new Account(profile);
      this.#accounts.set(profile, account);
    }
    return account;
  }

  /** What each account says. */
  figures(): Figures[] {
    return [...this.#accounts.values()].map(({ figures }) => figures);
  }

  /** The sum of all accounts. */
  total(): Figures {
    const total = new Account('').figures;
    for (const account of this.figures()) for (const figure of FIGURES) total[figure] += account[figure];
    return total;
  }

  metrics(): Metric[] {
    return [
      ...FIGURES.map((figure): Metric => {
        const [kind, help] = METRICS[figure];
        const words = figure.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
        return {
          name: `sluice_deliveries_${words}${kind === 'counter' ? '_total' : ''}`,
          help,
          kind,
          labelNames: ['type'],
          read: () =>
            this.figures().map((account) => ({ labels: { type: account.profile }, value: account[figure] })),
        };
      }),
      {
        name: 'sluice_deliveries_acknowledged_but_lost',
        help: 'Acknowledged deliveries that are in no state in which they exist or were given up by configuration. Must be 0.',
        kind: 'gauge',
        read: () => acknowledgedButLost(this.total()),
      },
    ];
  }
}

type Figure = Exclude<keyof Figures, 'profile'>;

/** A metric each; its name is the figure's. */
const METRICS: Readonly<Record<Figure, readonly [kind: Metric['kind'], help: string]>> = {
  opened: ['counter', 'Messages taken on for delivery to Kafka.'],
  produced: ['counter', 'Deliveries whose record Kafka acknowledged.'],
  deadLettered: ['counter', 'Deliveries whose dead letter Kafka acknowledged.'],
  filtered: [
    'counter',
    "Deliveries that their profile's filters held back: understood, acknowledged, no record.",
  ],
  refused: ['counter', 'Deliveries that ended without an acknowledgement to the device.'],
  suppressed: ['counter', 'Deliveries of messages that came again, and were not delivered again.'],
  open: ['gauge', 'Deliveries in memory alone: neither Kafka nor the disk has them yet.'],
  openInJournal: ['gauge', "Deliveries on this gateway's disk that Kafka has not acknowledged yet."],
  acknowledged: ['counter', 'Deliveries whose contract was fulfilled and whose device was told so.'],
  dropped: [
    'counter',
    'Deliveries acknowledged, and dropped because the journal was full, as journal.when.full says.',
  ],
  damaged: ['counter', 'Deliveries that were on the disk and were lost to its damage.'],
  lostByContract: ['counter', 'Deliveries acknowledged on receipt (contract receive) that then failed.'],
};

const FIGURES = Object.keys(METRICS) as Figure[];

/** A route, and the account that its deliveries are on: found when the topic is, and not for each message. */
export interface DeliveryRoute extends Route {
  readonly account: Account;
}

/** Hangs the account of the route's device type on the route. */
export function withAccount<R extends Route>(route: R, ledger: Ledger): R & DeliveryRoute {
  return Object.assign(route, { account: ledger.account(route.profile) });
}

/**
 * Deliveries that a device believes safe and that are nowhere. Contract `receive` acknowledges what is still
 * open, so open ones count as existing; what a policy dropped is not lost but given up.
 */
export function acknowledgedButLost(figures: Figures): number {
  const { produced, deadLettered, filtered, dropped, lostByContract, open, openInJournal } = figures;
  const accountedFor = produced + deadLettered + filtered + dropped + lostByContract + open + openInJournal;
  return Math.max(0, figures.acknowledged - accountedFor);
}

/** How many deliveries too few are in a state; below 0: too many. */
export function missingIn(figures: Figures): number {
  return figures.opened - STATE_NAMES.reduce((sum, state) => sum + figures[state], 0);
}

/** Whether every delivery is in exactly one state. */
export function balances(figures: Figures): boolean {
  return missingIn(figures) === 0;
}

/** One device type's deliveries: `opened` is the sum of `states`, or something is wrong. */
export interface AccountReport {
  readonly type: string;
  /** The topic pattern of its route; null where no profile of this name is there any more, or none matched. */
  readonly route: string | null;
  readonly contract: string | null;
  readonly opened: number;
  readonly states: Readonly<Record<StateName, number>>;
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
  ledger: Pick<Ledger, 'figures' | 'total'>,
  profiles: readonly { readonly type: string; readonly topic: string; readonly ack: Contract }[],
): LedgerReport {
  const accounts = ledger
    .figures()
    .map((figures) => {
      const profile = profiles.find(({ type }) => type === figures.profile);
      return {
        type: figures.profile,
        route: profile?.topic ?? null,
        contract: profile?.ack.name ?? null,
        ...reportOf(figures),
      };
    })
    .sort((a, b) => a.type.localeCompare(b.type));
  const total = reportOf(ledger.total());
  const ok = [total, ...accounts].every((each) => each.balanced && each.acknowledgedButLost === 0);
  return { ok, accounts, total };
}

function reportOf(figures: Figures): LedgerReport['total'] {
  return {
    opened: figures.opened,
    states: Object.fromEntries(STATE_NAMES.map((state) => [state, figures[state]])) as Record<
      StateName,
      number
    >,
    acknowledged: figures.acknowledged,
    acknowledgedButLost: acknowledgedButLost(figures),
    balanced: balances(figures),
  };
}
