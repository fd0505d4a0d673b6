import { SluiceError } from '../../../src/core/errors.ts';
import { encodeHeaders, type Header, type SerializedRecord } from '../../../src/core/record.ts';
import type { LetterRecord } from '../../../src/features/dead-letters/dead-letter.ts';
import type { StateRecord } from '../../../src/features/dead-letters/handled.ts';
import type { StateTopic } from '../../../src/features/dead-letters/letter-state.ts';
import type { LetterSource } from '../../../src/features/dead-letters/letters.ts';
import type { ReplaySink } from '../../../src/features/dead-letters/replay.ts';

/** The process is gone: nothing that it was about to do happens any more. */
export class Crash extends Error {}

/** Topics of one partition in memory, and a producer and a state topic that can die at any of their steps. */
export class FakeKafka implements LetterSource {
  readonly topics = new Map<string, LetterRecord[]>();
  readonly state: StateRecord[] = [];
  /** Steps until the crash; each thing that gets into Kafka is one, and so is each answer. */
  stepsLeft = Number.POSITIVE_INFINITY;
  refuses: (record: SerializedRecord) => boolean = () => false;

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

  readonly stateTopic: StateTopic = {
    read: () => this.#readState(),
    append: (records) => this.#append(records),
  };

  async *#readState() {
    await Promise.resolve();
    yield* this.state;
  }

  async #append(records: readonly StateRecord[]): Promise<void> {
    // A batch of several records gets into Kafka whole or not at all, but there may be several batches.
    for (const record of records) {
      this.#step();
      this.state.push(record);
    }
    this.#step();
    await Promise.resolve();
  }

  readonly sink: ReplaySink = {
    tryAppend: (record, target, token) => {
      this.#step();
      const refused = this.refuses(record);
      const offset = refused ? -1 : this.add(record.topic, record);
      this.#step();
      const error = refused
        ? Object.assign(new SluiceError('RECORD_TOO_LARGE', 'too large'), { isRecordFault: true })
        : undefined;
      target.recordCompleted(
        token,
        { error, topic: record.topic, partition: 0, baseOffset: BigInt(offset) },
        0,
      );
      return undefined;
    },
  };

  #step(): void {
    if (this.stepsLeft-- <= 0) throw new Crash();
  }
}
