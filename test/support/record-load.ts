import { setTimeout as delay } from 'node:timers/promises';
import { NO_HEADERS, type SerializedRecord } from '../../src/core/record.ts';
import type { Producer } from '../../src/producer/producer.ts';
import type { BatchResult, RecordTarget } from '../../src/producer/batches/producer-batch.ts';
import type { ReadRecord } from './producer.ts';

export interface RecordLoadOptions {
  /** Records that the broker is to refuse: their timestamps are ten hours ahead. */
  readonly refused?: (token: number) => boolean;
}

/** What {@link RecordLoad.examine} counted. */
export interface LoadVerdict {
  /** Acknowledged, and not in Kafka. */
  readonly lost: number;
  /** In Kafka, and not what was sent, or not to be there at all. */
  readonly wrong: number;
  /** In Kafka more than once. */
  readonly twice: number;
  /** In Kafka behind a later one of the same key. */
  readonly disordered: number;
  /** Called back exactly once. */
  readonly answeredOnce: number;
  /** All of it in words, and whatever else is wrong; empty when all is well. */
  readonly faults: readonly string[];
}

const TEN_HOURS_MS = 10 * 3_600_000;

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
  /** The next record, which {@link nextKey} belongs to, was not taken and waits. */
  isHeldUp = false;
  /** Records that were refused, as they were meant to be. */
  refusals = 0;
  /** May be counted up as a story goes on; records remember in which chapter they were acknowledged. */
  chapter = 0;
  readonly #acknowledgedIn: number[] = [];
  readonly #isRefused: (token: number) => boolean;
  /** How often each record was called back, by token. */
  readonly #answers: number[] = [];
  readonly errors: string[] = [];
  readonly #lastOfKey = new Map<string, number>();
  #stopped = false;

  constructor(producer: Producer, topic: string, keys: number, options: RecordLoadOptions = {}) {
    this.#producer = producer;
    this.#isRefused = options.refused ?? (() => false);
    this.#topic = topic;
    this.#keys = keys;
  }

  /** Nothing more is appended: who runs the load gets back control when the record in hand is taken or refused. */
  stop(): void {
    this.#stopped = true;
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
    while (this.appended < count && !this.#stopped) {
      const token = this.appended;
      record.key = Buffer.from(keyOf(token, this.#keys));
      record.value = Buffer.from(valueOf(token));
      record.timestampMs = Date.now() + (this.#isRefused(token) ? TEN_HOURS_MS : 0);
      const refusal = this.#producer.tryAppend(record, this, token);
      if (refusal === undefined) {
        this.appended++;
        if (this.appended % 100 === 0) await (between() ?? nextTurn());
      } else if (refusal instanceof Error) {
        throw refusal;
      } else {
        this.isHeldUp = true;
        await new Promise<void>((resolve) => {
          refusal.wait(resolve);
        });
        this.isHeldUp = false;
      }
    }
  }

  get nextKey(): Buffer {
    return Buffer.from(keyOf(this.appended, this.#keys));
  }

  /** Appends a few records now and then for as long as `action` takes; its result. */
  async runDuring<T>(action: Promise<T>): Promise<T> {
    const state = { over: false };
    const over = (): void => void (state.over = true);
    action.then(over, over);
    while (!state.over && !this.#stopped) {
      await this.run(this.appended + 20);
      await delay(2);
    }
    return action;
  }

  recordCompleted(token: number, result: BatchResult): void {
    this.#answers[token] = (this.#answers[token] ?? 0) + 1;
    if (this.#isRefused(token) && result.error?.code === 'INVALID_TIMESTAMP') {
      this.refusals++;
      return;
    }
    if (result.error !== undefined) {
      this.errors.push(`record ${token}: ${result.error.message}`);
      return;
    }
    const key = keyOf(token, this.#keys);
    if ((this.#lastOfKey.get(key) ?? -1) > token)
      this.errors.push(`record ${token} was completed out of order`);
    this.#lastOfKey.set(key, token);
    this.#acknowledgedIn[token] = this.chapter;
    this.acknowledged++;
  }

  /**
   * Compares what Kafka holds, in the order in which it is to be judged, with what was acknowledged. What was
   * acknowledged before `chapter` is gone with the topic's predecessor, and must not be there.
   */
  examine(records: readonly ReadRecord[], chapter = 0): LoadVerdict {
    const faults: string[] = [];
    let wrong = 0;
    let twice = 0;
    let disordered = 0;
    const seen = new Set<number>();
    const lastOfKey = new Map<string, number>();
    for (const { key, value } of records) {
      const token = Number(value?.split(' ')[0]);
      if (key === null || key !== keyOf(token, this.#keys) || value !== valueOf(token)) {
        faults.push(`nobody sent this: ${key} ${value}`);
        wrong++;
        continue;
      }
      if (seen.has(token)) {
        faults.push(`record ${token} is there twice`);
        twice++;
        continue;
      }
      seen.add(token);
      if ((lastOfKey.get(key) ?? -1) > token) {
        faults.push(`record ${token} stands behind a later one of ${key}`);
        disordered++;
      }
      lastOfKey.set(key, token);
    }

    let lost = 0;
    let answeredOnce = 0;
    for (let token = 0; token < this.appended; token++) {
      const expected = !this.#isRefused(token) && (this.#acknowledgedIn[token] ?? chapter) >= chapter;
      if (expected && !seen.has(token)) {
        faults.push(`record ${token} is lost`);
        lost++;
      }
      if (!expected && seen.has(token)) {
        faults.push(`record ${token} is there and should not be`);
        wrong++;
      }
      const answers = this.#answers[token] ?? 0;
      if (answers === 1) answeredOnce++;
      else faults.push(`record ${token} was called back ${answers} times`);
    }
    return { lost, wrong, twice, disordered, answeredOnce, faults: [...this.errors, ...faults] };
  }

  /** The first faults of {@link examine}; empty when all is well. */
  judge(records: readonly ReadRecord[]): readonly string[] {
    return this.examine(records).faults.slice(0, 20);
  }
}

function keyOf(token: number, keys: number): string {
  return `device-${token % keys}`;
}

function valueOf(token: number): string {
  return `${token} some payload that a device might have sent ${token * 7}`;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
