import { HandledLetters, type StateRecord } from './handled.ts';

/** The compacted topic in which the state is kept: of one partition, so that its records have one order. */
export interface StateTopic {
  /** All that it holds now, in order. */
  read(): AsyncIterable<StateRecord>;
  /** Resolves when all of it is in Kafka, in this order. */
  append(records: readonly StateRecord[]): Promise<void>;
}

/** Letters whose records are about to be written: what a replay that dies may have written, or not. */
export interface Attempt {
  readonly letters: readonly {
    readonly topic: string;
    readonly topicId?: string | undefined;
    readonly partition: number;
    readonly offset: number;
    /** Which of its records are to be written. */
    readonly parts: readonly number[];
    /** It stays a dead letter all the same: others of its records are not to be had. */
    readonly isPartial?: true;
  }[];
  /** Where the logs ended that they go to: by topic, the next offset of each partition. */
  readonly ends: Readonly<Record<string, readonly number[]>>;
}

const ATTEMPT_KEY = 'attempt';

/** What is remembered of dead letters, in Kafka. */
export class LetterStateStore {
  readonly handled = new HandledLetters();
  readonly #topic: StateTopic;
  #attempt: Attempt | undefined;

  private constructor(topic: StateTopic) {
    this.#topic = topic;
  }

  static async load(topic: StateTopic): Promise<LetterStateStore> {
    const store = new LetterStateStore(topic);
    for await (const record of topic.read()) {
      if (store.handled.apply(record) || record.key !== ATTEMPT_KEY) continue;
      store.#attempt = record.value === null ? undefined : (JSON.parse(record.value) as Attempt);
    }
    return store;
  }

  /** What was begun and not finished: by a replay that died, or that runs. */
  get attempt(): Attempt | undefined {
    return this.#attempt;
  }

  /** To be called, and waited for, before the first record is written. */
  async begin(attempt: Attempt): Promise<void> {
    await this.#topic.append([{ key: ATTEMPT_KEY, value: JSON.stringify(attempt) }]);
    this.#attempt = attempt;
  }

  /** Writes what was marked, and that nothing is being written any more. */
  async finish(): Promise<void> {
    const end = this.#attempt === undefined ? [] : [{ key: ATTEMPT_KEY, value: null }];
    const records = [...this.handled.changes(), ...end];
    if (records.length > 0) await this.#topic.append(records);
    this.#attempt = undefined;
  }
}
