import type { SluiceError } from '../core/errors.ts';
import type { EncodedHeaders, SerializedRecord } from '../core/record.ts';

/** What delivery needs from a producer. */
export interface RecordSink {
  /**
   * Appends a copy of the record. undefined: taken, and `target.recordCompleted(token, ...)` follows exactly
   * once. A {@link Bottleneck}: no room now. An error: this record can never be sent.
   */
  tryAppend(
    record: SerializedRecord,
    target: RecordTarget,
    token: number,
  ): Bottleneck | SluiceError | undefined;
}

/** What a record waits for: its partition's share, buffer memory, or its topic's metadata. */
export interface Bottleneck {
  /** Calls back once, when another try is worthwhile. `isGone`: there would be no try, and it may be forgotten. */
  wait(callback: () => void, isGone?: () => boolean): void;
}

/** What delivery needs beyond that where records may come from the disk: order is kept by partition. */
export interface PartitionedSink extends RecordSink {
  /** The partition that the record goes to: -1 where any will do, -2 while partitions are unknown. */
  partitionOf(record: SerializedRecord): number;
  /** 0 while they are unknown. */
  partitionCount(topic: string): number;
  connectionState(): { readonly connectedBrokers: number };
  /** Memory for records, bytes. */
  readonly buffer: { readonly totalBytes: number; readonly availableBytes: number };
  /**
   * Records for the partition (-1: for all of the topic's) that have no result yet, oldest first. Views: nothing may
   * be appended while they are looked at.
   */
  unacknowledged(topic: string, partition: number): Iterable<UnacknowledgedRecord>;
}

export interface UnacknowledgedRecord {
  readonly record: SerializedRecord;
  readonly target: RecordTarget;
  readonly token: number;
}

export interface RecordTarget {
  /** `result` is shared by the whole batch; without an error, Kafka holds the record as the contract asks. */
  recordCompleted(token: number, result: RecordResult, index: number): void;
}

export interface RecordResult {
  readonly error: RecordError | undefined;
  /** The topic that the record was for. */
  readonly topic: string;
  /** The record, as views that are valid only while {@link RecordTarget.recordCompleted} runs. */
  record(index: number): RejectedRecord;
}

export interface RecordError extends SluiceError {
  /** Kafka will never take this record, whereas it takes others for the same topic. */
  readonly isRecordFault?: boolean;
}

/** What Kafka did not take. */
export interface RejectedRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly timestampMs: number;
  readonly headers: EncodedHeaders;
}
