import { encodeHeaders, NO_HEADERS, type Header, type SerializedRecord } from '../../../src/core/record.ts';
import type { LetterSource, StoredLetter } from '../../../src/features/dead-letters/dead-letter.ts';
import type { Send } from '../../../src/features/dead-letters/handled.ts';
import { ProducerError } from '../../../src/producer/errors.ts';

/** The process is gone: nothing that it was about to do happens any more. */
export class Crash extends Error {}

/** The topic in which a replay remembers. */
export const STATE = 'state';

/** Topics of one partition in memory, and a producer that can die at any of its steps. */
export class FakeKafka implements LetterSource {
  readonly topics = new Map<string, StoredLetter[]>();
  /** Steps until the crash; each thing that gets into Kafka is one, and so is each answer. */
  stepsLeft = Number.POSITIVE_INFINITY;
  refuses: (value: string) => boolean = () => false;

  add(topic: string, record: Pick<SerializedRecord, 'key' | 'value' | 'headers' | 'timestampMs'>): number {
    const log = this.topics.get(topic) ?? [];
    this.topics.set(topic, log);
    const { key, value, headers, timestampMs } = record;
    log.push({
      topic,
      partition: 0,
      offset: log.length,
      timestampMs,
      key: key && Buffer.from(key),
      value: value && Buffer.from(value),
      headers,
    });
    return log.length - 1;
  }

  addLetter(topic: string, payload: string, headers: Readonly<Record<string, string>> = {}): number {
    const list: Header[] = Object.entries({
      'error.code': 'DECODE_FAILED',
      'error.message': 'it was so',
      'mqtt.topic': 'fleet/d1',
      'mqtt.client.id': 'd1',
      'mqtt.qos': '1',
      'device.type': 'sensor',
      'received.at': '1700000000000',
      ...headers,
    }).map(([key, value]) => ({ key, value: Buffer.from(value) }));
    return this.add(topic, {
      key: null,
      value: Buffer.from(payload),
      headers: encodeHeaders(list),
      timestampMs: Number(headers['received.at'] ?? 1_700_000_000_000),
    });
  }

  describe(topic: string) {
    const log = this.topics.get(topic);
    return Promise.resolve(log && { id: `id-of-${topic}`, partitions: [{ begin: 0, end: log.length }] });
  }

  offsetAt(topic: string, _partition: number, timestampMs: number) {
    return Promise.resolve(
      this.topics.get(topic)?.find((record) => record.timestampMs >= timestampMs)?.offset,
    );
  }

  async *read({ topic, from, to }: { topic: string; from: number; to: number }) {
    await Promise.resolve();
    yield this.topics.get(topic)?.slice(from, to) ?? [];
  }

  /** Each record gets into Kafka by itself, and in the order of the calls. */
  readonly send: Send = async ({ topic, key = null, value, timestamp = 0, headers = [] }) => {
    this.#step();
    const refused = this.refuses(Buffer.from(value ?? '').toString());
    const encoded = headers.length === 0 ? NO_HEADERS : encodeHeaders(headers);
    const offset = refused ? -1 : this.add(topic, { key, value, headers: encoded, timestampMs: timestamp });
    this.#step();
    await Promise.resolve();
    if (refused) throw new ProducerError('RECORD_TOO_LARGE', 'too large', { isRecordFault: true });
    return {
      topic,
      partition: 0,
      offset: BigInt(offset),
      timestamp,
      serializedKeySize: -1,
      serializedValueSize: -1,
    };
  };

  #step(): void {
    if (this.stepsLeft-- <= 0) throw new Crash();
  }
}
