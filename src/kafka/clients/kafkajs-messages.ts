import { decodeHeaders, type Header } from '../../core/record.ts';
import type { RecordFault } from '../../producer/cluster/port.ts';
import type { ProducerBatch } from '../../producer/batches/producer-batch.ts';
import type { BatchRecord } from '../../producer/cluster/record-target.ts';
import type { Message } from './kafkajs.ts';

/** kafkajs copies the list of messages for every message: from a few thousand on, that is all it does. */
const CHUNK_RECORDS = 1_000;

/** A batch's records as kafkajs takes them, in requests of a bearable size. Bytes are copied: it encodes later. */
export function* messageChunks(batch: ProducerBatch): Generator<Message[]> {
  let chunk: Message[] = [];
  for (const record of batch) {
    const message = messageOf(record, batch.queue.index);
    // kafkajs finds a batch's largest timestamp by comparing texts: those of one length only are compared.
    const isComparable = chunk[0] === undefined || chunk[0].timestamp?.length === message.timestamp?.length;
    if (chunk.length === CHUNK_RECORDS || !isComparable) {
      yield chunk;
      chunk = [];
    }
    chunk.push(message);
  }
  yield chunk;
}

/** kafkajs throws on a header whose value is null, and takes the whole request down with it. */
export function unsendableRecords(batch: ProducerBatch): RecordFault[] {
  const faults: RecordFault[] = [];
  let index = 0;
  for (const { headers } of batch) {
    if (decodeHeaders(headers).some(({ value }) => value === null)) {
      faults.push({ index, message: 'kafkajs can not send a header without a value' });
    }
    index++;
  }
  return faults;
}

function messageOf({ key, value, timestampMs, headers }: BatchRecord, partition: number): Message {
  const list = decodeHeaders(headers);
  return {
    partition,
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    timestamp: String(timestampMs),
    ...(list.length === 0 ? {} : { headers: headersByKey(list) }),
  };
}

/** kafkajs keeps headers by key: those of one key keep their order, those of different keys may change it. */
function headersByKey(list: readonly Header[]): NonNullable<Message['headers']> {
  const byKey = Object.create(null) as Record<string, Buffer[]>;
  for (const { key, value } of list) if (value !== null) (byKey[key] ??= []).push(Buffer.from(value));
  return byKey;
}
