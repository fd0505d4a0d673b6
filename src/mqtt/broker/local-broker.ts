import { randomUUID } from 'node:crypto';
import { Aedes, type Client } from 'aedes';
import { writeToStream } from 'mqtt-packet';
import type { Logger } from '../../core/logger.ts';
import { errorMessage } from '../../core/errors.ts';
import type { QoS, RecalledPublications } from '../../core/publication.ts';
import { BrokerPersistence, SubscriptionBound, type Subscriber } from './broker-persistence.ts';
import type { BrokerClient, ControlChannel, ControlPlane } from './broker-link.ts';
import type { LocalSubscribers } from '../inflow/publication-lane.ts';
import type { IngressBasics, IngressLimits } from '../limits.ts';
import { LocalDeliveries, localMessage, ownBytes, sizeOf, type LocalMessage } from './local-deliveries.ts';
import type { ConnectedClient } from '../sessions/session-post.ts';
import { KeptState } from '../sessions/kept-state.ts';
import { SessionStore } from '../sessions/session-store.ts';
import { openStore, type OpenStore } from '../sessions/store/open-store.ts';
import type { LogDirectory } from '../../durable-log/log-directory.ts';
import type { IngressStats } from '../stats.ts';
import { filterMatches } from '../topics/topic-filter.ts';
import { MAX_TOPIC_LEVELS, type InternedTopic } from '../topics/topic-table.ts';

// With the first packet that aedes writes, mqtt-packet would make a Buffer of each of the 65,536 packet identifiers and
// keep them: 8 MB, for what costs a moment where it is needed.
writeToStream.cacheNumbers = false;

/** The part of aedes that its types don't mention, as of 1.2. */
interface BrokerInternals {
  readonly clients: Readonly<Record<string, Client | undefined>>;
}

/** The parts of aedes' client that its types don't mention, as of 1.2. */
interface ClientInternals {
  readonly subscriptions: Readonly<Record<string, { qos: number; granted?: number } | undefined>>;
  deliver0: (message: LocalMessage, done: () => void) => void;
  readonly deliverQoS: (message: LocalMessage, done: () => void) => void;
  /** `done` is called when the connection takes more, or with an error when it does not for a minute. */
  waitForDrain: (done: (error: Error | null, client: Client) => void) => void;
  /** The packet identifier of the next message; aedes counts on from a random start. */
  _nextId: number;
}

export interface LocalBrokerOptions extends IngressBasics {
  /** Where sessions are kept; left out, in memory. */
  readonly sessions?: LogDirectory | undefined;
  /** What a journal knows of their publications. */
  readonly recalled?: RecalledPublications | undefined;
}

/**
 * The control plane: aedes, with what belongs to CONNECT, SUBSCRIBE, sessions, retained messages and wills.
 * The only file that knows aedes, and where its limits and faults are made good (each has its test):
 *
 * - it takes what we validated, so its own smaller limits are lifted;
 * - a message is delivered with the highest QoS of all matching subscriptions ([MQTT-3.3.5-1]) and never above
 *   it ([MQTT-3.8.4-6]); aedes alone downgrades only where the filter equals the topic;
 * - nothing leaves before the CONNACK ([MQTT-3.2.0-1]);
 * - a subscriber that does not read is bounded;
 * - nothing waits for a connection that has ended.
 */
export class LocalBroker implements ControlPlane, LocalSubscribers {
  readonly #aedes: Aedes;
  readonly #deliveries: LocalDeliveries;
  readonly store: SessionStore;
  readonly #storage: OpenStore;
  readonly #limits: IngressLimits;
  readonly #stats: IngressStats;

  /** @throws SessionStoreError if sessions can't be kept where they should be */
  static async open(options: LocalBrokerOptions): Promise<LocalBroker> {
    const { limits, stats, clock, logger, recalled, sessions: directory } = options;
    const deliveries = new LocalDeliveries(failureOf(logger));
    const state = new KeptState(limits, stats, (message) => {
      deliveries.number(message);
    });
    const storage = await openStore({ directory, state, recalled, clock, logger });
    const broker = new LocalBroker(options, deliveries, state, storage);
    await broker.#aedes.listen();
    return broker;
  }

  private constructor(
    options: LocalBrokerOptions,
    deliveries: LocalDeliveries,
    state: KeptState,
    storage: OpenStore,
  ) {
    const { limits, stats } = options;
    this.#limits = limits;
    this.#stats = stats;
    this.#deliveries = deliveries;
    this.#storage = storage;
    this.store = new SessionStore(state, storage.log, options);
    const bound = new SubscriptionBound(limits.maxSubscriptions, this.store, stats);
    this.#aedes = new Aedes({
      id: `sluice-${randomUUID()}`,
      mq: this.#deliveries,
      persistence: new BrokerPersistence(this.store, bound),
      queueLimit: Number.MAX_SAFE_INTEGER,
      maxClientsIdLength: Number.MAX_SAFE_INTEGER,
      maxTopicLevels: MAX_TOPIC_LEVELS,
      connectTimeout: limits.connectTimeoutMs,
      // Only wills come this way, for local subscribers. To the sink they go behind the other publications of their
      // connection, see PublicationLane.will.
      authorizePublish: (_client, will, done) => {
        done(will.topic.startsWith('$') ? new Error('a will to a $ topic') : null);
      },
      authorizeSubscribe: (client, subscription, done) => {
        const isAdmitted =
          (client.conn as ControlChannel).owner.maySubscribe(subscription.topic) &&
          bound.admits(client as unknown as Subscriber, subscription);
        // Later, when all filters of the packet are decided: the first to be stored takes all of them along.
        queueMicrotask(() => {
          bound.asked();
          done(null, isAdmitted ? subscription : null);
        });
      },
      authorizeForward: (client, packet) =>
        this.#forward(client, packet as LocalMessage) as typeof packet | null,
    });
    this.#aedes.on('error' as 'closed', failureOf(options.logger) as () => void);
  }

  /** Takes a connection whose CONNECT is about to be pushed into the channel. */
  handle(channel: ControlChannel): BrokerClient {
    const client = this.#aedes.handle(channel);
    const internals = client as unknown as ClientInternals;
    // With a subscription of QoS 0 and one of QoS 1 on the same message, aedes delivers by whichever comes
    // first. Both go one way here; #forward finds the QoS.
    const { deliver0, deliverQoS } = internals;
    internals.deliver0 = (message, done) => {
      (message.qos === 0 ? deliver0 : deliverQoS)(message, done);
    };
    // What aedes writes to a connection that has ended it would wait for with a timer of a minute, which keeps the
    // connection and its buffers in memory as long.
    const waitForDrain = internals.waitForDrain.bind(client);
    internals.waitForDrain = (done) => {
      if (client.closed || channel.destroyed) setImmediate(done, new Error('connection closed'), client);
      else waitForDrain(done);
    };
    return client;
  }

  /** Delivers to local subscribers, present and absent, and stores what is retained. Copies the payload. */
  deliver(topic: { readonly name: string }, payload: Buffer, qos: QoS, retain: boolean): void {
    const isKept = retain || qos > 0;
    const copy = isKept ? ownBytes(payload) : Buffer.from(payload);
    const message = localMessage(topic.name, copy, qos, retain);
    if (retain) this.store.retain(message);
    // All at once, where aedes' publish takes a different number of promises for each kind of message and so
    // changes their order ([MQTT-4.6.0-5]).
    if (qos > 0) this.store.enqueue(message);
    this.#deliveries.emit(message);
    this.#stats.localDeliveries++;
  }

  /** Whether anybody, present or absent, has subscribed to the topic; remembered until subscriptions change. */
  hasSubscribers(topic: InternedTopic): boolean {
    const generation = this.#deliveries.generation + this.store.generation;
    if (topic.subscribersAsOf !== generation) {
      topic.hasSubscribers = this.#deliveries.deliversTo(topic.name) || this.store.queuesFor(topic.name);
      topic.subscribersAsOf = generation;
    }
    return topic.hasSubscribers;
  }

  /** The client, while it is connected. */
  client(clientId: string): ConnectedClient | undefined {
    const client = (this.#aedes as unknown as BrokerInternals).clients[clientId];
    if (client === undefined || client.closed) return undefined;
    const internals = client as unknown as ClientInternals;
    return {
      clean: client.clean,
      granted: (topic) => highestQos(internals.subscriptions, topic),
      nextMessageId: () => {
        const messageId = internals._nextId;
        internals._nextId = (messageId % 65_535) + 1;
        return messageId;
      },
      deliver: (message) => {
        internals.deliverQoS(message, () => {
          // Its PUBACK is what counts.
        });
      },
    };
  }

  /** How the disk does that keeps the sessions; undefined: none does. */
  get storage(): OpenStore['stats'] {
    return this.#storage.stats;
  }

  /** Ends, with everything on disk unless `deadline` resolves before. */
  async close(deadline: Promise<void>): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#aedes.close(resolve);
    });
    await this.#storage.close(deadline);
  }

  /** The last word on a message before it is written to a subscriber: null drops it there. */
  #forward(client: Client, message: LocalMessage): LocalMessage | null {
    const channel = client.conn as ControlChannel;
    // What is refused here stays in the session's queue, if it has QoS 1 or 2.
    if (!channel.connackPassed) return null;
    const granted = highestQos((client as unknown as ClientInternals).subscriptions, message.topic);
    if (granted < message.qos) message.qos = granted;
    const queued = message.messageId !== undefined;
    if (message.qos > 0 && !queued && !client.clean && this.store.mailbox(client.id)?.catchingUp === true)
      return null;

    const size = sizeOf(message);
    const waiting = channel.writableLength + channel.promisedBytes + channel.owner.unsentBytes;
    if (waiting + size > this.#limits.maxSubscriberBytes && waiting > 0) {
      if (message.qos === 0) {
        this.#stats.subscriberDrops++;
        return null;
      }
      if (waiting > 2 * this.#limits.maxSubscriberBytes) channel.owner.tooSlow(waiting);
    }
    channel.promise(size);
    return message;
  }
}

const failureOf =
  (logger: Logger) =>
  (error: unknown): void => {
    logger.error({ reason: errorMessage(error) }, 'the MQTT broker inside failed');
  };

function highestQos(subscriptions: ClientInternals['subscriptions'], topic: string): QoS {
  let highest = 0;
  for (const filter in subscriptions) {
    const subscription = subscriptions[filter];
    if (subscription === undefined) continue;
    // aedes lowers the QoS once more, by the filter that equals the topic: it must find nothing to lower.
    subscription.granted ??= subscription.qos;
    subscription.qos = Number.POSITIVE_INFINITY;
    if (subscription.granted > highest && filterMatches(filter, topic)) highest = subscription.granted;
  }
  return highest as QoS;
}
