import type { SerializedRecord } from '../../core/record.ts';
import type { ProducerError } from '../errors.ts';
import {
  BATCH_HEADER_BYTES,
  VarintReader,
  varintSize,
  varlongSize,
  writeVarint,
  writeVarlong,
} from './record-batch.ts';
import type { CompressedRecords } from './record-batch.ts';

/** The result of a batch; one object, shared by all of its records. */
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

/** What Kafka made of a batch. */
export type BatchOutcome = Pick<BatchResult, 'baseOffset' | 'logAppendTimeMs' | 'error'>;

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
 * Gets the results of records: one object for many records, so that the hot path allocates nothing for each
 * record.
 */
export interface RecordTarget {
  /**
   * Called exactly once for each appended record, within a partition in the order of the appends. `token` is
   * what came with the append, `index` the record's place in its batch. It must not throw.
   */
  recordCompleted(token: number, result: BatchResult, index: number): void;
}

export const BatchState = {
  /** Takes records. */
  Open: 0,
  /** Complete, never sent. */
  Closed: 1,
  InFlight: 2,
  /** Was in flight and has to go again. */
  Retry: 3,
  /** Has its result; the callbacks may still wait for earlier batches. */
  Done: 4,
} as const;
export type BatchState = (typeof BatchState)[keyof typeof BatchState];

/** A partition by its names. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/**
 * The records for one partition that travel together. Records are written straight into `buffer` in their wire
 * form, behind the room for the header, and never touched again. Their targets stand in two plain arrays
 * beside. A batch has one final result, set once.
 *
 * `Queue` is the PartitionQueue that it stands in: a parameter, so that a batch knows nothing of queues.
 */
export class ProducerBatch<Queue extends TopicPartition = TopicPartition> {
  readonly queue: Queue;
  readonly buffer: Buffer;
  /** Monotonic milliseconds of the first append: linger.ms and delivery.timeout.ms count from here. */
  readonly createdAtMs: number;
  state: BatchState = BatchState.Open;
  recordCount = 0;
  /** End of the records in `buffer`. */
  endPosition = BATCH_HEADER_BYTES;
  baseTimestampMs = 0;
  maxTimestampMs = 0;

  /** Sends that failed so far, and when it may go again; monotonic milliseconds. */
  attempts = 0;
  retryAtMs = 0;
  lastError: ProducerError | undefined;
  /** A send of it went without an answer: it may be in Kafka already. */
  maybeDelivered = false;
  /** It is in a request that has no answer yet, even if the batch has its result: its bytes may still be read. */
  unanswered = false;

  producerId = -1n;
  producerEpoch = -1;
  /** -1: none yet (idempotence), or none at all. */
  baseSequence = -1;

  /** Filled at the first send and kept, so that every retry sends the same bytes. */
  compressed: CompressedRecords | undefined;

  readonly #targets: RecordTarget[] = [];
  readonly #tokens: number[] = [];
  #result: BatchResult | undefined;
  #cursor: VarintReader | undefined;
  #cursorIndex = 0;

  constructor(queue: Queue, buffer: Buffer, createdAtMs: number) {
    this.queue = queue;
    this.buffer = buffer;
    this.createdAtMs = createdAtMs;
  }

  /** The records in wire form, without the batch's header. */
  get records(): Buffer {
    return this.buffer.subarray(BATCH_HEADER_BYTES, this.endPosition);
  }

  get hasSequence(): boolean {
    return this.baseSequence !== -1;
  }

  /** Writes the record at the end, or returns false when it doesn't fit. */
  tryAppend(record: SerializedRecord, target: RecordTarget, token: number): boolean {
    const { key, value, headers, timestampMs } = record;
    const index = this.recordCount;
    if (index === 0) {
      this.baseTimestampMs = timestampMs;
      this.maxTimestampMs = timestampMs;
    }
    const timestampDelta = timestampMs - this.baseTimestampMs;
    const keyLength = key === null ? -1 : key.length;
    const valueLength = value === null ? -1 : value.length;
    const bodyBytes =
      1 +
      varlongSize(timestampDelta) +
      varintSize(index) +
      varintSize(keyLength) +
      (keyLength > 0 ? keyLength : 0) +
      varintSize(valueLength) +
      (valueLength > 0 ? valueLength : 0) +
      headers.length;
    const buffer = this.buffer;
    if (this.endPosition + varintSize(bodyBytes) + bodyBytes > buffer.length) return false;

    let position = writeVarint(buffer, bodyBytes, this.endPosition);
    buffer[position++] = 0; // attributes: none are defined for records
    position = writeVarlong(buffer, timestampDelta, position);
    position = writeVarint(buffer, index, position);
    position = writeVarint(buffer, keyLength, position);
    if (key !== null) position = copyBytes(key, buffer, position);
    position = writeVarint(buffer, valueLength, position);
    if (value !== null) position = copyBytes(value, buffer, position);
    this.endPosition = copyBytes(headers, buffer, position);

    if (timestampMs > this.maxTimestampMs) this.maxTimestampMs = timestampMs;
    this.recordCount = index + 1;
    this.#targets.push(target);
    this.#tokens.push(token);
    return true;
  }

  /** The records one by one. */
  *[Symbol.iterator](): Generator<BatchRecord> {
    const reader = new VarintReader(this.buffer, BATCH_HEADER_BYTES);
    while (reader.position < this.endPosition) yield this.#readRecord(reader);
  }

  /** The record at `index`; quick when called with rising indexes. */
  record(index: number): BatchRecord {
    if (this.#cursor === undefined || index < this.#cursorIndex) {
      this.#cursor = new VarintReader(this.buffer, BATCH_HEADER_BYTES);
      this.#cursorIndex = 0;
    }
    for (; this.#cursorIndex < index; this.#cursorIndex++) {
      const bodyBytes = this.#cursor.varint();
      this.#cursor.position += bodyBytes;
    }
    this.#cursorIndex++;
    return this.#readRecord(this.#cursor);
  }

  #readRecord(reader: VarintReader): BatchRecord {
    const bodyBytes = reader.varint();
    const end = reader.position + bodyBytes;
    reader.position++; // attributes
    const timestampMs = this.baseTimestampMs + reader.varlong();
    reader.varint(); // offset delta
    const key = this.#readBytes(reader);
    const value = this.#readBytes(reader);
    const headers = this.buffer.subarray(reader.position, end);
    reader.position = end;
    return { key, value, timestampMs, headers };
  }

  #readBytes(reader: VarintReader): Uint8Array | null {
    const length = reader.varint();
    if (length < 0) return null;
    const start = reader.position;
    reader.position += length;
    return this.buffer.subarray(start, start + length);
  }

  /** Takes a place in the sequence out of another batch's; returns where the next part begins. */
  inherit(whole: ProducerBatch<Queue>, baseSequence: number): number {
    this.producerId = whole.producerId;
    this.producerEpoch = whole.producerEpoch;
    this.baseSequence = baseSequence;
    this.maybeDelivered = whole.maybeDelivered;
    return nextSequence(baseSequence, this.recordCount);
  }

  /** Who waits for the record at `index`: for moving records to another batch. */
  waiter(index: number): { readonly target: RecordTarget; readonly token: number } {
    return { target: this.#targets[index] as RecordTarget, token: this.#tokens[index] as number };
  }

  /** Gives the batch its one final result; the records hear of it through {@link notify}. */
  finish(outcome: BatchOutcome): void {
    if (this.#result !== undefined) throw new Error('a batch is finished once');
    const { topic, partition } = this.queue;
    this.#result = { ...outcome, topic, partition, record: (index) => this.record(index) };
    this.state = BatchState.Done;
  }

  /** Tells every record's target. One that throws is reported, and does not keep the others from hearing. */
  notify(onThrow: (error: unknown) => void): void {
    const result = this.#result;
    if (result === undefined) throw new Error('a batch is finished before its records are told');
    const targets = this.#targets;
    const tokens = this.#tokens;
    for (let index = 0; index < targets.length; index++) {
      try {
        (targets[index] as RecordTarget).recordCompleted(tokens[index] as number, result, index);
      } catch (error) {
        onThrow(error);
      }
    }
  }
}

/** Below about 48 bytes a loop beats TypedArray.set, whose call alone takes some 30 ns. */
function copyBytes(source: Uint8Array, target: Uint8Array, position: number): number {
  const length = source.length;
  if (length > 48) {
    target.set(source, position);
    return position + length;
  }
  for (let i = 0; i < length; i++) target[position + i] = source[i] as number;
  return position + length;
}

/** Sequence numbers go from 0 to 2^31 - 1 and then start again at 0 (Java: DefaultRecordBatch.incrementSequence). */
export function nextSequence(sequence: number, recordCount: number): number {
  return (sequence + recordCount) & 0x7fff_ffff;
}
