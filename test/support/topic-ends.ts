import { setTimeout as delay } from 'node:timers/promises';

import { silentLogger } from '../../src/core/logger.ts';
import { systemClock } from '../../src/core/clock.ts';
import { createAdmin, type Admin } from '../../src/kafka/clients/kafkajs.ts';

const LOOK_EVERY_MS = 250;

/** The end of each partition of a topic at some moment. */
export type Ends = ReadonlyMap<number, number>;

interface Look {
  /** Everything in front of `ends` was in Kafka then. */
  readonly doneAtMs: number;
  readonly ends: Ends;
}

/** Remembers how long a topic was at each moment, as Kafka itself says. */
export class TopicEnds {
  readonly #admin: Admin;
  readonly #topic: string;
  readonly #looks: Look[] = [];
  readonly #stop = new AbortController();
  #watching: Promise<void> | undefined;

  static async watch(bootstrapServers: string, topic: string): Promise<TopicEnds> {
    const admin = createAdmin({
      bootstrapServers: bootstrapServers.split(','),
      clientId: 'topic-ends',
      logger: silentLogger,
      retries: 5,
    });
    await admin.connect();
    const ends = new TopicEnds(admin, topic);
    ends.#watching = ends.#watch();
    return ends;
  }

  private constructor(admin: Admin, topic: string) {
    this.#admin = admin;
    this.#topic = topic;
  }

  /** What was in Kafka for certain at this moment, monotonic: of partitions that are not named, nothing. */
  before(atMs: number): Ends {
    return this.#looks.findLast(({ doneAtMs }) => doneAtMs <= atMs)?.ends ?? new Map();
  }

  /** What is in Kafka now. */
  async now(): Promise<Ends> {
    const offsets = await this.#admin.fetchTopicOffsets(this.#topic);
    const ends = new Map(offsets.map(({ partition, high }) => [partition, Number(high)]));
    this.#looks.push({ doneAtMs: systemClock.monotonicMs(), ends });
    return ends;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
    await this.#admin.disconnect();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      // A look that fails is one less: `before` then says that less was there.
      await this.now().catch(() => undefined);
      await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}
