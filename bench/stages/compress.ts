import { RecordBatchEncoder } from '../../src/producer/record-batch.ts';
import { emptyBatch, fill } from './append.ts';
import { messages } from './fleet.ts';
import type { Stage } from './stage.ts';

/** Compresses a full batch in lz4 and writes its header, checksum included. */
export const stage: Stage = {
  name: 'compress',
  prepare() {
    const batch = emptyBatch();
    const count = fill(batch, messages());
    const encoder = new RecordBatchEncoder('lz4', { gzip: -1, zstd: 3 });
    return {
      messages: count,
      run() {
        batch.compressed = undefined;
        void encoder.compress(batch);
        return encoder.encode(batch).records.length;
      },
    };
  },
};
