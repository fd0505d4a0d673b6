import type { Header } from '../../core/record.ts';

/** A record of a command topic as Kafka holds it. */
export interface CommandRecord {
  readonly offset: bigint;
  /** The record's timestamp, milliseconds since 1970-01-01 UTC. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly Header[];
}

export interface CommandListener {
  /**
   * Offers records of a partition in their order; returns how many were taken, from the front. The others come again
   * after {@link CommandSource.resume}.
   */
  records(partition: number, records: readonly CommandRecord[]): number;
  /** The membership of the group begins anew: what has not been committed comes again. */
  joined(): void;
}

/** Where the commands of one topic come from: the only member of its consumer group. */
export interface CommandSource {
  /** Begins to read, and tries again until {@link stop}, whatever happens. */
  start(listener: CommandListener): void;
  /** Offers records of this partition again. */
  resume(partition: number): void;
  /** Commits, by partition, where to go on after a restart. False: not done; it is tried with the next. */
  commit(offsets: ReadonlyMap<number, bigint>): Promise<boolean>;
  /** Offers nothing more; commits are still possible. */
  pause(): void;
  /** Leaves the group. Never rejects. */
  stop(): Promise<void>;
  /** Why nothing is read at present; undefined: it is. */
  readonly problem: string | undefined;
  /** Records that Kafka has and that were not taken yet, as of the last fetch. */
  readonly lag: number;
}
