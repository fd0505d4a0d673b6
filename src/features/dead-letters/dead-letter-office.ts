import type { Clock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { deadLetterTopicFor, isTopicTemplate } from '../../core/profile/output-spec.ts';
import { LetterStateStore } from './letter-state.ts';
import type { LetterLogBounds } from './letters.ts';
import { Replay, type ReplayOptions } from './replay.ts';
import { Transcriber, type TranscriberOptions } from './transcriber.ts';
import { ClusterPort } from '../../kafka/connection/cluster-port.ts';
import { GroupSeat } from '../../kafka/clients/group-seat.ts';
import { createAdmin, type Admin } from '../../kafka/clients/kafkajs.ts';
import { TopicReader } from '../../kafka/connection/topic-reader.ts';
import { ensureTopics } from '../../kafka/clients/topics.ts';
import type { ProducerConfig } from '../../producer/config/config-table.ts';
import { Producer } from '../../producer/producer.ts';
import type { Blueprint } from '../../assembly/blueprint.ts';
import { connectSchemaRegistry } from '../../assembly/schema-registry.ts';
import { CompactedStateTopic, ensureStateTopic } from './state-topic.ts';

export interface OfficeOptions {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What may be chosen of a replay. */
export type ReplayChoices = Pick<TranscriberOptions, 'as' | 'timestampMs'> &
  Pick<ReplayOptions, 'onOutcome' | 'dryRun'>;

/** What is remembered, and nobody else can change meanwhile. */
export interface OpenState {
  readonly store: LetterStateStore;
  readonly seat: GroupSeat;
  readonly producer: Producer;
}

/** How long a replay waits for Kafka's word on a record. A gateway waits for ever; a person doesn't. */
const DELIVERY_TIMEOUT_MS = 120_000;

/** The dead letters of a configuration: read from Kafka, replayed by its profiles, remembered as done. */
export class DeadLetterOffice {
  readonly #blueprint: Blueprint;
  readonly #options: OfficeOptions;
  readonly #closers: (() => Promise<unknown>)[] = [];
  readonly reader: TopicReader;

  constructor(blueprint: Blueprint, options: OfficeOptions) {
    this.#blueprint = blueprint;
    this.#options = options;
    const { producer: config, security } = blueprint;
    this.reader = new TopicReader({ config, security, ...options, patienceMs: 10_000 });
    this.#closers.push(() => this.reader.close());
  }

  /** Every dead-letter topic that the configuration knows. */
  get topics(): string[] {
    const { profiles, config } = this.#blueprint;
    const topics = profiles.map(({ produce, type }) => deadLetterTopicFor(produce, type));
    return [...new Set([...topics, config.unrouted.deadLetterTopic])].sort();
  }

  /** What is remembered, for looking at it. */
  readState(): Promise<LetterStateStore> {
    return LetterStateStore.load(new CompactedStateTopic(this.#blueprint.config.dlq.stateTopic, this.reader));
  }

  /**
   * What is remembered, for changing it.
   * @throws SluiceError DLQ_STATE_TOPIC
   * @throws SeatTakenError while another process changes it
   */
  async openState(): Promise<OpenState> {
    const {
      producer: config,
      security,
      config: { dlq },
    } = this.#blueprint;
    const { clock, logger } = this.#options;
    await ensureStateTopic(this.#blueprint, logger);
    const { bootstrapServers, clientId } = config;
    const seat = await GroupSeat.take({
      bootstrapServers,
      clientId,
      security,
      // One replay at a time for each state.
      groupId: dlq.stateTopic,
      topic: dlq.stateTopic,
      clock,
      logger,
    });
    this.#closers.unshift(() => seat.leave());
    const careful = carefulConfig(config);
    const port = new ClusterPort({ config: careful, security, clock, logger });
    const producer = new Producer({ config: careful, port, clock, logger });
    this.#closers.unshift(() => producer.close(0));
    // Only now: whoever had the seat before may have written to the last.
    const store = await LetterStateStore.load(new CompactedStateTopic(dlq.stateTopic, this.reader, producer));
    return { store, seat, producer };
  }

  /** A replay by today's profiles; with dryRun it only looks. */
  async openReplay(
    choices: ReplayChoices,
  ): Promise<{ readonly replay: Replay; readonly store: LetterStateStore }> {
    const transcriber = this.#transcriber(choices);
    const shared = { source: this.reader, transcriber, ...choices };
    if (choices.dryRun) {
      const nothing = { tryAppend: () => new SluiceError('DRY_RUN', 'nothing is written') };
      const store = await this.readState();
      const replay = new Replay({
        ...shared,
        store,
        sink: nothing,
        ensureTopic: () => Promise.resolve(),
        assertAlone: () => {},
      });
      return { replay, store };
    }
    const { store, seat, producer } = await this.openState();
    const ensured = new Set<string>();
    const replay = new Replay({
      ...shared,
      store,
      sink: producer,
      assertAlone: () => {
        seat.assertHeld();
      },
      ensureTopic: async (topic) => {
        if (!ensured.has(topic)) await this.#ensureTopic(topic);
        ensured.add(topic);
      },
    });
    return { replay, store };
  }

  #transcriber({ as, timestampMs }: ReplayChoices): Transcriber {
    const { routes, profiles, services } = this.#blueprint;
    const { clock, logger } = this.#options;
    connectSchemaRegistry(this.#blueprint, clock, logger);
    this.#closers.push(() => {
      services.framings.close();
      return Promise.resolve();
    });
    return new Transcriber({
      routesOf: (topic) => routes.match(topic).map(({ target, captures }) => target.bind(captures, topic)),
      kafkaTopicOf: (type) => {
        const topic = profiles.find((profile) => profile.type === type)?.produce.topic;
        return topic === undefined || isTopicTemplate(topic) ? undefined : topic;
      },
      ...(as !== undefined && { as }),
      ...(timestampMs !== undefined && { timestampMs }),
    });
  }

  async #ensureTopic(topic: string): Promise<void> {
    const { create, partitions, replicationFactor, config } = this.#blueprint.config.kafka.topics;
    const spec = { topic, partitions, config, ...(replicationFactor !== undefined && { replicationFactor }) };
    const [status] = await this.#withAdmin((admin) => ensureTopics(admin, [spec], create));
    if (status !== undefined && 'reason' in status) {
      throw new SluiceError('DLQ_TARGET_TOPIC', `records can't be written to ${topic}: ${status.reason}`);
    }
  }

  /** Has Kafka delete what is done at the front of each log. Returns how many records that are. */
  async deleteDone(store: LetterStateStore, logs: readonly LetterLogBounds[]): Promise<number> {
    let deleted = 0;
    await this.#withAdmin(async (admin) => {
      for (const log of logs) {
        const { topic, partition, begin, end } = log;
        const open = Math.min(store.handled.firstOpen(log, begin), end);
        if (open <= begin) continue;
        // kafkajs deletes only from topics that it has looked at.
        await admin.fetchTopicOffsets(topic);
        await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(open) }] });
        store.handled.forget(log, open);
        deleted += open - begin;
      }
    });
    await store.finish();
    return deleted;
  }

  async #withAdmin<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    const { producer, security } = this.#blueprint;
    const { bootstrapServers, clientId } = producer;
    const admin = createAdmin({ bootstrapServers, clientId, security, logger: this.#options.logger });
    try {
      await admin.connect();
      return await work(admin);
    } finally {
      await admin.disconnect();
    }
  }

  /** Ends what was opened, in reverse. */
  async close(): Promise<void> {
    for (const closeOne of this.#closers) await closeOne();
  }
}

/** Each record once and in order, whatever the gateway's routes are content with. */
function carefulConfig(config: ProducerConfig): ProducerConfig {
  return {
    ...config,
    acks: -1,
    enableIdempotence: true,
    maxInFlightRequestsPerConnection: Math.min(config.maxInFlightRequestsPerConnection, 5),
    retries: Math.max(config.retries, 1_000_000),
    lingerMs: 5,
    deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
  };
}
