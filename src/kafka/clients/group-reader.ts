import type { Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { Header } from '../../core/record.ts';
import { within } from '../../core/clock.ts';
import {
  createAdmin,
  createConsumer,
  type Consumer,
  type EachBatchPayload,
  type KafkaMessage,
} from './kafkajs.ts';
import { securityFailure } from '../security/failure.ts';
import type { ClientSecurity } from '../security/security.ts';
import { soleMember } from './sole-member.ts';

export interface GroupReaderOptions {
  readonly bootstrapServers: readonly string[];
  readonly clientId: string;
  readonly security: ClientSecurity;
  readonly groupId: string;
  readonly topic: string;
  /** What to tell whoever wants to be a second reader: the beginning of a sentence. */
  readonly soleReader: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A record as Kafka holds it. */
export interface ReadRecord {
  readonly offset: bigint;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly Header[];
}

export interface ReadListener {
  /**
   * Offers records of a partition in their order; returns how many were taken, from the front. The others come again
   * after {@link GroupReader.resume}.
   */
  records(partition: number, records: readonly ReadRecord[]): number;
  /** The membership of the group begins anew: what has not been committed comes again. */
  joined(): void;
}

/** After this silence a gateway that was killed is no member any more. */
const SESSION_MS = 10_000;
/** Bounds how long a fetch without records waits at the broker, and with it the way out. */
const FETCH_WAIT_MS = 500;
const FETCH_BYTES = 1_048_576;
const FETCH_PARTITION_BYTES = 262_144;
/** kafkajs's own; then it is our turn. */
const RETRIES = 2;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;
/** How often somebody else's membership is looked at again. */
const REFUSED_RETRY_MS = 2_000;
const DISCONNECT_TIMEOUT_MS = 5_000;

/**
 * Reads a topic as the only member of its consumer group, and commits when it is told to. A second reader of the
 * group is refused here, before it joins; should two join at once, one of them gets all partitions and the other
 * leaves. Failures of every kind lead to another try.
 *
 * kafkajs's consumer, because it is the one that years of use have shown the faults of: those that matter here are
 * that it gives up after five tries, and that it can't come back from some errors. So each membership is a consumer
 * of its own, and this class decides when there is another.
 */
export class GroupReader {
  readonly #options: GroupReaderOptions;
  #listener: ReadListener | undefined;
  #consumer: Consumer | undefined;
  /** Ends the present membership. */
  #leave: (error?: unknown) => void = () => {};
  /** Ends a pause between two. */
  #wake: () => void = () => {};
  #ended: Promise<void> = Promise.resolve();
  /** Ours, to know it from another reader's when we come back before the group has missed us. */
  #memberId = '';
  #isPaused = false;
  #isStopped = false;
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
    if (!this.#isPaused) this.#consumer?.resume([{ topic: this.#options.topic, partitions: [partition] }]);
  }

  /** Commits, by partition, where to go on after a restart. False: not done. Never rejects. */
  async commit(offsets: ReadonlyMap<number, bigint>): Promise<boolean> {
    const consumer = this.#consumer;
    if (consumer === undefined || this.#problem !== undefined) return false;
    const { topic, logger } = this.#options;
    try {
      await consumer.commitOffsets(
        [...offsets].map(([partition, offset]) => ({ topic, partition, offset: String(offset) })),
      );
      return true;
    } catch (error) {
      logger.debug({ topic, reason: errorMessage(error) }, 'offsets not committed; tried again');
      return false;
    }
  }

  /** Offers nothing more; commits are still possible. */
  pause(): void {
    this.#isPaused = true;
    this.#consumer?.pause([{ topic: this.#options.topic }]);
  }

  /** Leaves the group. Never rejects. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#leave();
    this.#wake();
    await within(this.#options.clock, DISCONNECT_TIMEOUT_MS, this.#ended);
  }

  async #run(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!this.#isStopped) {
      const before = this.#problem;
      try {
        const refusal = await this.#refusal();
        if (refusal === undefined) await this.#belong();
        else {
          this.#report(refusal, before);
          retryMs = REFUSED_RETRY_MS;
        }
      } catch (error) {
        this.#report(this.#explain(error), before);
        retryMs = before === undefined ? FIRST_RETRY_MS : Math.min(MAX_RETRY_MS, retryMs * 2);
      }
      await this.#pauseFor(retryMs);
    }
  }

  /** Says a problem once, as long as it is the same. */
  #report(problem: string, before: string | undefined): void {
    this.#problem = problem;
    if (problem === before || this.#isStopped) return;
    const { topic, groupId, logger } = this.#options;
    logger.warn({ topic, group: groupId, reason: problem }, 'topic is not read; tried again');
  }

  /** Why we may not join: somebody else is in the group. */
  async #refusal(): Promise<string | undefined> {
    const { bootstrapServers, clientId, security, logger, groupId } = this.#options;
    const admin = createAdmin({ bootstrapServers, clientId, security, logger, retries: RETRIES });
    try {
      await admin.connect();
      const { groups } = await admin.describeGroups([groupId]);
      const other = groups
        .flatMap(({ members }) => members)
        .find(({ memberId }) => memberId !== this.#memberId);
      return other && this.#secondReader(`${other.clientId} at ${other.clientHost.replace(/^\//, '')}`);
    } finally {
      await within(this.#options.clock, DISCONNECT_TIMEOUT_MS, admin.disconnect());
    }
  }

  #secondReader(who: string): string {
    const { topic, groupId, soleReader } = this.#options;
    return `${soleReader}: ${who} reads ${topic} in group ${groupId}`;
  }

  /** Joins the group and reads until the membership ends, one way or the other. */
  async #belong(): Promise<void> {
    const { bootstrapServers, clientId, security, logger, groupId, topic } = this.#options;
    const consumer = createConsumer(
      { bootstrapServers, clientId, security, logger, retries: RETRIES },
      {
        groupId,
        allowAutoTopicCreation: false,
        partitionAssigners: [soleMember()],
        sessionTimeout: SESSION_MS,
        rebalanceTimeout: SESSION_MS,
        heartbeatInterval: SESSION_MS / 4,
        maxWaitTimeInMs: FETCH_WAIT_MS,
        maxBytes: FETCH_BYTES,
        maxBytesPerPartition: FETCH_PARTITION_BYTES,
        retry: { retries: RETRIES, restartOnFailure: () => Promise.resolve(false) },
      },
    );
    const ended = Promise.withResolvers<unknown>();
    this.#leave = ended.resolve;
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      ended.resolve(payload.error);
    });
    consumer.on(consumer.events.GROUP_JOIN, ({ payload: { memberId, memberAssignment } }) => {
      this.#memberId = memberId;
      if ((memberAssignment[topic] ?? []).length === 0) {
        ended.resolve(new Error(this.#secondReader('another member')));
        return;
      }
      this.#consumer = consumer;
      if (this.#isPaused) consumer.pause([{ topic }]);
      this.#listener?.joined();
      if (this.#problem !== undefined) logger.info({ topic, group: groupId }, 'reading the topic');
      this.#problem = undefined;
    });
    try {
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      if (this.#isStopped) return;
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        eachBatch: (payload) => {
          if (this.#consumer === consumer) this.#offer(payload);
          return Promise.resolve();
        },
      });
      const error = await ended.promise;
      if (error !== undefined) throw error instanceof Error ? error : new Error(errorMessage(error));
    } finally {
      this.#consumer = undefined;
      this.#leave = () => {};
      await within(this.#options.clock, DISCONNECT_TIMEOUT_MS, consumer.disconnect());
    }
  }

  #offer(payload: EachBatchPayload): void {
    if (this.#isPaused) return;
    const { partition, messages, highWatermark } = payload.batch;
    const taken = this.#listener?.records(partition, messages.map(readRecord)) ?? 0;
    const last = messages[taken - 1];
    if (last !== undefined) {
      payload.resolveOffset(last.offset);
      this.#taken.set(partition, BigInt(last.offset) + 1n);
    }
    this.#ends.set(partition, BigInt(highWatermark));
    if (taken < messages.length) payload.pause();
  }

  #explain(error: unknown): string {
    const { bootstrapServers, security, topic } = this.#options;
    const failure = securityFailure(error, bootstrapServers.join(', '), security.protocol);
    return failure?.message ?? `${topic}: ${errorMessage(error)}`;
  }

  async #pauseFor(ms: number): Promise<void> {
    if (this.#isStopped) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.schedule(resolve, ms);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

function readRecord({ offset, timestamp, key, value, headers }: KafkaMessage): ReadRecord {
  return {
    offset: BigInt(offset),
    timestampMs: Number(timestamp),
    key,
    value,
    headers: Object.entries(headers ?? {}).flatMap(([name, given]) =>
      [given].flat().map((one) => ({
        key: name,
        value: one === undefined ? null : Buffer.isBuffer(one) ? one : Buffer.from(one, 'utf8'),
      })),
    ),
  };
}
