import type { Clock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { deadLetterTopicFor } from '../../core/profile/output-spec.ts';
import { connectSchemaRegistry } from '../../assembly/value-framing.ts';
import type { Blueprint } from '../../assembly/blueprint.ts';
import { GroupSeat } from '../../kafka/clients/group-seat.ts';
import { withAdmin } from '../../kafka/clients/admin-client.ts';
import type { AdminPort, TopicSpec } from '../../kafka/clients/ports.ts';
import { ensureTopics } from '../../kafka/clients/topics.ts';
import { ClusterPort } from '../../kafka/connection/cluster-port.ts';
import { TopicReader } from '../../kafka/connection/topic-reader.ts';
import type { ProducerConfig } from '../../producer/config/config-table.ts';
import { Producer } from '../../producer/producer.ts';
import { HandledLetters, type Send } from './handled.ts';
import type { LetterLogBounds } from './letters.ts';
import { Replay, type ReplayOptions } from './replay.ts';
import { Transcriber, type TranscriberOptions } from './transcriber.ts';

export interface OfficeOptions {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What may be chosen of a replay. */
export type ReplayChoices = Pick<TranscriberOptions, 'as' | 'timestampMs'> &
  Pick<ReplayOptions, 'onOutcome'> & { readonly dryRun: boolean };

/** What is remembered, and nobody else can change meanwhile. */
export interface OpenState {
  readonly handled: HandledLetters;
  readonly send: Send;
  /** @throws SeatTakenError when somebody else may change it by now */
  readonly assertAlone: () => void;
}

/** How long a replay waits for Kafka's word on a record. A gateway waits for ever; a person doesn't. */
const DELIVERY_TIMEOUT_MS = 120_000;

/** The dead letters of a configuration: read from Kafka, replayed by its profiles, remembered as done. */
export class DeadLetterOffice {
  readonly #blueprint: Blueprint;
  readonly #options: OfficeOptions;
  readonly #closers: (() => unknown)[] = [];
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
  readState(): Promise<HandledLetters> {
    return HandledLetters.load(this.reader, this.#blueprint.config.dlq.stateTopic);
  }

  /**
   * What is remembered, for changing it.
   * @throws SluiceError DLQ_STATE_TOPIC
   * @throws SeatTakenError while another process changes it
   */
  async openState(): Promise<OpenState> {
    const { producer: config, security } = this.#blueprint;
    const { stateTopic } = this.#blueprint.config.dlq;
    await this.#ensureStateTopic(stateTopic);
    const { bootstrapServers, clientId } = config;
    // One replay at a time for each state.
    const group = { groupId: stateTopic, topic: stateTopic };
    const seat = await GroupSeat.take({ bootstrapServers, clientId, security, ...group, ...this.#options });
    this.#closers.push(() => seat.leave());
    const careful = { config: carefulConfig(config), security, ...this.#options };
    const producer = new Producer({ ...careful, port: new ClusterPort(careful) });
    this.#closers.push(() => producer.close(0));
    const send: Send = (record) => producer.send(record);
    // Only now: whoever had the seat before may have written to the last.
    const handled = await HandledLetters.load(this.reader, stateTopic, send);
    const assertAlone = (): void => seat.assertHeld();
    return { handled, send, assertAlone };
  }

  /** A replay by today's profiles; with dryRun it only looks. */
  async openReplay({ dryRun, ...choices }: ReplayChoices) {
    const shared = { source: this.reader, transcriber: this.#transcriber(choices), ...choices };
    if (dryRun) {
      const handled = await this.readState();
      return { replay: new Replay({ ...shared, handled }), handled };
    }
    const { handled, ...writing } = await this.openState();
    const ensured = new Set<string>();
    const ensureTopic = async (topic: string): Promise<void> => {
      if (!ensured.has(topic)) await this.#ensureTargetTopic(topic);
      ensured.add(topic);
    };
    return { replay: new Replay({ ...shared, handled, writer: { ...writing, ensureTopic } }), handled };
  }

  #transcriber({ as, timestampMs }: Pick<TranscriberOptions, 'as' | 'timestampMs'>): Transcriber {
    const { routes, services, config } = this.#blueprint;
    connectSchemaRegistry(config, services.framings, this.#options);
    this.#closers.push(() => services.framings.close());
    return new Transcriber({
      routesOf: (topic) => routes.match(topic).map(({ target, captures }) => target.bind(captures, topic)),
      as,
      timestampMs,
    });
  }

  async #ensureTargetTopic(topic: string): Promise<void> {
    const { partitions, config } = this.#blueprint.config.kafka.topics;
    const problem = await this.#withAdmin((admin) => this.#ensureTopic(admin, { topic, partitions, config }));
    if (problem === undefined) return;
    throw new SluiceError('DLQ_TARGET_TOPIC', `records can't be written to ${topic}: ${problem}`);
  }

  /** Sees to it that the topic of what is remembered is there, and forgets nothing. */
  async #ensureStateTopic(topic: string): Promise<void> {
    const compact = { 'cleanup.policy': 'compact' };
    const refuse = (problem: string) => new SluiceError('DLQ_STATE_TOPIC', `the topic ${topic}${problem}`);
    await this.#withAdmin(async (admin) => {
      const problem = await this.#ensureTopic(admin, { topic, partitions: 1, config: compact });
      if (problem !== undefined) {
        throw refuse(
          `, where it is remembered which dead letters are done, can't be used: ${problem}; ` +
            'make it with one partition and cleanup.policy=compact, or name another one in dlq.state.topic',
        );
      }
      // With `delete` among its policies Kafka would forget after a week what is done, and it would be done again.
      const policy = (await admin.topicConfig(topic, 'cleanup.policy')) ?? 'compact';
      if (policy === 'compact') return;
      throw refuse(
        ` has cleanup.policy=${policy}: it would forget which dead letters are done; ` +
          'set it to compact, or name another topic in dlq.state.topic',
      );
    });
  }

  /** Makes the topic if it is missing and may be made. Returns why it can't be used, if it can't. */
  async #ensureTopic(admin: AdminPort, spec: Omit<TopicSpec, 'replicationFactor'>) {
    const { create, replicationFactor } = this.#blueprint.config.kafka.topics;
    const [status] = await ensureTopics(admin, [{ ...spec, replicationFactor }], create);
    return status !== undefined && 'reason' in status ? status.reason : undefined;
  }

  /** Has Kafka delete what is done at the front of each log. Returns how many records that are. */
  async deleteDone(handled: HandledLetters, logs: readonly LetterLogBounds[]): Promise<number> {
    let deleted = 0;
    await this.#withAdmin(async (admin) => {
      for (const log of logs) {
        const { topic, partition, begin, end } = log;
        const open = Math.min(handled.firstOpen(log, begin), end);
        if (open <= begin) continue;
        await admin.deleteRecords(topic, partition, open);
        handled.forget(log, open);
        deleted += open - begin;
      }
    });
    await handled.finish();
    return deleted;
  }

  #withAdmin<T>(work: (admin: AdminPort) => Promise<T>): Promise<T> {
    const { bootstrapServers, clientId } = this.#blueprint.producer;
    const { security } = this.#blueprint;
    return withAdmin({ bootstrapServers, clientId, security, logger: this.#options.logger }, work);
  }

  /** Ends what was opened, in reverse. */
  async close(): Promise<void> {
    for (const closeOne of this.#closers.reverse()) await closeOne();
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
    maxBlockMs: DELIVERY_TIMEOUT_MS,
    deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
  };
}
