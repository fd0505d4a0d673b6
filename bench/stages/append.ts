import { encodeHeaders } from '../../src/core/record.ts';
import { PartitionQueue } from '../../src/producer/batches/partition-queue.ts';
import { ProducerBatch, type RecordTarget } from '../../src/producer/batches/producer-batch.ts';
import { messages } from './fleet.ts';
import type { Stage } from './stage.ts';

const BATCH_BYTES = 131_072;

/** A batch full of the fleet's messages, raw. */
export function fill(
  batch: ProducerBatch,
  all: ReturnType<typeof messages>,
  target: RecordTarget = nobody,
): number {
  for (const [i, { topic, payload }] of all.entries()) {
    const record = { topic: 'telemetry', key: keyOf(topic), value: payload, timestampMs: i, headers };
    if (!batch.tryAppend(record, target, i)) return i;
  }
  return all.length;
}

export function emptyBatch(buffer = Buffer.alloc(BATCH_BYTES)): ProducerBatch {
  return new ProducerBatch(new PartitionQueue('telemetry', 0, () => 0), buffer, 0);
}

const headers = encodeHeaders([{ key: 'content-type', value: Buffer.from('application/protobuf') }]);
const nobody: RecordTarget = { recordCompleted: () => {} };
const keys = new Map<string, Buffer>();

function keyOf(topic: string): Buffer {
  let key = keys.get(topic);
  if (key === undefined) keys.set(topic, (key = Buffer.from(topic.split('/')[2] ?? topic)));
  return key;
}

/** Writes records into a batch. */
export const stage: Stage = {
  name: 'append',
  prepare() {
    const records = messages().map(({ topic, payload }, i) => ({
      topic: 'telemetry',
      key: keyOf(topic),
      value: payload,
      timestampMs: i,
      headers,
    }));
    const buffer = Buffer.alloc(BATCH_BYTES);
    const fits = fill(emptyBatch(), messages());
    const appended = records.slice(0, fits);
    return {
      messages: fits,
      run() {
        const batch = emptyBatch(buffer);
        for (const [i, record] of appended.entries()) batch.tryAppend(record, nobody, i);
        return batch.endPosition;
      },
    };
  },
};
