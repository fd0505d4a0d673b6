import { decompressFrame } from 'lz4-napi';
import { promisify } from 'node:util';
import { gunzip, zstdDecompress } from 'node:zlib';
import { BATCH_HEADER_BYTES, CODEC_ID, VarintReader, isIntact } from '../../producer/batches/record-batch.ts';
import { ProducerError } from '../../producer/errors.ts';

/** Of snappy-java's stream, which all Kafka clients write; raw snappy begins with a length. */
const XERIAL_MAGIC = Buffer.from([0x82, ...Buffer.from('SNAPPY\0')]);
const XERIAL_HEADER_BYTES = 16;

/** Records as Kafka clients compress them with snappy: blocks in snappy-java's stream format, or one raw block. */
export async function decompressSnappy(compressed: Buffer): Promise<Buffer> {
  if (!compressed.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return snappyBlock(compressed);
  const blocks: Buffer[] = [];
  for (let position = XERIAL_HEADER_BYTES; position < compressed.length;) {
    const start = position + 4;
    position = start + compressed.readInt32BE(position);
    if (position > compressed.length) throw new RangeError('a snappy block ends behind the batch');
    blocks.push(await snappyBlock(compressed.subarray(start, position)));
  }
  return Buffer.concat(blocks);
}

async function snappyBlock(block: Buffer): Promise<Buffer> {
  // Loaded where it is used: a native library takes 2 MB.
  const { uncompress } = await import('snappy');
  return (await uncompress(block, { asBuffer: true })) as Buffer;
}

export const decompressZstd: (compressed: Buffer) => Promise<Buffer> = promisify(zstdDecompress);

/** A record as it lies in Kafka. Bytes are views. */
export interface StoredRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** CreateTime, or the broker's time on a topic with LogAppendTime; milliseconds since 1970-01-01 UTC. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** In wire form, the count included (see core/record.ts). */
  readonly headers: Uint8Array;
}

/** Bytes before the length of a batch, and with it: what the length does not count. */
const LENGTH_OFFSET = 8;
const LENGTH_END = 12;
const LOG_APPEND_TIME = 0x08;
const CONTROL_BATCH = 0x20;

const DECOMPRESS: Readonly<Record<number, (records: Buffer) => Promise<Buffer>>> = {
  [CODEC_ID.none]: (records) => Promise.resolve(records),
  [CODEC_ID.gzip]: promisify(gunzip),
  [CODEC_ID.snappy]: decompressSnappy,
  [CODEC_ID.lz4]: (records) => decompressFrame(records),
  [CODEC_ID.zstd]: decompressZstd,
};

/**
 * Takes record batches apart (Kafka protocol guide, "Record Batch", magic 2). The last one of a fetch may be cut
 * off, and is left out; what transactions write about themselves is no record. `nextOffset` is where to go on: behind
 * the last batch, also where compaction took its last records.
 *
 * @throws ProducerError CORRUPT_BATCH for a batch whose checksum is wrong
 */
export async function readBatches(
  topic: string,
  partition: number,
  bytes: Buffer,
  fromOffset: number,
): Promise<{ readonly records: readonly StoredRecord[]; readonly nextOffset: number }> {
  const records: StoredRecord[] = [];
  let nextOffset = fromOffset;
  let position = 0;
  while (position + BATCH_HEADER_BYTES <= bytes.length) {
    const end = position + LENGTH_END + bytes.readInt32BE(position + LENGTH_OFFSET);
    if (end > bytes.length) break;
    const batch = bytes.subarray(position, end);
    const baseOffset = Number(batch.readBigInt64BE(0));
    if (!isIntact(batch)) {
      const what = `the batch at offset ${baseOffset} of ${topic}-${partition}`;
      throw new ProducerError('CORRUPT_BATCH', `${what} is damaged: its checksum is wrong`);
    }
    for (const record of await recordsOf(batch)) {
      const offset = baseOffset + record.offsetDelta;
      if (offset >= fromOffset) records.push({ ...record, topic, partition, offset });
    }
    nextOffset = Math.max(nextOffset, baseOffset + batch.readInt32BE(23) + 1);
    position = end;
  }
  return { records, nextOffset };
}

async function recordsOf(batch: Buffer) {
  const attributes = batch.readInt16BE(21);
  if ((attributes & CONTROL_BATCH) !== 0) return [];
  const baseTimestampMs = Number(batch.readBigInt64BE(27));
  const maxTimestampMs = Number(batch.readBigInt64BE(35));
  const appendTime = (attributes & LOG_APPEND_TIME) !== 0;
  const decompress = DECOMPRESS[attributes & 0x07];
  if (decompress === undefined) {
    throw new ProducerError('CORRUPT_BATCH', `a batch has an unknown codec: ${attributes & 0x07}`);
  }
  const source = await decompress(batch.subarray(BATCH_HEADER_BYTES));
  const reader = new VarintReader(source, 0);
  const bytes = (): Buffer | null => {
    const length = reader.varint();
    if (length < 0) return null;
    const start = reader.position;
    reader.position += length;
    return source.subarray(start, start + length);
  };
  return Array.from({ length: batch.readInt32BE(57) }, () => {
    const end = reader.varint() + reader.position;
    reader.position++; // attributes: none are defined
    const timestampMs = baseTimestampMs + reader.varlong();
    const offsetDelta = reader.varint();
    const record = {
      offsetDelta,
      timestampMs: appendTime ? maxTimestampMs : timestampMs,
      key: bytes(),
      value: bytes(),
      headers: source.subarray(reader.position, end),
    };
    reader.position = end;
    return record;
  });
}
