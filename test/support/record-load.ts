import { NO_HEADERS, type SerializedRecord } from '../../src/core/record.ts';
import type { Producer } from '../../src/producer/producer.ts';
import type { BatchResult, RecordTarget } from '../../src/producer/record-target.ts';
import type { ReadRecord } from './producer.ts';

/**
 * Appends numbered records of `keys` keys over the bridge's path, waiting where the producer says so, and keeps
 * book of what became of each.
 */
export class RecordLoad implements RecordTarget {
  readonly #producer: Producer;
  readonly #topic: string;
  readonly #keys: number;
  appended = 0;
  acknowledged = 0;
  /** Results of tokens, by token; every callback that came twice is an error. */
  readonly #completed: boolean[] = [];
  readonly errors: string[] = [];
  readonly #lastOfKey = new Map<string, number>();

  constructor(producer: Producer, topic: string, keys: number) {
    this.#producer = producer;
    this.#topic = topic;
    this.#keys = keys;
  }

  /** Appends records until `count` have been appended in all; `between` is called now and then. */
  async run(count: number, between: () => Promise<void> | undefined = () => undefined): Promise<void> {
    const record: SerializedRecord = {
      topic: this.#topic,
      key: null,
      value: null,
      timestampMs: 0,
      headers: NO_HEADERS,
    };
    while (this.appended < count) {
      const token = this.appended;
      record.key = Buffer.from(keyOf(token, this.#keys));
      record.value = Buffer.from(`${token} some payload that a device might have sent ${token * 7}`);
      record.timestampMs = Date.now();
      const refusal = this.#producer.tryAppend(record, this, token);
      if (refusal === undefined) {
        this.appended++;
        if (this.appended % 100 === 0) await (between() ?? nextTurn());
      } else if (refusal instanceof Error) {
        throw refusal;
      } else {
        await new Promise<void>((resolve) => {
          refusal.wait(resolve);
        });
      }
    }
  }

  recordCompleted(token: number, result: BatchResult): void {
    if (this.#completed[token] === true) this.errors.push(`record ${token} was completed twice`);
    this.#completed[token] = true;
    if (result.error !== undefined) {
      this.errors.push(`record ${token}: ${result.error.message}`);
      return;
    }
    const key = keyOf(token, this.#keys);
    if ((this.#lastOfKey.get(key) ?? -1) > token)
      this.errors.push(`record ${token} was completed out of order`);
    this.#lastOfKey.set(key, token);
    this.acknowledged++;
  }

  /** What is wrong with what Kafka holds: lost, twice, out of order; empty when all is well. */
  judge(records: readonly ReadRecord[]): string[] {
    const faults = [...this.errors];
    const seen = new Set<number>();
    const lastOfKey = new Map<string, number>();
    for (const { key, value } of records) {
      const token = Number(value?.split(' ')[0]);
      if (seen.has(token)) faults.push(`record ${token} is there twice`);
      seen.add(token);
      if ((lastOfKey.get(key ?? '') ?? -1) > token)
        faults.push(`record ${token} stands behind a later one of ${key}`);
      lastOfKey.set(key ?? '', token);
    }
    for (let token = 0; token < this.appended; token++) {
      if (!seen.has(token)) faults.push(`record ${token} is lost`);
    }
    return faults.slice(0, 20);
  }
}

function keyOf(token: number, keys: number): string {
  return `device-${token % keys}`;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
