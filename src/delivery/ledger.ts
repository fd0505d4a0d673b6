import type { Metric } from '../core/metric.ts';

/**
 * The deliveries of one device type: a delivery is one message on one route. Each is opened once and ends in
 * exactly one of the other states, so that at any moment
 * `opened = produced + deadLettered + filtered + refused + lostByContract + open`.
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
  /** In memory, waiting for Kafka. */
  open: number;
  /** The device was told that its message is safe (QoS 0: the contract was fulfilled, nobody asked). */
  acknowledged: number;
  /** Acknowledged on receipt by contract `receive`, and then not delivered. */
  lostByContract: number;
}

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
      total.opened += account.opened;
      total.produced += account.produced;
      total.deadLettered += account.deadLettered;
      total.filtered += account.filtered;
      total.refused += account.refused;
      total.open += account.open;
      total.acknowledged += account.acknowledged;
      total.lostByContract += account.lostByContract;
    }
    return total;
  }

  metrics(): Metric[] {
    const perProfile = (read: (account: Account) => number) => () =>
      this.accounts().map((account) => ({ labels: { type: account.profile }, value: read(account) }));
    return [
      {
        name: 'sluice_deliveries_opened_total',
        help: 'Messages taken on for delivery to Kafka.',
        kind: 'counter',
        labelNames: ['type'],
        read: perProfile((account) => account.opened),
      },
      {
        name: 'sluice_deliveries_produced_total',
        help: 'Deliveries whose record Kafka acknowledged.',
        kind: 'counter',
        labelNames: ['type'],
        read: perProfile((account) => account.produced),
      },
      {
        name: 'sluice_deliveries_dead_lettered_total',
        help: 'Deliveries whose dead letter Kafka acknowledged.',
        kind: 'counter',
        labelNames: ['type'],
        read: perProfile((account) => account.deadLettered),
      },
      {
        name: 'sluice_deliveries_filtered_total',
        help: "Deliveries that their profile's filters held back: understood, acknowledged, no record.",
        kind: 'counter',
        labelNames: ['type'],
        read: perProfile((account) => account.filtered),
      },
      {
        name: 'sluice_deliveries_refused_total',
        help: 'Deliveries that ended without an acknowledgement to the device.',
        kind: 'counter',
        labelNames: ['type'],
        read: perProfile((account) => account.refused),
      },
      {
        name: 'sluice_deliveries_open',
        help: 'Deliveries in memory that Kafka has not acknowledged yet.',
        kind: 'gauge',
        labelNames: ['type'],
        read: perProfile((account) => account.open),
      },
      {
        name: 'sluice_deliveries_acknowledged_total',
        help: 'Deliveries whose contract was fulfilled and whose device was told so.',
        kind: 'counter',
        labelNames: ['type'],
        read: perProfile((account) => account.acknowledged),
      },
      {
        name: 'sluice_deliveries_lost_by_contract_total',
        help: 'Deliveries acknowledged on receipt (contract receive) that then failed.',
        kind: 'counter',
        labelNames: ['type'],
        read: perProfile((account) => account.lostByContract),
      },
      {
        name: 'sluice_deliveries_acknowledged_but_lost',
        help: 'Acknowledged deliveries that are neither in Kafka, nor dead-lettered, nor filtered, nor lost by contract. Must be 0.',
        kind: 'gauge',
        read: () => acknowledgedButLost(this.total()),
      },
    ];
  }
}

/**
 * Deliveries that a device believes safe and that are nowhere. Contract `receive` acknowledges what is still
 * open, so open ones count as existing.
 */
export function acknowledgedButLost(account: Account): number {
  const accountedFor =
    account.produced + account.deadLettered + account.filtered + account.lostByContract + account.open;
  return Math.max(0, account.acknowledged - accountedFor);
}

/** Whether every delivery is in exactly one state. */
export function balances(account: Account): boolean {
  const ended =
    account.produced + account.deadLettered + account.filtered + account.refused + account.lostByContract;
  return account.opened === ended + account.open;
}

function emptyAccount(profile: string): Account {
  return {
    profile,
    opened: 0,
    produced: 0,
    deadLettered: 0,
    filtered: 0,
    refused: 0,
    open: 0,
    acknowledged: 0,
    lostByContract: 0,
  };
}
