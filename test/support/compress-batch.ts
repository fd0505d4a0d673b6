import { silentLogger } from '../../src/core/logger.ts';
import { BatchCompressor } from '../../src/producer/batches/batch-compressor.ts';
import type { CompressionType } from '../../src/producer/config/config-table.ts';
import type { ProducerBatch } from '../../src/producer/batches/producer-batch.ts';

/** Has one batch compressed as the producer does it, at the default levels. */
export async function compressBatch(batch: ProducerBatch, type: CompressionType): Promise<void> {
  const levels = { gzip: -1, zstd: 3 };
  await new BatchCompressor({ type, levels, nowMs: () => 0, logger: silentLogger }).compress(batch);
}
