import type { Metric } from '../../core/metric.ts';

/**
 * The deliveries of one device type: a delivery is one message on one route. Each is opened once and is in exactly
 * one of the other states, so that at any moment `opened` is the sum of {@link STATES}.
 */
export interface Account {
  readonly profile: string;
  opened: number;
  /** Kafka acknowledged the record. */
  produced: number;
  /** Kafka acknowledged the dead letter. */
  deadLettered: number;
  /** Understood, and by its profile's rules not worth a record; acknowledged. */
  filtered: number;
  /** Ended without a promise: the device was not acknowledged. */
  refused: number;
  /** The message came again, and was not delivered again: the edge knew it. */
  suppressed: number;
  /** In memory only, on its way to Kafka or to the disk. */
  open: number;
  /** On this gateway's disk, and not known to be in Kafka. */
  openInJournal: number;
  /** Acknowledged, and dropped because the journal was full, as configured. */
  dropped: number;
  /** Was on the disk, and was lost to its damage. */
  damaged: number;
  /** Acknowledged on receipt by contract `receive`, and then not delivered. */
  lostByContract: number;
  /** The device was told that its message is safe (QoS 0: the contract was fulfilled, nobody asked). No state. */
  acknowledged: number;
}

/** Of which each delivery is in exactly one. */
export const STATES = [
  'produced',
  'deadLettered',
  'filtered',
  'refused',
  'suppressed',
  'open',
  'openInJournal',
  'dropped',
  'damaged',
  'lostByContract',
] as const satisfies readonly (keyof Account)[];

const FIGURES = ['opened', ...STATES, 'acknowledged'] as const;

/**
 * What became of every message, by device type. Plain numbers on the hot path: whoever delivers mutates the
 * {@link Account} directly.
 */
export class Ledger {
  readonly #accounts = new Map<string, Account>();

  /** The account of a device type, opened on first use. The profiles are finite, so are the accounts. */
  account(profile: string): Account {
    let account = this.#accounts.get(profile);
    if (account === undefined) {
      account = emptyAccount(profile);
      this.#accounts.set(profile, account);
    }
    return account;
  }

  accounts(): readonly Account[] {
    return [...this.#accounts.values()];
  }

  /** The sum of all accounts. */
  total(): Account {
    const total = emptyAccount('');
    for (const account of this.#accounts.values()) {
      for (const figure of FIGURES) total[figure] += account[figure];
    }
    return total;
  }

  metrics(): Metric[] {
    return [
      ...METRICS.map(({ figure, ...metric }): Metric => ({
        ...metric,
        labelNames: ['type'],
        read: () =>
          this.accounts().map((account) => ({ labels: { type: account.profile }, value: account[figure] })),
      })),
      {
        name: 'sluice_deliveries_acknowledged_but_lost',
        help: 'Acknowledged deliveries that are in no state in which they exist or were given up by configuration. Must be 0.',
        kind: 'gauge',
        read: () => acknowledgedButLost(this.total()),
      },
    ];
  }
}

const METRICS: readonly (Omit<Metric, 'read' | 'labelNames'> & {
  readonly figure: (typeof FIGURES)[number];
})[] = [
  {
    figure: 'opened',
    name: 'sluice_deliveries_opened_total',
    help: 'Messages taken on for delivery to Kafka.',
    kind: 'counter',
  },
  {
    figure: 'produced',
    name: 'sluice_deliveries_produced_total',
    help: 'Deliveries whose record Kafka acknowledged.',
    kind: 'counter',
  },
  {
    figure: 'deadLettered',
    name: 'sluice_deliveries_dead_lettered_total',
    help: 'Deliveries whose dead letter Kafka acknowledged.',
    kind: 'counter',
  },
  {
    figure: 'filtered',
    name: 'sluice_deliveries_filtered_total',
    help: "Deliveries that their profile's filters held back: understood, acknowledged, no record.",
    kind: 'counter',
  },
  {
    figure: 'refused',
    name: 'sluice_deliveries_refused_total',
    help: 'Deliveries that ended without an acknowledgement to the device.',
    kind: 'counter',
  },
  {
    figure: 'suppressed',
    name: 'sluice_deliveries_suppressed_total',
    help: 'Deliveries of messages that came again, and were not delivered again.',
    kind: 'counter',
  },
  {
    figure: 'open',
    name: 'sluice_deliveries_open',
    help: 'Deliveries in memory alone: neither Kafka nor the disk has them yet.',
    kind: 'gauge',
  },
  {
    figure: 'openInJournal',
    name: 'sluice_deliveries_open_in_journal',
    help: "Deliveries on this gateway's disk that Kafka has not acknowledged yet.",
    kind: 'gauge',
  },
  {
    figure: 'acknowledged',
    name: 'sluice_deliveries_acknowledged_total',
    help: 'Deliveries whose contract was fulfilled and whose device was told so.',
    kind: 'counter',
  },
  {
    figure: 'dropped',
    name: 'sluice_deliveries_dropped_total',
    help: 'Deliveries acknowledged, and dropped because the journal was full, as journal.when.full says.',
    kind: 'counter',
  },
  {
    figure: 'damaged',
    name: 'sluice_deliveries_damaged_total',
    help: 'Deliveries that were on the disk and were lost to its damage.',
    kind: 'counter',
  },
  {
    figure: 'lostByContract',
    name: 'sluice_deliveries_lost_by_contract_total',
    help: 'Deliveries acknowledged on receipt (contract receive) that then failed.',
    kind: 'counter',
  },
];

/**
 * Deliveries that a device believes safe and that are nowhere. Contract `receive` acknowledges what is still
 * open, so open ones count as existing; what a policy dropped is not lost but given up.
 */
export function acknowledgedButLost(account: Account): number {
  const accountedFor =
    account.produced +
    account.deadLettered +
    account.filtered +
    account.dropped +
    account.lostByContract +
    account.open +
    account.openInJournal;
  return Math.max(0, account.acknowledged - accountedFor);
}

/** Whether every delivery is in exactly one state. */
export function balances(account: Account): boolean {
  return account.opened === STATES.reduce((sum, state) => sum + account[state], 0);
}

function emptyAccount(profile: string): Account {
  return {
    profile,
    opened: 0,
    produced: 0,
    deadLettered: 0,
    filtered: 0,
    refused: 0,
    suppressed: 0,
    open: 0,
    openInJournal: 0,
    dropped: 0,
    damaged: 0,
    lostByContract: 0,
    acknowledged: 0,
  };
}
