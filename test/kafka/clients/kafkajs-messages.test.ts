import { describe, expect, it } from 'vitest';
import { encodeHeaders, NO_HEADERS, type Header } from '../../../src/core/record.ts';
import { messageChunks, unsendableRecords } from '../../../src/kafka/clients/kafkajs-messages.ts';
import { PartitionQueue } from '../../../src/producer/batches/partition-queue.ts';
import { ProducerBatch } from '../../../src/producer/batches/producer-batch.ts';

function batchOf(records: readonly { timestampMs?: number; headers?: readonly Header[] }[]): ProducerBatch {
  const batch = new ProducerBatch(new PartitionQueue('t', 3, () => 0), Buffer.alloc(1024 * 1024), 0);
  records.forEach(({ timestampMs = 1_700_000_000_000, headers }, token) => {
    const record = {
      topic: 't',
      key: null,
      value: Buffer.from(String(token)),
      timestampMs,
      headers: headers === undefined ? NO_HEADERS : encodeHeaders(headers),
    };
    expect(batch.tryAppend(record, { recordCompleted() {} }, token)).toBe(true);
  });
  return batch;
}

const sizes = (batch: ProducerBatch): number[] => [...messageChunks(batch)].map(({ length }) => length);

describe('records on their way to kafkajs', () => {
  it('go in requests of at most a thousand, all to their partition, in order', () => {
    const batch = batchOf(Array.from({ length: 2_300 }, () => ({})));
    expect(sizes(batch)).toEqual([1_000, 1_000, 300]);
    const messages = [...messageChunks(batch)].flat();
    expect(messages.map(({ value }) => Number(String(value)))).toEqual(Array.from(messages.keys()));
    expect(new Set(messages.map(({ partition }) => partition))).toEqual(new Set([3]));
  });

  it('share a request only if their timestamps have as many digits, which kafkajs compares as texts', () => {
    const times = [1_700_000_000_000, 1_700_000_000_001, 999_999_999_999, 1_700_000_000_002];
    expect(sizes(batchOf(times.map((timestampMs) => ({ timestampMs }))))).toEqual([2, 1, 1]);
  });

  it('keep headers of any name, those of one name in their order', () => {
    const headers = [
      { key: 'trace', value: Buffer.from('a') },
      { key: '__proto__', value: Buffer.from('x') },
      { key: 'trace', value: Buffer.from('b') },
    ];
    const [message] = [...messageChunks(batchOf([{ headers }]))].flat();
    expect(Object.entries(message!.headers ?? {})).toEqual([
      ['trace', [Buffer.from('a'), Buffer.from('b')]],
      ['__proto__', [Buffer.from('x')]],
    ]);
  });

  it('are refused one by one where a header has no value, which kafkajs can not send', () => {
    const batch = batchOf([{}, { headers: [{ key: 'k', value: null }] }, {}]);
    expect(unsendableRecords(batch).map(({ index }) => index)).toEqual([1]);
  });
});
