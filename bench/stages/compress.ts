import { silentLogger } from '../../src/core/logger.ts';
import { BatchCompressor } from '../../src/producer/batches/batch-compressor.ts';
import { encodeBatch } from '../../src/producer/batches/record-batch.ts';
import { emptyBatch, fill } from './append.ts';
import { messages } from './fleet.ts';
import type { Stage } from './stage.ts';

/** Compresses a full batch in lz4, in the thread pool, and writes its header, checksum included. */
export const stage: Stage = {
  name: 'compress',
  prepare() {
    const batch = emptyBatch();
    const count = fill(batch, messages());
    const compressor = new BatchCompressor({
      type: 'lz4',
      levels: { gzip: -1, zstd: 3 },
      nowMs: () => performance.now(),
      logger: silentLogger,
    });
    return {
      messages: count,
      async run() {
        batch.compressed = undefined;
        await compressor.compress(batch);
        return encodeBatch(batch).records.length;
      },
    };
  },
};
