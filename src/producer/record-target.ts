import type { ProducerError } from './errors.ts';

/** What became of a batch; one object, shared by all of its records. */
export interface BatchResult {
  readonly topic: string;
  readonly partition: number;
  /**
   * Offset of the batch's first record: a record's own is `baseOffset + index`. -1 when there is an error, with
   * acks=0, and where Kafka only says that it has the batch already.
   */
  readonly baseOffset: bigint;
  /** The broker's time on a topic with LogAppendTime, milliseconds since 1970-01-01 UTC; otherwise -1. */
  readonly logAppendTimeMs: number;
  /** undefined: Kafka has the records, as far as `acks` asks. */
  readonly error: ProducerError | undefined;
}

/**
 * Who is told what became of a record: one object for many records, so that the hot path allocates nothing
 * a record.
 */
export interface RecordTarget {
  /**
   * Called exactly once for each appended record, within a partition in the order of the appends. `token` is
   * what came with the append, `index` the record's place in its batch. It must not throw.
   */
  recordCompleted(token: number, result: BatchResult, index: number): void;
}
