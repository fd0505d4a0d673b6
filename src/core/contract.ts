/**
 * What a device is promised: one row of {@link CONTRACTS}. Code that acts on a contract asks its row, and never
 * compares names. A new contract is a new row, and code for the question that it answers differently.
 */
export interface Contract {
  /** As `ack` in a device profile names it. */
  readonly name: ContractName;
  /**
   * A device is acknowledged as soon as its message was read. The acknowledgement waits neither for Kafka nor for
   * a disk.
   */
  readonly onReceipt: boolean;
  /** The acknowledgement may wait for this gateway's disk, so that there must be a journal. */
  readonly needsJournal: boolean;
  /** With a journal: a record goes there only when Kafka is away or slow, and not at once. */
  readonly kafkaFirst: boolean;
  /** For people: `a device is acknowledged when ...`. */
  readonly acknowledgedWhen: string;
  /** For people: where an acknowledged record may be. */
  readonly keptIn: readonly string[];
  /** For people: which acknowledged records can be lost. */
  readonly canLose: string;
}

export type ContractName = 'kafka' | 'journal' | 'kafka-or-journal' | 'receive';

/** All contracts. docs/contracts.md says more of each, in the same words. */
export const CONTRACTS: Readonly<Record<ContractName, Contract>> = {
  kafka: {
    name: 'kafka',
    onReceipt: false,
    needsJournal: false,
    kafkaFirst: false,
    acknowledgedWhen: 'Kafka has the record',
    keptIn: ['in Kafka'],
    canLose: "nothing, as far as the topic's replication holds",
  },
  journal: {
    name: 'journal',
    onReceipt: false,
    needsJournal: true,
    kafkaFirst: false,
    acknowledgedWhen: "this gateway's disk has the record, or Kafka if that is sooner",
    keptIn: ['in Kafka', "on this gateway's disk"],
    canLose: 'nothing while the disk lives',
  },
  'kafka-or-journal': {
    name: 'kafka-or-journal',
    onReceipt: false,
    needsJournal: true,
    kafkaFirst: true,
    acknowledgedWhen: 'Kafka has the record or, while Kafka is away or slow, the disk',
    keptIn: ['in Kafka', "on this gateway's disk"],
    canLose: "nothing while the disk lives, and as far as the topic's replication holds",
  },
  receive: {
    name: 'receive',
    onReceipt: true,
    needsJournal: false,
    kafkaFirst: false,
    acknowledgedWhen: 'the message has been read',
    keptIn: ['in Kafka', 'in memory'],
    canLose: 'what is in memory at a crash',
  },
};

/** The names of the contracts, for code that reads or offers one. */
export const CONTRACT_NAMES = Object.keys(CONTRACTS) as [ContractName, ...ContractName[]];

/** The names of the contracts for which something holds, for a sentence. */
export function contractsThat(holds: (contract: Contract) => boolean): ContractName[] {
  return CONTRACT_NAMES.filter((name) => holds(CONTRACTS[name]));
}
