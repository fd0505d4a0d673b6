import { crc32c } from '@node-rs/crc32';
import { CODEC_ID } from './compression.ts';
import { BATCH_HEADER_BYTES, type ProducerBatch } from './producer-batch.ts';

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

/**
 * A closed batch as a record batch (Kafka protocol guide, "Record Batch", magic 2), with the header of its present
 * producer id, epoch and sequence. It must have been compressed.
 */
export function encodeBatch(batch: ProducerBatch): EncodedBatch {
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

/** Whether a batch as it was read, with its header, is what was written. */
export function isIntact(batch: Uint8Array): boolean {
  const bytes = Buffer.from(batch.buffer, batch.byteOffset, batch.length);
  return bytes.readUInt32BE(CRC_OFFSET) === crc32c(bytes.subarray(ATTRIBUTES_OFFSET));
}
