import { pause, within, type Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import { BrokerSecurityError } from '../security/failure.ts';
import { withAdmin } from './admin-client.ts';
import { openConsumer } from './consumer-client.ts';
import type { ConsumedRecord, ConsumerPort, FetchedRecords, KafkaClientOptions } from './ports.ts';

export interface GroupReaderOptions extends KafkaClientOptions {
  readonly groupId: string;
  readonly topic: string;
  /** What to tell whoever wants to be a second reader: the beginning of a sentence. */
  readonly soleReader: string;
  readonly clock: Clock;
}

export interface ReadListener {
  /**
   * Offers records of a partition in their order; returns how many were taken, from the front. The others come again
   * after {@link GroupReader.resume}.
   */
  records(partition: number, records: readonly ConsumedRecord[]): number;
  /** The membership of the group begins anew: what has not been committed comes again. */
  joined(): void;
}

/** After this silence a gateway that was killed is no member any more. */
const SESSION_MS = 10_000;
const FETCH_WAIT_MS = 500;
const FETCH_BYTES = 1_048_576;
/** The client's own; then it is our turn. */
const RETRIES = 2;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;
/** How often somebody else's membership is looked at again. */
const REFUSED_RETRY_MS = 2_000;
/** For how long the end of a membership is waited for. */
const LEAVE_TIMEOUT_MS = 5_000;

/**
 * Reads a topic as the only member of its consumer group, and commits when it is told to. A second reader of the
 * group is refused here, before it joins; should two join at once, one of them gets all partitions and the other
 * leaves. Failures of every kind lead to another try.
 *
 * The consumer is kafkajs's, because it is the one that years of use have shown the faults of: those that matter here
 * are that it gives up after five tries, and that it can't come back from some errors. So each membership is a consumer
 * of its own, and this class decides when there is another.
 */
export class GroupReader {
  readonly #options: GroupReaderOptions;
  #listener: ReadListener | undefined;
  #consumer: ConsumerPort | undefined;
  /** Ends the present membership. */
  #leave = (): void => {};
  readonly #stopping = new AbortController();
  #ended: Promise<void> = Promise.resolve();
  /** Ours, to know it from another reader's when we come back before the group has missed us. */
  #memberId = '';
  #isPaused = false;
  #problem: string | undefined = 'not connected yet';
  /** What each partition has, and what was taken of it. */
  readonly #ends = new Map<number, bigint>();
  readonly #taken = new Map<number, bigint>();

  constructor(options: GroupReaderOptions) {
    this.#options = options;
  }

  /** Begins to read, and tries again until {@link stop}, whatever happens. Called once. */
  start(listener: ReadListener): void {
    this.#listener = listener;
    this.#ended = this.#run();
  }

  /** Why nothing is read at present; undefined: it is. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Records that Kafka has and that were not taken yet, as of the last fetch of each partition. */
  get lag(): number {
    let lag = 0;
    for (const [partition, end] of this.#ends) lag += Number(end - (this.#taken.get(partition) ?? end));
    return Math.max(0, lag);
  }

  /** Offers records of this partition again. */
  resume(partition: number): void {
    if (!this.#isPaused) this.#consumer?.resume(this.#options.topic, partition);
  }

  /** Commits, by partition, where to go on after a restart. False: not done. Never rejects. */
  async commit(offsets: ReadonlyMap<number, bigint>): Promise<boolean> {
    const consumer = this.#consumer;
    if (consumer === undefined || this.#problem !== undefined) return false;
    const { topic, logger } = this.#options;
    try {
      await consumer.commit(topic, offsets);
      return true;
    } catch (error) {
      logger.debug({ topic, reason: errorMessage(error) }, 'offsets not committed; tried again');
      return false;
    }
  }

  /** Offers nothing more; commits are still possible. */
  pause(): void {
    this.#isPaused = true;
    this.#consumer?.pause(this.#options.topic);
  }

  /** Leaves the group. Never rejects. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#leave();
    await within(this.#options.clock, LEAVE_TIMEOUT_MS, this.#ended);
  }

  async #run(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!this.#stopping.signal.aborted) {
      const before = this.#problem;
      try {
        const refusal = await this.#refusal();
        if (refusal === undefined) await this.#belong();
        else {
          this.#report(refusal, before);
          retryMs = REFUSED_RETRY_MS;
        }
      } catch (error) {
        const reason = errorMessage(error);
        const problem = error instanceof BrokerSecurityError ? reason : `${this.#options.topic}: ${reason}`;
        this.#report(problem, before);
        retryMs = before === undefined ? FIRST_RETRY_MS : Math.min(MAX_RETRY_MS, retryMs * 2);
      }
      await pause(this.#options.clock, retryMs, this.#stopping.signal);
    }
  }

  /** Says a problem once, as long as it is the same. */
  #report(problem: string, before: string | undefined): void {
    this.#problem = problem;
    if (problem === before || this.#stopping.signal.aborted) return;
    const { topic, groupId, logger } = this.#options;
    logger.warn({ topic, group: groupId, reason: problem }, 'topic is not read; tried again');
  }

  /** Why we may not join: somebody else is in the group. */
  async #refusal(): Promise<string | undefined> {
    const client = { ...this.#options, retries: RETRIES };
    const members = await withAdmin(client, (admin) => admin.groupMembers(client.groupId));
    const other = members.find(({ memberId }) => memberId !== this.#memberId);
    return other && this.#secondReader(`${other.clientId} at ${other.host}`);
  }

  #secondReader(who: string): string {
    const { topic, groupId, soleReader } = this.#options;
    return `${soleReader}: ${who} reads ${topic} in group ${groupId}`;
  }

  /** Joins the group and reads until the membership ends, one way or the other. */
  async #belong(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const { topic, groupId, logger } = this.#options;
    const consumer = openConsumer({
      ...this.#options,
      topics: [topic],
      fromBeginning: true,
      sessionMs: SESSION_MS,
      fetchWaitMs: FETCH_WAIT_MS,
      fetchBytes: FETCH_BYTES,
      isSoleMember: true,
      retries: RETRIES,
    });
    this.#leave = () => void consumer.close();
    try {
      await consumer.run({
        joined: (memberId, partitions) => {
          this.#memberId = memberId;
          if ((partitions[topic] ?? []).length === 0) throw new Error(this.#secondReader('another member'));
          this.#consumer = consumer;
          if (this.#isPaused) consumer.pause(topic);
          this.#listener?.joined();
          if (this.#problem !== undefined) logger.info({ topic, group: groupId }, 'reading the topic');
          this.#problem = undefined;
        },
        records: (fetched) => this.#offer(fetched),
      });
    } finally {
      this.#consumer = undefined;
      this.#leave = () => {};
      await consumer.close();
    }
  }

  #offer({ partition, records, endOffset }: FetchedRecords): number {
    if (this.#isPaused || this.#consumer === undefined) return 0;
    const taken = this.#listener?.records(partition, records) ?? 0;
    const last = records[taken - 1];
    if (last !== undefined) this.#taken.set(partition, last.offset + 1n);
    this.#ends.set(partition, endOffset);
    return taken;
  }
}
