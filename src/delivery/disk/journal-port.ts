import type { SluiceError } from '../../core/errors.ts';
import type { QoS } from '../../core/publication.ts';
import type { SerializedRecord } from '../../core/record.ts';
import type { Bottleneck } from '../record-sink.ts';

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
  /** Set where the whole publication is on the disk with this record: see core/publication.ts; otherwise 0. */
  ordinal: number;
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
