import type { SluiceError } from '../core/errors.ts';
import type { QoS } from '../core/publication.ts';
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

/** A record's place on the disk; grows with every append. */
export type Position = number;

/** What the journal says in place of a position: its policy dropped the record. */
export const DROPPED: Position = -1;

/** What is kept beside a record: whose account it is on, and which PUBLISH it came from. */
export interface RecordMeta {
  account: string;
  clientId: string;
  /** 0 with QoS 0. */
  packetId: number;
  qos: QoS;
  /** The publication's, where all of it is on the disk with this record: see core/publication.ts. Otherwise 0. */
  publicationNumber: number;
}

/** A record as it is read back; one instance serves many. */
export interface JournaledRecord extends SerializedRecord, RecordMeta {
  position: Position;
}

export interface JournalTarget {
  /** The record is on the disk at `position`, or {@link DROPPED}: then possibly before `append` returned. */
  recordJournaled(token: number, position: Position): void;
}

/** What delivery needs of store and forward. */
export interface Journal {
  /**
   * Takes a copy of the record; `target` hears when it is on the disk. A {@link Bottleneck}: no room now. An error:
   * never. `mayDrop`: left out, the policy may drop it if the disk is full.
   */
  append(
    record: SerializedRecord,
    meta: RecordMeta,
    target: JournalTarget,
    token: number,
    mayDrop?: boolean,
  ): Bottleneck | SluiceError | undefined;
  /** Readers leave the record out from now on: somebody is sending it. */
  claim(position: Position): void;
  /** Kafka has the record. False: it was done before, or dropped by policy. */
  acknowledge(position: Position): boolean;
  openReader(options?: { readonly from?: Position }): JournalReader;
  readonly backlog: { readonly openRecords: number };
}

/** Reads what nobody has claimed, in the order of the appends. */
export interface JournalReader {
  /** Everything in front of it was read. */
  readonly position: Position;
  skipTo(position: Position): void;
  /** undefined: nothing more is on the disk at present. Rejects while the disk can't be read. */
  next(maxBytes?: number): Promise<JournalBatch | undefined>;
}

export interface JournalBatch {
  readonly bytes: number;
  /** The next record, as views that are valid as long as the batch; false at its end. */
  next(into: JournaledRecord): boolean;
}
