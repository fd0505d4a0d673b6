import { createRequire } from 'node:module';
import { crc32c } from '@node-rs/crc32';
import fc from 'fast-check';
import kafkajs from 'kafkajs';
import { decompressFrame } from 'lz4-napi';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeHeaders, type SerializedRecord } from '../../../src/core/record.ts';
import type { CompressionType } from '../../../src/producer/config/config-table.ts';
import { decompressSnappy, decompressZstd } from '../../../src/kafka/protocol/record-batch-reader.ts';
import { PartitionQueue } from '../../../src/producer/batches/partition-queue.ts';
import { ProducerBatch } from '../../../src/producer/batches/producer-batch.ts';
import { encodeBatch, upperBoundBytes } from '../../../src/producer/batches/record-batch.ts';
import { compressBatch } from '../../support/compress-batch.ts';

const require = createRequire(import.meta.url);
const Decoder = require('kafkajs/src/protocol/decoder.js') as new (buffer: Buffer) => unknown;
const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder.js') as (
  decoder: unknown,
) => Promise<{
  producerId: string;
  producerEpoch: number;
  firstSequence: number;
  lastOffsetDelta: number;
  maxTimestamp: string;
  records: { offset: string; timestamp: string; key: Buffer | null; value: Buffer | null; headers: object }[];
}>;

const target = { recordCompleted() {} };
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const record = fc.record({
  key: fc.option(bytes(80)),
  value: fc.option(bytes(600)),
  timestampMs: fc.oneof(fc.integer({ min: 0, max: 2 ** 45 }), fc.constantFrom(0, 1_760_000_000_000)),
  headers: fc.dictionary(
    fc.string({ minLength: 1, maxLength: 12 }).filter((key) => !(key in {})),
    bytes(30),
    { maxKeys: 3 },
  ),
});
const codecs = fc.constantFrom<CompressionType>('none', 'lz4', 'gzip', 'snappy', 'zstd');

function batchOf(records: readonly SerializedRecord[]): ProducerBatch {
  const size = records.reduce((sum, one) => sum + upperBoundBytes(one), 0);
  const batch = new ProducerBatch(new PartitionQueue('t', 0, () => 0), Buffer.allocUnsafe(size), 0);
  for (const one of records) expect(batch.tryAppend(one, target, 0)).toBe(true);
  return batch;
}

async function wire(batch: ProducerBatch, codec: CompressionType): Promise<Buffer> {
  await compressBatch(batch, codec);
  const { header, records } = encodeBatch(batch);
  return Buffer.concat([header, records]);
}

describe('a record batch', () => {
  beforeAll(() => {
    const { LZ4, Snappy, ZSTD } = kafkajs.CompressionTypes;
    kafkajs.CompressionCodecs[LZ4] = () => ({ decompress: decompressFrame });
    kafkajs.CompressionCodecs[Snappy] = () => ({ decompress: decompressSnappy });
    kafkajs.CompressionCodecs[ZSTD] = () => ({ decompress: decompressZstd });
  });

  it('a record batch is read back by kafkajs with every key, value, timestamp and header as it was appended', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 30 }), codecs, async (inputs, codec) => {
        const batch = batchOf(
          inputs.map(({ headers, ...rest }) => ({
            topic: 't',
            ...rest,
            headers: encodeHeaders(Object.entries(headers).map(([key, value]) => ({ key, value }))),
          })),
        );
        batch.producerId = 2n ** 40n;
        batch.producerEpoch = 3;
        batch.baseSequence = 17;
        const decoded = await decodeBatch(new Decoder(await wire(batch, codec)));
        expect(decoded).toMatchObject({
          producerId: String(2n ** 40n),
          producerEpoch: 3,
          firstSequence: 17,
          lastOffsetDelta: inputs.length - 1,
          maxTimestamp: String(Math.max(...inputs.map(({ timestampMs }) => timestampMs))),
        });
        expect(
          decoded.records.map(({ key, value, timestamp, headers }) => ({ key, value, timestamp, headers })),
        ).toEqual(
          inputs.map(({ key, value, timestampMs, headers }) => ({
            key,
            value,
            timestamp: String(timestampMs),
            headers: { ...headers },
          })),
        );
        expect(decoded.records.map(({ offset }) => Number(offset))).toEqual(inputs.map((_, index) => index));
      }),
      { numRuns: 200 },
    );
  });

  it('a record batch gives back its records one by one', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), (inputs) => {
        const records = inputs.map(({ headers, ...rest }) => ({
          topic: 't',
          ...rest,
          headers: encodeHeaders(Object.entries(headers).map(([key, value]) => ({ key, value }))),
        }));
        const read = [...batchOf(records)].map(({ key, value, headers, timestampMs }) => ({
          topic: 't',
          key: key === null ? null : Buffer.from(key),
          value: value === null ? null : Buffer.from(value),
          headers: Buffer.from(headers),
          timestampMs,
        }));
        expect(read).toEqual(records);
      }),
    );
  });

  it('a record batch estimates sizes exactly: a buffer that is one byte shorter has no room for the last record', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), (inputs) => {
        const records = inputs.map(({ headers, ...rest }) => ({
          topic: 't',
          ...rest,
          headers: encodeHeaders(Object.entries(headers).map(([key, value]) => ({ key, value }))),
        }));
        const { endPosition } = batchOf(records);
        const fill = (bytes: number): boolean[] => {
          const batch = new ProducerBatch(new PartitionQueue('t', 0, () => 0), Buffer.alloc(bytes), 0);
          return records.map((one) => batch.tryAppend(one, target, 0));
        };
        const all = records.map(() => true);
        expect(fill(endPosition)).toEqual(all);
        expect(fill(endPosition - 1)).toEqual(all.with(-1, false));
        for (const one of records) {
          const spare = upperBoundBytes(one) - batchOf([one]).endPosition;
          expect(spare).toBeGreaterThanOrEqual(0);
          expect(spare).toBeLessThanOrEqual(21);
        }
      }),
    );
  });

  it('a record batch says its length and carries the CRC-32C of everything behind it', async () => {
    const batch = batchOf([
      { topic: 't', key: null, value: Buffer.from('v'), timestampMs: 5, headers: encodeHeaders([]) },
    ]);
    for (const codec of ['none', 'lz4'] as const) {
      batch.compressed = undefined;
      const encoded = await wire(batch, codec);
      expect(encoded.readInt32BE(8)).toBe(encoded.length - 12);
      expect(encoded.readUInt32BE(17)).toBe(crc32c(encoded.subarray(21)));
    }
  });

  it('a record batch takes no record that does not fit, and is not touched by the attempt', () => {
    const batch = new ProducerBatch(new PartitionQueue('t', 0, () => 0), Buffer.alloc(100), 0);
    const fits = {
      topic: 't',
      key: null,
      value: Buffer.alloc(10),
      timestampMs: 5,
      headers: encodeHeaders([]),
    };
    expect(batch.tryAppend(fits, target, 0)).toBe(true);
    const before = batch.endPosition;
    expect(batch.tryAppend({ ...fits, value: Buffer.alloc(30) }, target, 1)).toBe(false);
    expect(batch.endPosition).toBe(before);
    expect(batch.recordCount).toBe(1);
    expect(batch.tryAppend(fits, target, 2)).toBe(true);
  });

  it('a record batch sends the same bytes again on a retry', async () => {
    const batch = batchOf([
      { topic: 't', key: null, value: Buffer.alloc(500, 7), timestampMs: 5, headers: encodeHeaders([]) },
    ]);
    expect(await wire(batch, 'lz4')).toEqual(await wire(batch, 'lz4'));
  });
});
