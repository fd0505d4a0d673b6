import { crc32c } from '@node-rs/crc32';
import type { SerializedRecord } from '../../core/record.ts';
import type { CompressionType, ProducerConfig } from '../config/config-table.ts';
import { InvalidRecordError, RecordTooLargeError, type ProducerError } from '../errors.ts';

/** Bytes in front of the records of a batch (Kafka protocol guide, "Record Batch", magic 2). */
export const BATCH_HEADER_BYTES = 61;

/** Upper bound of what the first record of a batch adds to its key, value and headers (Java: MAX_RECORD_OVERHEAD). */
const MAX_RECORD_OVERHEAD_BYTES = 21;

/** The same for any record: its length, attributes, time, offset, and the lengths of key and value, at their longest. */
export const ANY_RECORD_OVERHEAD_BYTES = 5 + 1 + 8 + 5 + 5 + 5;

/** A codec's number in a batch's attributes (Kafka protocol guide, "Record Batch"). */
export const CODEC_ID: Readonly<Record<CompressionType, number>> = {
  none: 0,
  gzip: 1,
  snappy: 2,
  lz4: 3,
  zstd: 4,
};

const MAGIC = 2;
/** Where a batch's checksum stands. */
const CRC_OFFSET = 17;
/** The checksum covers everything from here to the end of the batch. */
const ATTRIBUTES_OFFSET = 21;

/** A batch as it goes over the wire: one record batch v2 in two pieces. */
export interface EncodedBatch {
  readonly header: Buffer;
  readonly records: Uint8Array;
}

/** A batch's records as they go over the wire. */
export interface CompressedRecords {
  readonly type: CompressionType;
  readonly bytes: Uint8Array;
}

/** What the header of a batch is made from. */
interface BatchFields {
  readonly recordCount: number;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  /** -1 in all three without idempotence. */
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly compressed: CompressedRecords | undefined;
}

/**
 * A closed batch as a record batch (Kafka protocol guide, "Record Batch", magic 2), with the header of its present
 * producer id, epoch and sequence. It must have been compressed.
 */
export function encodeBatch(batch: BatchFields): EncodedBatch {
  const { compressed } = batch;
  if (compressed === undefined) throw new Error('a batch is compressed before it is encoded');
  const { type, bytes } = compressed;
  const header = Buffer.allocUnsafe(BATCH_HEADER_BYTES);
  header.writeBigInt64BE(0n, 0); // base offset: the broker's to fill in
  header.writeInt32BE(BATCH_HEADER_BYTES - 12 + bytes.length, 8); // what follows this field
  header.writeInt32BE(-1, 12); // partition leader epoch: the broker's
  header.writeInt8(MAGIC, 16);
  header.writeInt16BE(CODEC_ID[type], ATTRIBUTES_OFFSET);
  header.writeInt32BE(batch.recordCount - 1, 23); // last offset delta
  header.writeBigInt64BE(BigInt(batch.baseTimestampMs), 27);
  header.writeBigInt64BE(BigInt(batch.maxTimestampMs), 35);
  header.writeBigInt64BE(batch.producerId, 43);
  header.writeInt16BE(batch.producerEpoch, 51);
  header.writeInt32BE(batch.baseSequence, 53);
  header.writeInt32BE(batch.recordCount, 57);
  header.writeUInt32BE(crc32c(bytes, crc32c(header.subarray(ATTRIBUTES_OFFSET))), CRC_OFFSET);
  return { header, records: bytes };
}

/** Whether a batch was read as it was written: its checksum is right. `batch` begins with the header. */
export function isIntact(batch: Uint8Array): boolean {
  const bytes = Buffer.from(batch.buffer, batch.byteOffset, batch.length);
  return bytes.readUInt32BE(CRC_OFFSET) === crc32c(bytes.subarray(ATTRIBUTES_OFFSET));
}

/** A record without a time of its own (RecordBatch.NO_TIMESTAMP): every broker takes it. */
const NO_TIMESTAMP_MS = -1;

/** The settings that bound a single record; bytes. */
export type RecordLimits = Pick<ProducerConfig, 'maxRequestSizeBytes' | 'bufferMemoryBytes'>;

/** Bytes that a record takes at most in a batch of its own, header included: what max.request.size is compared with. */
export function upperBoundBytes(record: SerializedRecord): number {
  return BATCH_HEADER_BYTES + MAX_RECORD_OVERHEAD_BYTES + contentBytes(record);
}

/** Bytes of the record's key, value and headers. */
export function contentBytes({ key, value, headers }: Omit<SerializedRecord, 'topic'>): number {
  return (key?.length ?? 0) + (value?.length ?? 0) + headers.length;
}

/**
 * Why a record can never be sent, whatever Kafka says of it; undefined: it can. `bytes` is its upper bound in a
 * batch of its own.
 */
export function neverSendable(
  { topic, timestampMs }: SerializedRecord,
  bytes: number,
  { maxRequestSizeBytes, bufferMemoryBytes }: RecordLimits,
): ProducerError | undefined {
  if (bytes > maxRequestSizeBytes) {
    return new RecordTooLargeError(topic, bytes, `max.request.size (${maxRequestSizeBytes})`);
  }
  if (bytes > bufferMemoryBytes) {
    return new RecordTooLargeError(topic, bytes, `buffer.memory (${bufferMemoryBytes})`);
  }
  if (!(timestampMs >= NO_TIMESTAMP_MS && Number.isSafeInteger(timestampMs))) {
    return new InvalidRecordError(topic, `${timestampMs} is not a timestamp in milliseconds`);
  }
  return undefined;
}

/**
 * Variable-length integers of the record format (Kafka protocol guide, "Protocol Primitive Types": VARINT and
 * VARLONG): zigzag, then 7 bits a byte, least significant first.
 */

/** Bytes that `value` takes as a zigzag VARINT; `value` is a 32-bit signed integer. */
export function varintSize(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  if (zigzag < 0x80) return 1;
  if (zigzag < 0x4000) return 2;
  if (zigzag < 0x20_0000) return 3;
  return zigzag < 0x1000_0000 ? 4 : 5;
}

/** Writes `value`, a 32-bit signed integer, at `position`; returns the position behind it. */
export function writeVarint(target: Uint8Array, value: number, position: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  while (rest > 0x7f) {
    target[position++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[position++] = rest;
  return position;
}

/** Bytes that `value`, an integer of up to 2^53, takes as a zigzag VARLONG. */
export function varlongSize(value: number): number {
  if (value === (value | 0)) return varintSize(value);
  // Beyond 32 bits shifts would wrap; the zigzag of a double is exact up to 2^52, a BigInt beyond.
  let rest = zigzagBig(value);
  let size = 1;
  while (rest > 0x7fn) {
    rest >>= 7n;
    size++;
  }
  return size;
}

/** Writes `value`, an integer of up to 2^53, at `position`; returns the position behind it. */
export function writeVarlong(target: Uint8Array, value: number, position: number): number {
  if (value === (value | 0)) return writeVarint(target, value, position);
  let rest = zigzagBig(value);
  while (rest > 0x7fn) {
    target[position++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  target[position++] = Number(rest);
  return position;
}

function zigzagBig(value: number): bigint {
  const big = BigInt(value);
  return big >= 0n ? big << 1n : (-big << 1n) - 1n;
}

/** Reads varints one after the other: for iterating a batch's records. */
export class VarintReader {
  position: number;
  readonly #source: Uint8Array;

  constructor(source: Uint8Array, position: number) {
    this.#source = source;
    this.position = position;
  }

  varint(): number {
    let zigzag = 0;
    let shift = 0;
    let byte: number;
    do {
      byte = this.#source[this.position++] as number;
      zigzag |= (byte & 0x7f) << shift;
      shift += 7;
    } while (byte > 0x7f);
    return (zigzag >>> 1) ^ -(zigzag & 1);
  }

  varlong(): number {
    let zigzag = 0n;
    let shift = 0n;
    let byte: number;
    do {
      byte = this.#source[this.position++] as number;
      zigzag |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
    } while (byte > 0x7f);
    return Number(zigzag & 1n ? -((zigzag + 1n) >> 1n) : zigzag >> 1n);
  }
}
