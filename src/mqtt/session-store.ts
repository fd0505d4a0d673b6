import { Readable } from 'node:stream';
import type { AbandonReason, SessionMessage, SessionOutcome } from '../core/device-sessions.ts';
import type { IngressLimits } from './limits.ts';
import type { LocalMessage } from './local-message.ts';
import { Mailbox, type Queued, type StoredSubscription } from './mailbox.ts';
import { RetainedMessages } from './retained-messages.ts';
import type { IngressStats } from './stats.ts';
import { FilterTree } from './topic-filter.ts';

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
 * What aedes keeps of sessions, retained messages and wills: its persistence interface. Written
 * instead of aedes-persistence because that queues without bound, delivers a retained message from the queue
 * with RETAIN set ([MQTT-3.3.1-9]) and a repeated one without DUP ([MQTT-3.3.1-1]), and hides from us whether
 * an absent client's subscription matches a topic.
 */
export class SessionStore {
  readonly #limits: IngressLimits;
  readonly #stats: IngressStats;
  readonly #wallMs: () => number;
  readonly #mailboxes = new Map<string, Mailbox>();
  /** Subscriptions of persistent sessions with QoS 1 or 2: what they match is queued. */
  readonly #queueing = new FilterTree<StoredSubscription>();
  readonly #retained: RetainedMessages;
  readonly #wills = new Map<string, object>();
  /** Is told of stored messages that will not be delivered. */
  onAbandoned: (message: SessionMessage, reason: AbandonReason, forget: () => void) => void = () => {
    // Nobody wants to know.
  };

  constructor(limits: IngressLimits, stats: IngressStats, wallMs: () => number) {
    this.#limits = limits;
    this.#wallMs = wallMs;
    this.#stats = stats;
    this.#retained = new RetainedMessages(limits, stats);
  }

  // For the publication lane: at once, without promises.

  /** Grows whenever {@link queuesFor} may answer differently. */
  get generation(): number {
    return this.#queueing.generation;
  }

  /** Whether a persistent session, its client present or absent, wants messages of this topic. */
  queuesFor(topic: string): boolean {
    return this.#queueing.matches(topic);
  }

  /** Stores a retained message, or deletes it. */
  retain(message: LocalMessage): void {
    this.#retained.put(message);
  }

  /** Puts the message into the queue of every persistent session that has subscribed to it. */
  enqueue(message: LocalMessage): void {
    this.#enqueueFor(this.#subscribersOf(message.topic), message);
  }

  /** Whether the client gets its queue first, and what is published now after it. */
  isCatchingUp(clientId: string): boolean {
    return this.#mailboxes.get(clientId)?.catchingUp ?? false;
  }

  /** Ends a session: its subscriptions and its queue. */
  discard(clientId: string): void {
    const mailbox = this.#mailboxes.get(clientId);
    if (mailbox === undefined) return;
    this.#expireIn(mailbox);
    for (const subscription of mailbox.subscriptions.values()) this.#stopQueueing(subscription);
    this.#mailboxes.delete(clientId);
    for (const queued of [...mailbox.queue]) this.#remove(mailbox, queued, 'no-session');
    this.#count();
  }

  // For messages to one session.

  /** The subscriptions of a persistent session; those of a clean one are with its connection. */
  subscriptionsOf(clientId: string): Iterable<StoredSubscription> {
    return this.#mailboxes.get(clientId)?.subscriptions.values() ?? [];
  }

  /** Queues a message for one session, which must exist. Returns false if its queue is full. */
  post(
    message: SessionMessage,
    packet: LocalMessage,
    completed: (outcome: SessionOutcome) => void,
  ): Queued | undefined {
    const mailbox = this.#mailboxOf(message.clientId);
    return this.#push(mailbox, packet, { message, completed });
  }

  /** Sends it under this packet identifier, which the client's connection has free. */
  identify(clientId: string, queued: Queued, messageId: number): number {
    return this.#mailboxOf(clientId).identify(queued, messageId);
  }

  /** Removes from all queues what was never sent and is of no use any more. */
  expire(): void {
    for (const mailbox of this.#mailboxes.values()) this.#expireIn(mailbox);
  }

  #expireIn(mailbox: Mailbox): void {
    for (const queued of mailbox.expired(this.#wallMs())) this.#remove(mailbox, queued, 'expired');
  }

  #mailboxOf(clientId: string): Mailbox {
    let mailbox = this.#mailboxes.get(clientId);
    if (mailbox === undefined) this.#mailboxes.set(clientId, (mailbox = new Mailbox()));
    return mailbox;
  }

  #subscribersOf(topic: string): StoredSubscription[] {
    const perClient = new Map<string, StoredSubscription>();
    for (const subscription of this.#queueing.match(topic))
      perClient.set(subscription.clientId, subscription);
    return [...perClient.values()];
  }

  #enqueueFor(subscriptions: readonly StoredSubscription[], message: LocalMessage): void {
    for (const { clientId } of subscriptions) {
      const mailbox = this.#mailboxes.get(clientId);
      if (mailbox === undefined) continue;
      if (this.#push(mailbox, message) === undefined) this.#stats.queueDrops++;
    }
  }

  /** Undefined if there is no room. */
  #push(mailbox: Mailbox, message: LocalMessage, errand?: Queued['errand']): Queued | undefined {
    const { maxQueuedMessages, maxQueuedBytes, maxQueuedBytesTotal } = this.#limits;
    const bytes = Mailbox.bytesOf(message);
    if (
      mailbox.queue.length >= maxQueuedMessages ||
      mailbox.queuedBytes + bytes > maxQueuedBytes ||
      this.#stats.queuedBytes + bytes > maxQueuedBytesTotal
    ) {
      return undefined;
    }
    this.#stats.queuedMessages++;
    this.#stats.queuedBytes += bytes;
    return mailbox.push(message, errand);
  }

  #remove(mailbox: Mailbox, queued: Queued, outcome: SessionOutcome): void {
    mailbox.remove(queued);
    this.#stats.queuedMessages--;
    this.#stats.queuedBytes -= queued.bytes;
    if (outcome === 'expired') this.#stats.queueExpired++;
    const { errand } = queued;
    if (errand?.completed === undefined) return;
    const { completed } = errand;
    errand.completed = undefined;
    completed(outcome);
  }

  #stopQueueing(subscription: StoredSubscription | undefined): void {
    if (subscription !== undefined && subscription.qos > 0) {
      this.#queueing.remove(subscription.topic, subscription);
    }
  }

  #count(): void {
    this.#stats.storedSubscriptions = this.#queueing.size;
  }

  // aedes' persistence interface. Its promises resolve at once.

  async setup(_broker: unknown): Promise<void> {
    // aedes insists on an async function here.
  }

  storeRetained(packet: LocalMessage): Promise<void> {
    this.retain(packet);
    return Promise.resolve();
  }

  /** The matching retained messages of this moment: what is published later comes by subscription. */
  createRetainedStreamCombi(filters: readonly string[]): Readable {
    return Readable.from(this.#retained.matching(filters));
  }

  addSubscriptions(
    { id: clientId }: ClientKey,
    subscriptions: readonly { topic: string; qos: 0 | 1 | 2 }[],
  ): Promise<void> {
    const mailbox = this.#mailboxOf(clientId);
    for (const { topic, qos } of subscriptions) {
      this.#stopQueueing(mailbox.subscriptions.get(topic));
      const subscription = { clientId, topic, qos };
      mailbox.subscriptions.set(topic, subscription);
      if (qos > 0) this.#queueing.add(topic, subscription);
    }
    this.#count();
    return Promise.resolve();
  }

  removeSubscriptions({ id }: ClientKey, filters: readonly string[]): Promise<void> {
    const mailbox = this.#mailboxes.get(id);
    for (const filter of filters) {
      this.#stopQueueing(mailbox?.subscriptions.get(filter));
      mailbox?.subscriptions.delete(filter);
    }
    this.#count();
    return Promise.resolve();
  }

  /** A client is back: what is published from now on must not overtake its queue. */
  subscriptionsByClient({ id }: ClientKey): Promise<{ topic: string; qos: 0 | 1 | 2 }[]> {
    const mailbox = this.#mailboxes.get(id);
    if (mailbox !== undefined) mailbox.catchingUp = true;
    const subscriptions = [...(mailbox?.subscriptions.values() ?? [])];
    return Promise.resolve(subscriptions.map(({ topic, qos }) => ({ topic, qos })));
  }

  subscriptionsByTopic(topic: string): Promise<StoredSubscription[]> {
    return Promise.resolve(this.#subscribersOf(topic));
  }

  cleanSubscriptions({ id }: ClientKey): Promise<void> {
    this.discard(id);
    return Promise.resolve();
  }

  outgoingEnqueueCombi(subscriptions: readonly StoredSubscription[], message: LocalMessage): Promise<void> {
    this.#enqueueFor(subscriptions, message);
    return Promise.resolve();
  }

  /**
   * A queued message is being sent under a packet identifier, or (`pubrel`) has arrived. A message that is
   * not queued, because the queue was full or the subscription is of QoS 0, is sent all the same.
   */
  outgoingUpdate({ id }: ClientKey, packet: OutgoingPacket): Promise<void> {
    const mailbox = this.#mailboxes.get(id);
    mailbox?.wasSent();
    if (packet.cmd === 'pubrel') {
      const received = mailbox?.sent.get(packet.messageId ?? 0);
      if (received !== undefined) received.message = undefined;
      return Promise.resolve();
    }
    const queued = mailbox?.numbered(packet.brokerId, packet.brokerCounter);
    if (mailbox === undefined || queued === undefined) return Promise.resolve();
    packet.messageId = mailbox.identify(queued, packet.messageId ?? 1);
    return Promise.resolve();
  }

  /** PUBACK or PUBCOMP has come. Without an identifier (aedes did not send it after all) it stays queued. */
  outgoingClearMessageId({ id }: ClientKey, packet: OutgoingPacket): Promise<LocalMessage | undefined> {
    const mailbox = this.#mailboxes.get(id);
    const queued = packet.messageId === undefined ? undefined : mailbox?.sent.get(packet.messageId);
    if (mailbox === undefined || queued === undefined) return Promise.resolve(undefined);
    this.#remove(mailbox, queued, 'delivered');
    return Promise.resolve(queued.message);
  }

  /** Everything queued for a client that is back, in order, until there is nothing left that was not sent. */
  outgoingStream({ id }: ClientKey): Readable {
    const mailbox = this.#mailboxes.get(id);
    if (mailbox === undefined) return Readable.from([]);
    this.#expireIn(mailbox);
    return Readable.from(mailbox.catchUp());
  }

  putWill({ id }: ClientKey, will: object): Promise<void> {
    this.#wills.set(id, will);
    return Promise.resolve();
  }

  delWill({ id }: ClientKey): Promise<void> {
    this.#wills.delete(id);
    return Promise.resolve();
  }

  /** Wills of brokers that are gone: there are no others. */
  streamWill(): Readable {
    return Readable.from([]);
  }
}
