import { describe, expect, it } from 'vitest';
import { NO_HEADERS } from '../../../src/core/record.ts';
import { silentLogger, type Logger } from '../../../src/core/logger.ts';
import {
  BatchCompressor,
  type BatchCompressorOptions,
} from '../../../src/producer/batches/batch-compressor.ts';
import { CODEC_ID, encodeBatch } from '../../../src/producer/batches/record-batch.ts';
import { PartitionQueue } from '../../../src/producer/batches/partition-queue.ts';
import { ProducerBatch } from '../../../src/producer/batches/producer-batch.ts';

const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'] as const;

function batchOf(bytes: number): ProducerBatch {
  const batch = new ProducerBatch(new PartitionQueue('t', 0, () => 0), Buffer.allocUnsafe(bytes + 100), 0);
  const value = Buffer.alloc(bytes, 'temperature:');
  batch.tryAppend(
    { topic: 't', key: null, value, timestampMs: 0, headers: NO_HEADERS },
    { recordCompleted() {} },
    0,
  );
  return batch;
}

function compressor(options: Partial<BatchCompressorOptions> = {}): BatchCompressor {
  const levels = { gzip: -1, zstd: 3 };
  return new BatchCompressor({ type: 'lz4', levels, nowMs: () => 0, logger: silentLogger, ...options });
}

/** Codecs whose every batch the test finishes itself. */
class HeldCompressions {
  readonly started: {
    readonly records: Uint8Array;
    readonly finish: (bytes: Uint8Array) => void;
    readonly fail: (error: Error) => void;
  }[] = [];

  readonly compress: NonNullable<BatchCompressorOptions['compress']> = (_codec, _levels, records) =>
    new Promise((finish, fail) => {
      this.started.push({ records, finish, fail });
    });
}

describe('the compression of batches', () => {
  it.each(CODECS)(
    '%s leaves the main thread: a batch is never compressed when the call returns',
    async (type) => {
      const batch = batchOf(20_000);
      const done = compressor({ type }).compress(batch);
      expect(batch.compressed).toBeUndefined();
      await done;
      expect(batch.compressed).toMatchObject({ type });
      expect(batch.compressed!.bytes.length).toBeLessThan(batch.records.length / 4);
      expect(encodeBatch(batch).header.readInt16BE(21)).toBe(CODEC_ID[type]);
    },
  );

  it('a batch without compression can leave at once', () => {
    const batch = batchOf(100);
    expect(compressor({ type: 'none' }).compress(batch)).toBeUndefined();
    expect(encodeBatch(batch).records).toEqual(batch.records);
  });

  it('compression takes part of the thread pool only, and the oldest batch first', async () => {
    const held = new HeldCompressions();
    const limited = compressor({ type: 'zstd', compress: held.compress, maxInPool: 2 });
    const batches = [1, 2, 3, 4, 5].map((n) => batchOf(70_000 + n));
    const done = batches.map((batch) => limited.compress(batch));
    const order = [...batches];
    for (let next = 0; next < batches.length; next++) {
      expect(held.started.map(({ records }) => records.length)).toEqual(
        order.slice(0, Math.min(next + 2, 5)).map(({ records }) => records.length),
      );
      held.started[next]!.finish(Buffer.of(next));
      await done[next];
    }
    expect(batches.map(({ compressed }) => compressed!.bytes[0])).toEqual([0, 1, 2, 3, 4]);
  });

  it.each(CODECS)(
    '%s never comes back to the main thread, however much there is: what waits is said',
    async (type) => {
      const held = new HeldCompressions();
      const limited = compressor({ type, compress: held.compress, maxInPool: 1 });
      const batches = [20_000, 300_000, 20_001].map(batchOf);
      const done = limited.compress(batches[0]!);
      expect(limited.isBehind).toBe(false);
      const later = batches.slice(1).map((batch) => limited.compress(batch));
      expect(batches.map(({ compressed }) => compressed)).toEqual([undefined, undefined, undefined]);
      expect(limited.isBehind).toBe(true);
      held.started[0]!.finish(Buffer.of(1));
      await done;
      held.started[1]!.finish(Buffer.of(2));
      await later[0];
      expect(limited.isBehind).toBe(false);
      held.started[2]!.finish(Buffer.of(3));
      await later[1];
      expect(batches.map(({ compressed }) => compressed!.bytes[0])).toEqual([1, 2, 3]);
    },
  );

  it('a compression that fails loses nothing: the batch goes uncompressed, the next is tried, and one line says why', async () => {
    const held = new HeldCompressions();
    const warnings: object[] = [];
    const logger: Logger = { ...silentLogger, warn: (fields) => warnings.push(fields) };
    const limited = compressor({ type: 'gzip', compress: held.compress, maxInPool: 1, logger });
    const [first, second, third] = [batchOf(70_000), batchOf(70_000), batchOf(70_000)] as const;
    const done = [first, second, third].map((batch) => limited.compress(batch));
    held.started[0]!.fail(new Error('out of memory'));
    await done[0];
    held.started[1]!.fail(new Error('out of memory'));
    await done[1];
    held.started[2]!.finish(Buffer.of(1));
    await done[2];
    for (const batch of [first, second]) {
      const { header, records } = encodeBatch(batch);
      expect(records).toEqual(batch.records);
      expect(header.readInt16BE(21)).toBe(CODEC_ID.none);
    }
    expect(third.compressed).toEqual({ type: 'gzip', bytes: Buffer.of(1) });
    expect(warnings).toEqual([{ codec: 'gzip', reason: 'out of memory' }]);
  });
});
