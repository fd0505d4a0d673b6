import { createRequire } from 'node:module';
import { constants, gzip, zstdCompress } from 'node:zlib';
import { compressFrame, compressFrameSync } from 'lz4-napi';
import type * as snappy from 'snappy';
import type { CompressionType } from './config-table.ts';

/** A codec's number in a batch's attributes (Kafka protocol guide, "Record Batch"). */
export const CODEC_ID: Readonly<Record<CompressionType, number>> = {
  none: 0,
  gzip: 1,
  snappy: 2,
  lz4: 3,
  zstd: 4,
};

/** The levels of the codecs that have any. */
export interface CompressionLevels {
  /** 1 to 9; -1: the library's choice. */
  readonly gzip: number;
  /** Negative: quicker than 1; up to 22. */
  readonly zstd: number;
}

/** Larger batches are compressed off the main thread. */
const LZ4_SYNC_BYTES = 256 * 1024;

/**
 * Compresses the records of a batch.
 *
 * lz4 of 128 KiB takes 0.19 ms on the main thread (2 cores, Node 24). In libuv's pool it takes 0.27 ms of CPU, of
 * which 0.02 on the main thread: a third more in all, on a machine whose other core is busy too, and it would
 * wait behind file system calls when a disk hangs. So it stays here up to 256 KiB (0.4 ms); snappy, as quick,
 * always. gzip takes ten times as long, zstd three times, and they always go to the pool.
 */
export function compress(
  type: CompressionType,
  levels: CompressionLevels,
  records: Buffer,
): Uint8Array | Promise<Uint8Array> {
  switch (type) {
    case 'none':
      return records;
    case 'lz4':
      return records.length <= LZ4_SYNC_BYTES ? compressFrameSync(records) : compressFrame(records);
    case 'snappy':
      return snappyFramed(records);
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
/** snappy-java's own block size; decoders allocate as much as a block says. */
const XERIAL_BLOCK_BYTES = 32 * 1024;

const require = createRequire(import.meta.url);

/** Snappy as all Kafka clients have it: the stream format of snappy-java, blocks with their lengths. */
function snappyFramed(records: Buffer): Buffer {
  // Loaded by the first batch: a native library takes 2 MB, and few producers use this one.
  const { compressSync } = require('snappy') as typeof snappy;
  const pieces: Buffer[] = [XERIAL_HEADER];
  for (let start = 0; start < records.length; start += XERIAL_BLOCK_BYTES) {
    const block = compressSync(records.subarray(start, start + XERIAL_BLOCK_BYTES));
    const length = Buffer.allocUnsafe(4);
    length.writeInt32BE(block.length);
    pieces.push(length, block);
  }
  return Buffer.concat(pieces);
}
