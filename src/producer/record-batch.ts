import { crc32c } from '@node-rs/crc32';
import type { CompressionType } from './config-table.ts';
import { CODEC_ID, compress, type CompressionLevels } from './compression.ts';
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

/** Turns closed batches into record batches (Kafka protocol guide, "Record Batch", magic 2). */
export class RecordBatchEncoder {
  readonly #type: CompressionType;
  readonly #levels: CompressionLevels;

  constructor(type: CompressionType, levels: CompressionLevels) {
    this.#type = type;
    this.#levels = levels;
  }

  /** Compresses the batch's records, unless that has been done: a retry sends the same bytes. */
  compress(batch: ProducerBatch): Promise<void> | undefined {
    if (batch.compressed !== undefined) return undefined;
    const compressed = compress(this.#type, this.#levels, batch.records);
    if (!(compressed instanceof Promise)) {
      batch.compressed = compressed;
      return undefined;
    }
    return compressed.then((bytes) => {
      batch.compressed = bytes;
    });
  }

  /** The batch with the header of its present producer id, epoch and sequence. It must have been compressed. */
  encode(batch: ProducerBatch): EncodedBatch {
    const { compressed } = batch;
    if (compressed === undefined) throw new Error('a batch is compressed before it is encoded');
    const header = Buffer.allocUnsafe(BATCH_HEADER_BYTES);
    header.writeBigInt64BE(0n, 0); // base offset: the broker's to fill in
    header.writeInt32BE(BATCH_HEADER_BYTES - 12 + compressed.length, 8); // what follows this field
    header.writeInt32BE(-1, 12); // partition leader epoch: the broker's
    header.writeInt8(MAGIC, 16);
    header.writeInt16BE(CODEC_ID[this.#type], ATTRIBUTES_OFFSET);
    header.writeInt32BE(batch.recordCount - 1, 23); // last offset delta
    header.writeBigInt64BE(BigInt(batch.baseTimestampMs), 27);
    header.writeBigInt64BE(BigInt(batch.maxTimestampMs), 35);
    header.writeBigInt64BE(batch.producerId, 43);
    header.writeInt16BE(batch.producerEpoch, 51);
    header.writeInt32BE(batch.baseSequence, 53);
    header.writeInt32BE(batch.recordCount, 57);
    header.writeUInt32BE(crc32c(compressed, crc32c(header.subarray(ATTRIBUTES_OFFSET))), CRC_OFFSET);
    return { header, records: compressed };
  }
}

/** Whether a batch as it was read, with its header, is what was written. */
export function isIntact(batch: Uint8Array): boolean {
  const bytes = Buffer.from(batch.buffer, batch.byteOffset, batch.length);
  return bytes.readUInt32BE(CRC_OFFSET) === crc32c(bytes.subarray(ATTRIBUTES_OFFSET));
}
