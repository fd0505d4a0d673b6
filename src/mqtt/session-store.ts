import { Readable } from 'node:stream';
import type { IngressLimits } from './limits.ts';
import type { IngressStats } from './stats.ts';
import { filterMatches, FilterTree } from './topic-filter.ts';

/** A message on its way to local subscribers: a packet as aedes knows it. */
export interface LocalMessage {
  cmd: 'publish';
  brokerId: string;
  /** With brokerId: which message it is. Subscribers take only growing numbers. */
  brokerCounter: number;
  topic: string;
  payload: Buffer;
  qos: 0 | 1 | 2;
  retain: boolean;
  dup: boolean;
  /** Set by aedes on what comes out of a session's queue. */
  messageId?: number | undefined;
}

interface ClientKey {
  readonly id: string;
}
interface StoredSubscription {
  readonly clientId: string;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
}
interface OutgoingPacket {
  readonly cmd: string;
  readonly brokerId?: string;
  readonly brokerCounter?: number;
  messageId?: number | undefined;
  readonly qos?: number;
}
interface Queued {
  /** The message itself; gone once the subscriber has it and only PUBREL and PUBCOMP are left. */
  message: LocalMessage | undefined;
  messageId: number | undefined;
  /** The catching up in which it was sent. */
  round: number;
}

/** What a persistent session holds for its subscriber. */
class Mailbox {
  readonly subscriptions = new Map<string, StoredSubscription>();
  readonly queue: Queued[] = [];
  /** The subscriber is back and gets its queue; what is published meanwhile goes to the queue's end. */
  catchingUp = false;
  /** Counts catchings up. */
  round = 0;
  /** The queued message that is being sent has been. */
  sent: (() => void) | undefined;
}

/**
 * What aedes keeps of sessions, retained messages and wills: its persistence interface, in memory. Written
 * instead of aedes-persistence because that queues without bound, delivers a retained message from the queue
 * with RETAIN set ([MQTT-3.3.1-9]) and a repeated one without DUP ([MQTT-3.3.1-1]), and hides from us whether
 * an absent client's subscription matches a topic.
 */
export class SessionStore {
  readonly #limits: Pick<IngressLimits, 'maxQueuedMessages' | 'maxRetainedMessages' | 'maxRetainedBytes'>;
  readonly #stats: IngressStats;
  readonly #mailboxes = new Map<string, Mailbox>();
  /** Subscriptions of persistent sessions with QoS 1 or 2: what they match is queued. */
  readonly #queueing = new FilterTree<StoredSubscription>();
  readonly #retained = new Map<string, LocalMessage>();
  #retainedBytes = 0;
  readonly #wills = new Map<string, object>();

  constructor(
    limits: Pick<IngressLimits, 'maxQueuedMessages' | 'maxRetainedMessages' | 'maxRetainedBytes'>,
    stats: IngressStats,
  ) {
    this.#limits = limits;
    this.#stats = stats;
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

  /** Stores a retained message; an empty payload deletes it ([MQTT-3.3.1-10], [MQTT-3.3.1-11]). */
  retain(message: LocalMessage): void {
    const sizeOf = ({ topic, payload }: LocalMessage): number => topic.length + payload.length;
    const previous = this.#retained.get(message.topic);
    if (previous !== undefined) {
      this.#retained.delete(message.topic);
      this.#retainedBytes -= sizeOf(previous);
    }
    if (message.payload.length > 0) {
      const { maxRetainedMessages, maxRetainedBytes } = this.#limits;
      const bytes = this.#retainedBytes + sizeOf(message);
      if (this.#retained.size >= maxRetainedMessages || bytes > maxRetainedBytes) {
        this.#stats.retainedRejected++;
      } else {
        this.#retained.set(message.topic, { ...message });
        this.#retainedBytes = bytes;
      }
    }
    this.#stats.retainedMessages = this.#retained.size;
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
    for (const subscription of mailbox.subscriptions.values()) this.#stopQueueing(subscription);
    this.#mailboxes.delete(clientId);
  }

  #subscribersOf(topic: string): StoredSubscription[] {
    const perClient = new Map<string, StoredSubscription>();
    for (const subscription of this.#queueing.match(topic))
      perClient.set(subscription.clientId, subscription);
    return [...perClient.values()];
  }

  #enqueueFor(subscriptions: readonly StoredSubscription[], message: LocalMessage): void {
    for (const { clientId } of subscriptions) {
      const queue = this.#mailboxes.get(clientId)?.queue;
      if (queue === undefined) continue;
      if (queue.length >= this.#limits.maxQueuedMessages) this.#stats.queueDrops++;
      else queue.push({ message, messageId: undefined, round: 0 });
    }
  }

  #stopQueueing(subscription: StoredSubscription | undefined): void {
    if (subscription !== undefined && subscription.qos > 0) {
      this.#queueing.remove(subscription.topic, subscription);
    }
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
    const found = filters.flatMap((filter) => {
      if (!filter.includes('+') && !filter.includes('#')) return this.#retained.get(filter) ?? [];
      return [...this.#retained.values()].filter(({ topic }) => filterMatches(filter, topic));
    });
    return Readable.from(found);
  }

  addSubscriptions(
    { id: clientId }: ClientKey,
    subscriptions: readonly { topic: string; qos: 0 | 1 | 2 }[],
  ): Promise<void> {
    let mailbox = this.#mailboxes.get(clientId);
    if (mailbox === undefined) this.#mailboxes.set(clientId, (mailbox = new Mailbox()));
    for (const { topic, qos } of subscriptions) {
      this.#stopQueueing(mailbox.subscriptions.get(topic));
      const subscription = { clientId, topic, qos };
      mailbox.subscriptions.set(topic, subscription);
      if (qos > 0) this.#queueing.add(topic, subscription);
    }
    return Promise.resolve();
  }

  removeSubscriptions({ id }: ClientKey, filters: readonly string[]): Promise<void> {
    const mailbox = this.#mailboxes.get(id);
    for (const filter of filters) {
      this.#stopQueueing(mailbox?.subscriptions.get(filter));
      mailbox?.subscriptions.delete(filter);
    }
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
    mailbox?.sent?.();
    const queue = mailbox?.queue ?? [];
    if (packet.cmd === 'pubrel') {
      const received = queue.find(({ messageId }) => messageId === packet.messageId);
      if (received !== undefined) received.message = undefined;
      return Promise.resolve();
    }
    const entry = queue.findLast(
      ({ message }) =>
        message?.brokerCounter === packet.brokerCounter && message?.brokerId === packet.brokerId,
    );
    if (entry === undefined) return Promise.resolve();
    // aedes counts packet identifiers from a random start in every connection, past those still in use.
    let messageId = packet.messageId ?? 1;
    while (queue.some((other) => other !== entry && other.messageId === messageId)) {
      messageId = (messageId % 65_535) + 1;
    }
    packet.messageId = messageId;
    entry.messageId = messageId;
    return Promise.resolve();
  }

  /** PUBACK or PUBCOMP has come. Without an identifier (aedes did not send it after all) it stays queued. */
  outgoingClearMessageId({ id }: ClientKey, packet: OutgoingPacket): Promise<LocalMessage | undefined> {
    const queue = this.#mailboxes.get(id)?.queue ?? [];
    const index = queue.findIndex(
      ({ messageId }) => messageId !== undefined && messageId === packet.messageId,
    );
    const [entry] = index < 0 ? [] : queue.splice(index, 1);
    return Promise.resolve(entry?.message);
  }

  /** Everything queued for a client that is back, in order, until there is nothing left that was not sent. */
  outgoingStream({ id }: ClientKey): Readable {
    const mailbox = this.#mailboxes.get(id);
    return Readable.from(mailbox === undefined ? [] : catchUp(mailbox));
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

/**
 * Yields the queue's packets one by one, each when the one before was sent; and ends the catching up in the same
 * breath in which it finds nothing more, so that no message is overtaken or sent twice.
 */
async function* catchUp(mailbox: Mailbox): AsyncGenerator<object> {
  const round = ++mailbox.round;
  for (;;) {
    const next = mailbox.queue.find((queued) => queued.round !== round);
    if (next === undefined) break;
    next.round = round;
    const { message, messageId } = next;
    const sent = new Promise<void>((resolve) => {
      mailbox.sent = resolve;
    });
    yield message === undefined
      ? { cmd: 'pubrel', messageId }
      : // Sent before, it is a repeat ([MQTT-3.3.1-1]); by subscription, it is not "retained" ([MQTT-3.3.1-9]).
        { ...message, messageId, dup: messageId !== undefined, retain: false };
    await sent;
    // The client is gone, and has come again.
    if (mailbox.round !== round) return;
  }
  mailbox.catchingUp = false;
  mailbox.sent = undefined;
}
