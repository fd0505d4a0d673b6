import { randomUUID } from 'node:crypto';
import { Aedes } from 'aedes';
import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { QoS, RecalledPublications } from '../../core/publication.ts';
import type { LogDirectory } from '../../durable-log/log-directory.ts';
import type { LocalSubscribers } from '../inflow/publication-lane.ts';
import type { IngressBasics } from '../limits.ts';
import { KeptState } from '../sessions/kept-state.ts';
import { SessionStore } from '../sessions/session-store.ts';
import { openStore, type OpenStore } from '../sessions/store/open-store.ts';
import type { IngressStats } from '../stats.ts';
import { MAX_TOPIC_LEVELS, type InternedTopic } from '../topics/topic-table.ts';
import { BrokerPersistence } from './broker-persistence.ts';
import { Emitter, type Deliver, type Recipient } from './emitter.ts';
import { SharedSubscriptions } from './shared-subscriptions.ts';

export interface LocalBrokerOptions extends IngressBasics {
  /** Where sessions are kept; left out, in memory. */
  readonly sessions?: LogDirectory | undefined;
  /** What a journal knows of their publications. */
  readonly recalled?: RecalledPublications | undefined;
}

/**
 * The embedded broker: aedes by its public interface alone, and the only file that knows it. What is published locally
 * goes through `publish`, to the retained messages, to the queues of those who are away and to those who have
 * subscribed; connections subscribe with a function that is given messages. Behind it stand our session store, as its
 * persistence, and our emitter.
 */
export class LocalBroker implements LocalSubscribers {
  readonly store: SessionStore;
  readonly shared: SharedSubscriptions;
  readonly #aedes: Aedes;
  readonly #emitter: Emitter;
  readonly #storage: OpenStore;
  readonly #stats: IngressStats;
  readonly #failed: (error: unknown) => void;

  /** @throws SessionStoreError if sessions can't be kept where they should be */
  static async open(options: LocalBrokerOptions): Promise<LocalBroker> {
    const { limits, stats, clock, logger, recalled, sessions: directory } = options;
    const state = new KeptState(limits, stats);
    const storage = await openStore({ directory, state, recalled, clock, logger });
    const broker = new LocalBroker(options, state, storage);
    await broker.#aedes.listen();
    return broker;
  }

  private constructor(options: LocalBrokerOptions, state: KeptState, storage: OpenStore) {
    const { stats, logger } = options;
    this.#stats = stats;
    this.#storage = storage;
    this.#failed = failureOf(logger);
    const id = `sluice-${randomUUID()}`;
    this.#emitter = new Emitter(id, this.#failed);
    this.store = new SessionStore(state, storage.log, options);
    this.#aedes = new Aedes({
      id,
      mq: this.#emitter,
      persistence: new BrokerPersistence(this.store),
      maxTopicLevels: MAX_TOPIC_LEVELS,
    });
    this.#aedes.on('error' as 'closed', this.#failed as () => void);
    this.shared = new SharedSubscriptions(this, this.store);
    this.shared.restore(state.mailboxes.values());
  }

  /** Has `deliver` given the messages that match the filter, from now on. */
  subscribe(filter: string, deliver: Deliver): void {
    this.#aedes.subscribe(filter, deliver, ignore);
  }

  unsubscribe(filter: string, deliver: Deliver): void {
    this.#aedes.unsubscribe(filter, deliver, ignore);
  }

  /** What a recipient subscribes with; one for each QoS. */
  deliverer(recipient: Recipient, qos: QoS): Deliver {
    return this.#emitter.deliverer(recipient, qos);
  }

  /** Delivers to local subscribers, present and absent, and stores what is retained. Copies what is kept. */
  deliver(topic: { readonly name: string }, payload: Buffer, qos: QoS, retain: boolean): void {
    const message = { cmd: 'publish', topic: topic.name, payload, qos, retain, dup: false } as const;
    this.#aedes.publish(message, (error) => {
      if (error != null) this.#failed(error);
    });
    this.#stats.localDeliveries++;
  }

  /** Whether anybody, present or absent, has subscribed to the topic; remembered until subscriptions change. */
  hasSubscribers(topic: InternedTopic): boolean {
    const generation = this.#emitter.generation + this.store.generation;
    if (topic.subscribersAsOf !== generation) {
      topic.hasSubscribers = this.#emitter.deliversTo(topic.name) || this.store.queuesFor(topic.name);
      topic.subscribersAsOf = generation;
    }
    return topic.hasSubscribers;
  }

  /** How the disk does that keeps the sessions; undefined: none does. */
  get storage(): OpenStore['stats'] {
    return this.#storage.stats;
  }

  /** Ends, with everything on disk unless `deadline` resolves before. */
  async close(deadline: Promise<void>): Promise<void> {
    await new Promise<void>((resolve) => this.#aedes.close(resolve));
    await this.#storage.close(deadline);
  }
}

const ignore = (): void => {};

const failureOf =
  (logger: Logger) =>
  (error: unknown): void =>
    logger.error({ reason: errorMessage(error) }, 'the MQTT broker inside failed');
