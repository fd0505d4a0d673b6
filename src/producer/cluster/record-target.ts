import type { ProducerError } from '../errors.ts';

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
  /**
   * The record at `index`, as views on memory that is used again: valid only while
   * {@link RecordTarget.recordCompleted} runs. For records that failed and are to be kept elsewhere.
   */
  record(index: number): BatchRecord;
}

/** A record of a batch. */
export interface BatchRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  /** CreateTime, milliseconds since 1970-01-01 UTC. */
  readonly timestampMs: number;
  /** In wire form, the count included (see core/record.ts). */
  readonly headers: Uint8Array;
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
