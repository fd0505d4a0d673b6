import { Readable } from 'node:stream';
import type { SessionStore } from '../sessions/session-store.ts';
import type { StoredSubscription } from '../sessions/mailbox.ts';
import type { IngressStats } from '../stats.ts';
import { ownBytes, type LocalMessage } from './local-deliveries.ts';

interface ClientKey {
  readonly id: string;
}
interface OutgoingPacket {
  readonly cmd: string;
  readonly brokerId?: string;
  readonly brokerCounter?: number;
  messageId?: number | undefined;
  readonly qos?: number;
}

/**
 * aedes' persistence interface in front of the {@link SessionStore}: above all, what is sent from the sessions'
 * queues. Written instead of aedes-persistence because that queues without bound, delivers a retained message from
 * the queue with RETAIN set ([MQTT-3.3.1-9]) and a repeated one without DUP ([MQTT-3.3.1-1]), and hides from us
 * whether an absent client's subscription matches a topic. Without a disk, its promises resolve at once.
 */
export class BrokerPersistence {
  readonly #store: SessionStore;
  readonly #bound: SubscriptionBound;

  constructor(store: SessionStore, bound: SubscriptionBound) {
    this.#store = store;
    this.#bound = bound;
  }

  async setup(_broker: unknown): Promise<void> {
    // aedes insists on an async function here.
  }

  // Retained messages.

  storeRetained(packet: LocalMessage): Promise<void> {
    this.#store.retain({ ...packet, payload: ownBytes(packet.payload) });
    return Promise.resolve();
  }

  /** The matching retained messages of this moment: what is published later comes by subscription. */
  createRetainedStreamCombi(filters: readonly string[]): Readable {
    return Readable.from(this.#store.retained.matching(filters));
  }

  // Subscriptions.

  addSubscriptions(
    { id }: ClientKey,
    subscriptions: readonly { topic: string; qos: 0 | 1 | 2 }[],
  ): Promise<void> {
    // aedes hands over those that were refused, too.
    return this.#store.subscribe(
      id,
      subscriptions.filter((subscription) => !this.#bound.wasRefused(subscription)),
    );
  }

  removeSubscriptions({ id }: ClientKey, filters: readonly string[]): Promise<void> {
    return this.#store.unsubscribe(id, filters);
  }

  /** A client is back: what is published from now on must not overtake its queue. */
  subscriptionsByClient({ id }: ClientKey): Promise<{ topic: string; qos: 0 | 1 | 2 }[]> {
    const mailbox = this.#store.mailbox(id);
    if (mailbox !== undefined) mailbox.catchingUp = true;
    const subscriptions = [...(mailbox?.subscriptions.values() ?? [])];
    return Promise.resolve(subscriptions.map(({ topic, qos }) => ({ topic, qos })));
  }

  subscriptionsByTopic(topic: string): Promise<StoredSubscription[]> {
    return Promise.resolve(this.#store.subscribersOf(topic));
  }

  /** A clean session begins: the one before it has ended when its client was let in. */
  cleanSubscriptions(_client: ClientKey): Promise<void> {
    return Promise.resolve();
  }

  // What goes out.

  outgoingEnqueueCombi(subscriptions: readonly StoredSubscription[], message: LocalMessage): Promise<void> {
    // A will: its payload is a view of the CONNECT. The message itself is what is numbered afterwards.
    if (subscriptions.length > 0) message.payload = ownBytes(message.payload);
    this.#store.enqueueFor(subscriptions, message);
    return Promise.resolve();
  }

  /**
   * A queued message is being sent under a packet identifier, or (`pubrel`) has arrived. A message that is
   * not queued, because the queue was full or the subscription is of QoS 0, is sent all the same. With QoS 2 the
   * next packet waits for the disk: after a restart the client must get the same identifier again.
   */
  outgoingUpdate({ id: clientId }: ClientKey, packet: OutgoingPacket): Promise<void> {
    const mailbox = this.#store.mailbox(clientId);
    mailbox?.wasSent();
    if (packet.cmd === 'pubrel') {
      const received = mailbox?.sent.get(packet.messageId ?? 0);
      return received?.message === undefined ? Promise.resolve() : this.#store.arrived(clientId, received);
    }
    const queued = mailbox?.numbered(packet.brokerId, packet.brokerCounter);
    if (mailbox === undefined || queued === undefined) return Promise.resolve();
    packet.messageId = this.#store.sending(mailbox, queued, packet.messageId ?? 1);
    return packet.qos === 2 ? this.#store.synced() : Promise.resolve();
  }

  /** PUBACK or PUBCOMP has come. Without an identifier (aedes did not send it after all) it stays queued. */
  outgoingClearMessageId(
    { id: clientId }: ClientKey,
    packet: OutgoingPacket,
  ): Promise<LocalMessage | undefined> {
    const mailbox = this.#store.mailbox(clientId);
    const queued = packet.messageId === undefined ? undefined : mailbox?.sent.get(packet.messageId);
    if (mailbox === undefined || queued === undefined) return Promise.resolve(undefined);
    this.#store.delivered(mailbox, queued);
    return Promise.resolve(queued.message);
  }

  /** Everything queued for a client that is back, in order, until there is nothing left that was not sent. */
  outgoingStream({ id }: ClientKey): Readable {
    const mailbox = this.#store.mailbox(id);
    if (mailbox === undefined) return Readable.from([]);
    this.#store.expireIn(mailbox);
    return Readable.from(mailbox.catchUp());
  }

  // Wills: aedes keeps that of a connection itself, and those of brokers that are gone do not exist.

  putWill(): Promise<void> {
    return Promise.resolve();
  }

  delWill(): Promise<void> {
    return Promise.resolve();
  }

  streamWill(): Readable {
    return Readable.from([]);
  }
}

/** A client of aedes, as far as its subscriptions go. */
export interface Subscriber {
  readonly id: string;
  readonly subscriptions: Readonly<Record<string, unknown>>;
}

/**
 * Bounds the topic filters of each session. aedes asks for all filters of a SUBSCRIBE in one go, and adds them later:
 * those it has asked for count as well. A filter that the session has is no further one.
 */
export class SubscriptionBound {
  readonly #max: number;
  readonly #store: SessionStore;
  readonly #stats: IngressStats;
  /** Of the SUBSCRIBE that is being asked for. */
  #asking: Subscriber | undefined;
  readonly #admitted = new Set<string>();
  /** Filters as aedes hands them on, to the store too, whatever became of them. */
  readonly #refused = new WeakSet();

  constructor(max: number, store: SessionStore, stats: IngressStats) {
    this.#max = max;
    this.#store = store;
    this.#stats = stats;
  }

  /** `filter`: the object that aedes goes on with. False: refused. */
  admits(client: Subscriber, filter: { readonly topic: string }): boolean {
    if (this.#asking !== client) this.#admitted.clear();
    this.#asking = client;
    const { topic } = filter;
    const isKnown =
      topic in client.subscriptions ||
      this.#admitted.has(topic) ||
      this.#store.mailbox(client.id)?.subscriptions.has(topic) === true;
    if (!isKnown && Object.keys(client.subscriptions).length + this.#admitted.size >= this.#max) {
      this.#stats.subscriptionsRefused++;
      this.#refused.add(filter);
      return false;
    }
    if (!(topic in client.subscriptions)) this.#admitted.add(topic);
    return true;
  }

  /** All filters of the SUBSCRIBE were asked for. */
  asked(): void {
    this.#asking = undefined;
    this.#admitted.clear();
  }

  wasRefused(filter: object): boolean {
    return this.#refused.has(filter);
  }
}
