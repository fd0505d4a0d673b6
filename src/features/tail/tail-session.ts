import { randomUUID } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { SluiceError, errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { within } from '../../core/clock.ts';
import { createAdmin, createConsumer } from '../../kafka/clients/kafkajs.ts';
import type { Admin, Consumer } from '../../kafka/clients/kafkajs.ts';
import { securityFailure } from '../../kafka/security/failure.ts';
import { PLAINTEXT, type ClientSecurity } from '../../kafka/security/security.ts';
import { tailedRecord } from './tail-record.ts';
import type { TailedRecord } from './tail-record.ts';

export interface TailOptions {
  readonly bootstrapServers: readonly string[];
  /** Left out: in the clear, without a login. */
  readonly security?: ClientSecurity;
  readonly topics: readonly string[];
  readonly fromBeginning: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Something to tell the person beside the records. */
  readonly onNote: (text: string) => void;
  /** Gets every record, in order within a partition; a promise holds the next one back. */
  readonly onRecord: (record: TailedRecord) => Promise<void> | void;
}

const CLIENT_ID = 'sluice-tail';
const LOOK_FOR_TOPICS_EVERY_MS = 1_000;
/** Bounds how long a fetch without records waits at the broker, and with it the way out. */
const FETCH_WAIT_MS = 250;
const DISCONNECT_TIMEOUT_MS = 2_000;
/** The least that brokers allow: after a broker's restart the group waits so long for the member that we were. */
const SESSION_MS = 6_000;

/** Reads topics with a consumer group of its own, which leaves nothing behind: it never commits an offset. */
export class TailSession {
  readonly #options: TailOptions;
  readonly #stopped = Promise.withResolvers<undefined>();
  #isStopped = false;
  /** Where to go on after a rebalance, by topic and partition: without commits only we know it. */
  readonly #positions = new Map<string, bigint>();

  constructor(options: TailOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#isStopped = true;
    this.#stopped.resolve(undefined);
  }

  /**
   * Resolves after `stop`.
   * @throws {SluiceError} `KAFKA_UNREACHABLE` when no broker answers at first.
   */
  async run(): Promise<void> {
    const topics = await this.#existingTopics();
    if (this.#isStopped) return;
    const { bootstrapServers, security = PLAINTEXT, logger, fromBeginning } = this.#options;
    const consumer = createConsumer(
      { bootstrapServers, clientId: CLIENT_ID, logger, security },
      {
        groupId: `${CLIENT_ID}-${randomUUID()}`,
        allowAutoTopicCreation: false,
        maxWaitTimeInMs: FETCH_WAIT_MS,
        sessionTimeout: SESSION_MS,
        rebalanceTimeout: SESSION_MS,
        heartbeatInterval: SESSION_MS / 4,
        // A broker that restarts ends the consumer's run; only we end the tail.
        retry: { restartOnFailure: () => Promise.resolve(!this.#isStopped) },
      },
    );
    try {
      await consumer.connect();
      await consumer.subscribe({ topics, fromBeginning });
      this.#resumeAfterRebalance(consumer);
      await consumer.run({
        autoCommit: false,
        eachMessage: async ({ topic, partition, message }) => {
          const position = `${topic}/${partition}`;
          const offset = BigInt(message.offset);
          if (this.#isStopped || offset < (this.#positions.get(position) ?? 0n)) return;
          this.#positions.set(position, offset + 1n);
          await this.#options.onRecord(tailedRecord(topic, partition, message));
        },
      });
      await this.#stopped.promise;
    } finally {
      await within(this.#options.clock, DISCONNECT_TIMEOUT_MS, consumer.disconnect());
    }
  }

  /** The topics, once they exist: all that were asked for. */
  async #existingTopics(): Promise<string[]> {
    const { bootstrapServers, security = PLAINTEXT, topics, logger, onNote } = this.#options;
    const admin = createAdmin({ bootstrapServers, clientId: CLIENT_ID, logger, retries: 2, security });
    try {
      await connectOrExplain(admin, bootstrapServers, security);
      let noted = '';
      while (!this.#isStopped) {
        const existing = new Set(await admin.listTopics());
        const missing = topics.filter((topic) => !existing.has(topic));
        if (missing.length === 0) break;
        const note = `waiting for ${missing.join(', ')}: no such topic yet (sluice run creates those of its profiles)`;
        if (note !== noted) onNote(note);
        noted = note;
        await within(this.#options.clock, LOOK_FOR_TOPICS_EVERY_MS, this.#stopped.promise);
      }
      return [...topics];
    } finally {
      await within(this.#options.clock, DISCONNECT_TIMEOUT_MS, admin.disconnect());
    }
  }

  #resumeAfterRebalance(consumer: Consumer): void {
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      for (const [topic, partitions] of Object.entries(payload.memberAssignment)) {
        for (const partition of partitions) {
          const offset = this.#positions.get(`${topic}/${partition}`);
          if (offset !== undefined) consumer.seek({ topic, partition, offset: String(offset) });
        }
      }
    });
  }
}

async function connectOrExplain(
  admin: Admin,
  bootstrapServers: readonly string[],
  { protocol }: ClientSecurity,
): Promise<void> {
  try {
    await admin.connect();
  } catch (error) {
    const failure = securityFailure(error, bootstrapServers.join(', '), protocol);
    if (failure !== undefined) throw failure;
    throw new SluiceError(
      'KAFKA_UNREACHABLE',
      `no Kafka answers at ${bootstrapServers.join(', ')} (${errorMessage(error)}); ` +
        'start one with `npm start` or `sluice run`, or name yours with --bootstrap-servers',
      { cause: error },
    );
  }
}
