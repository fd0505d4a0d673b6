import { randomUUID } from 'node:crypto';
import { pause, type Clock } from '../../core/clock.ts';
import { SluiceError, errorMessage } from '../../core/errors.ts';
import { connectAdmin } from '../../kafka/clients/admin-client.ts';
import { openConsumer } from '../../kafka/clients/consumer-client.ts';
import type { ConsumerPort, FetchedRecords, KafkaClientOptions } from '../../kafka/clients/ports.ts';
import { BrokerSecurityError } from '../../kafka/security/failure.ts';
import { tailedRecord, type TailedRecord } from './tail-record.ts';

export interface TailOptions extends Omit<KafkaClientOptions, 'clientId'> {
  readonly topics: readonly string[];
  readonly fromBeginning: boolean;
  readonly clock: Clock;
  /** Something to tell the person beside the records. */
  readonly onNote: (text: string) => void;
  /** Gets every record, in order within a partition; a promise holds the next one back. */
  readonly onRecord: (record: TailedRecord) => Promise<void> | void;
}

const CLIENT_ID = 'sluice-tail';
const LOOK_FOR_TOPICS_EVERY_MS = 1_000;
/** Bounds how long a fetch without records waits at the broker, and with it the way out. */
const FETCH_WAIT_MS = 250;
/** The least that brokers allow: after a broker's restart the group waits so long for the member that we were. */
const SESSION_MS = 6_000;

/** Reads topics with a consumer group of its own, which leaves nothing behind: it never commits an offset. */
export class TailSession {
  readonly #options: TailOptions;
  readonly #stopping = new AbortController();
  #consumer: ConsumerPort | undefined;
  /** Where to go on after a rebalance, by topic and partition: without commits only we know it. */
  readonly #positions = new Map<string, bigint>();

  constructor(options: TailOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopping.abort();
    void this.#consumer?.close();
  }

  /**
   * Resolves after `stop`.
   * @throws {SluiceError} `KAFKA_UNREACHABLE` when no broker answers at first.
   */
  async run(): Promise<void> {
    await this.#untilTopicsExist();
    if (this.#stopping.signal.aborted) return;
    const consumer = openConsumer({
      ...this.#options,
      clientId: CLIENT_ID,
      groupId: `${CLIENT_ID}-${randomUUID()}`,
      sessionMs: SESSION_MS,
      fetchWaitMs: FETCH_WAIT_MS,
      // A broker that restarts ends the consumer's run; only we end the tail.
      rejoins: () => !this.#stopping.signal.aborted,
    });
    this.#consumer = consumer;
    try {
      await consumer.run({
        joined: (_, assigned) => this.#resumeAfterRebalance(consumer, assigned),
        records: (fetched) => this.#show(fetched),
      });
    } finally {
      await consumer.close();
    }
  }

  async #show({ topic, partition, records, heartbeat }: FetchedRecords): Promise<number> {
    const place = `${topic}/${partition}`;
    for (const record of records) {
      if (this.#stopping.signal.aborted) break;
      if (record.offset < (this.#positions.get(place) ?? 0n)) continue;
      this.#positions.set(place, record.offset + 1n);
      await this.#options.onRecord(tailedRecord(topic, partition, record));
      await heartbeat();
    }
    return records.length;
  }

  #resumeAfterRebalance(consumer: ConsumerPort, assigned: Readonly<Record<string, readonly number[]>>): void {
    for (const [topic, partitions] of Object.entries(assigned)) {
      for (const partition of partitions) {
        const offset = this.#positions.get(`${topic}/${partition}`);
        if (offset !== undefined) consumer.seek(topic, partition, offset);
      }
    }
  }

  /** Until all that were asked for do. */
  async #untilTopicsExist(): Promise<void> {
    const { topics, onNote, clock } = this.#options;
    const admin = await this.#connect();
    try {
      let noted = '';
      while (!this.#stopping.signal.aborted) {
        const existing = new Set(await admin.listTopics());
        const missing = topics.filter((topic) => !existing.has(topic));
        if (missing.length === 0) break;
        const note = `waiting for ${missing.join(', ')}: no such topic yet (sluice run creates those of its profiles)`;
        if (note !== noted) onNote(note);
        noted = note;
        await pause(clock, LOOK_FOR_TOPICS_EVERY_MS, this.#stopping.signal);
      }
    } finally {
      await admin.close();
    }
  }

  async #connect(): ReturnType<typeof connectAdmin> {
    try {
      return await connectAdmin({ ...this.#options, clientId: CLIENT_ID, retries: 2 });
    } catch (error) {
      if (error instanceof BrokerSecurityError) throw error;
      const what = `no Kafka answers at ${this.#options.bootstrapServers.join(', ')} (${errorMessage(error)})`;
      const help = 'start one with `npm start` or `sluice run`, or name yours with --bootstrap-servers';
      throw new SluiceError('KAFKA_UNREACHABLE', `${what}; ${help}`, { cause: error });
    }
  }
}
