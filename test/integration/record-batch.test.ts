import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeHeaders } from '../../src/core/record.ts';
import { ensureKafkaJars, findJava } from '../../src/testbed/local-kafka/jars.ts';
import type { CompressionType } from '../../src/producer/config/config-table.ts';
import { PartitionQueue } from '../../src/producer/batches/partition-queue.ts';
import { ProducerBatch } from '../../src/producer/batches/producer-batch.ts';
import { encodeBatch, upperBoundBytes } from '../../src/producer/batches/record-batch.ts';
import { compressBatch } from '../support/compress-batch.ts';
import { KafkaTools } from '../support/kafka-tools.ts';

/** Any text that stays on its line in the tool's output; what is in it, in bytes, is up to UTF-8. */
const text = (maxLength: number) =>
  fc.string({ unit: 'binary', maxLength }).filter((one) => !/[\n\r]/.test(one));

const batches = fc.array(
  fc.record({
    codec: fc.constantFrom<CompressionType>('none', 'lz4', 'gzip', 'snappy', 'zstd'),
    producerId: fc.bigInt({ min: 0n, max: 2n ** 62n }),
    producerEpoch: fc.integer({ min: 0, max: 0x7fff }),
    baseSequence: fc.integer({ min: 0, max: 2 ** 30 }),
    records: fc.array(
      fc.record({
        key: fc.option(text(80)),
        value: fc.option(
          fc.oneof(
            text(200),
            text(20).map((one) => one.repeat(300)),
          ),
        ),
        timestampMs: fc.integer({ min: 0, max: 2 ** 45 }),
        headerKeys: fc.array(fc.stringMatching(/^[a-z0-9-]{1,20}$/), { maxLength: 3 }),
      }),
      { minLength: 1, maxLength: 20 },
    ),
  }),
  { minLength: 30, maxLength: 60 },
);

type Batch = (typeof batches extends fc.Arbitrary<infer T> ? T : never)[0];

/** The batch as it goes over the wire, with the offset that a broker would give it. */
async function wire(input: Batch, baseOffset: number): Promise<Buffer> {
  const records = input.records.map(({ key, value, timestampMs, headerKeys }) => ({
    topic: 't',
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    timestampMs,
    headers: encodeHeaders(headerKeys.map((name) => ({ key: name, value: Buffer.from('v') }))),
  }));
  const bytes = records.reduce((sum, record) => sum + upperBoundBytes(record), 0);
  const batch = new ProducerBatch(new PartitionQueue('t', 0, () => 0), Buffer.allocUnsafe(bytes), 0);
  for (const record of records) expect(batch.tryAppend(record, { recordCompleted() {} }, 0)).toBe(true);
  Object.assign(batch, {
    producerId: input.producerId,
    producerEpoch: input.producerEpoch,
    baseSequence: input.baseSequence,
  });
  await compressBatch(batch, input.codec);
  const encoded = encodeBatch(batch);
  encoded.header.writeBigInt64BE(BigInt(baseOffset), 0);
  return Buffer.concat([encoded.header, encoded.records]);
}

/** The line that DumpLogSegments prints for a record. */
function dumped(input: Batch, index: number, offset: number): string {
  const { key, value, timestampMs, headerKeys } = input.records[index]!;
  const size = (part: string | null): number => (part === null ? -1 : Buffer.byteLength(part));
  return (
    `| offset: ${offset} CreateTime: ${timestampMs} keySize: ${size(key)} valueSize: ${size(value)} ` +
    `sequence: ${input.baseSequence + index} headerKeys: [${headerKeys.join(',')}]` +
    (key === null ? '' : ` key: ${key}`) +
    (value === null ? '' : ` payload: ${value}`)
  );
}

describe('record batches', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-segment-'));
    await mkdir(join(folder, 't-0'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it("of any records are read back the same by Kafka's own DumpLogSegments, whatever the codec", async () => {
    const tools = new KafkaTools(await findJava(), await ensureKafkaJars(() => {}), '', [folder]);
    await fc.assert(
      fc.asyncProperty(batches, async (inputs) => {
        const encoded: Buffer[] = [];
        const expected: string[] = [];
        for (const input of inputs) {
          const baseOffset = expected.length;
          encoded.push(await wire(input, baseOffset));
          input.records.forEach((_, index) => expected.push(dumped(input, index, baseOffset + index)));
        }
        await writeFile(join(folder, 't-0', '00000000000000000000.log'), Buffer.concat(encoded));

        const output = await tools.dumpLogSegments('t', 0, ['--deep-iteration', '--print-data-log']);
        expect(output.split('\n').filter((line) => line.startsWith('| offset:'))).toEqual(expected);
        expect(await tools.batches('t', 0)).toMatchObject(
          inputs.map((input, i) => ({
            count: input.records.length,
            baseSequence: input.baseSequence,
            producerEpoch: input.producerEpoch,
            size: encoded[i]!.length,
            magic: 2,
            compressCodec: input.codec,
            isValid: true,
          })),
        );
      }),
      // Each run is two Java programs.
      { numRuns: 2, endOnFailure: true },
    );
  });
});
