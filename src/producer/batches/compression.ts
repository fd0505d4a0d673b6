import { constants, gzip, zstdCompress } from 'node:zlib';
import { compressFrame } from 'lz4-napi';
import type { CompressionType } from '../config/config-table.ts';

/** A codec's number in a batch's attributes (Kafka protocol guide, "Record Batch"). */
export const CODEC_ID: Readonly<Record<CompressionType, number>> = {
  none: 0,
  gzip: 1,
  snappy: 2,
  lz4: 3,
  zstd: 4,
};

/** What changes the bytes at all. */
export type Codec = Exclude<CompressionType, 'none'>;

/** The levels of the codecs that have any. */
export interface CompressionLevels {
  /** 1 to 9; -1: the library's choice. */
  readonly gzip: number;
  /** Negative: quicker than 1; up to 22. */
  readonly zstd: number;
}

/** Compresses the records of a batch: native code in a thread of libuv's pool, whatever the codec. */
export async function compress(
  codec: Codec,
  levels: CompressionLevels,
  records: Uint8Array,
): Promise<Uint8Array> {
  switch (codec) {
    case 'lz4':
      return compressFrame(records);
    case 'snappy': {
      // Loaded by the first batch: a native library takes 2 MB, and few producers use this one.
      const snappy = await import('snappy');
      return inSnappyStream(await snappy.compress(records));
    }
    case 'gzip':
      return inPool((done) => {
        gzip(records, { level: levels.gzip === -1 ? constants.Z_DEFAULT_COMPRESSION : levels.gzip }, done);
      });
    case 'zstd':
      return inPool((done) => {
        const params = { [constants.ZSTD_c_compressionLevel]: levels.zstd };
        zstdCompress(records, { params, pledgedSrcSize: records.length }, done);
      });
  }
}

function inPool(start: (done: (error: Error | null, result: Buffer) => void) => void): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    start((error, result) => {
      if (error === null) resolve(result);
      else reject(error);
    });
  });
}

/** Of snappy-java's stream: a magic, its version, and the least version that can read it. */
const XERIAL_HEADER = Buffer.from([0x82, ...Buffer.from('SNAPPY\0'), 0, 0, 0, 1, 0, 0, 0, 1]);

/**
 * Snappy as all Kafka clients have it: the stream format of snappy-java, blocks with their lengths. The whole batch
 * is one block: each of its own would be another way to the pool and back, and whoever reads it holds the batch anyway.
 */
function inSnappyStream(block: Buffer): Buffer {
  const length = Buffer.allocUnsafe(4);
  length.writeInt32BE(block.length);
  return Buffer.concat([XERIAL_HEADER, length, block]);
}
