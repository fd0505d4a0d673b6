import type { AbandonReason, SessionMessage, SessionOutcome } from '../../core/device-sessions.ts';
import { EARLIEST_PLAUSIBLE_MS, type Clock } from '../../core/clock.ts';
import type { PublicationMemory } from '../../core/publication.ts';
import type { IngressBasics, IngressLimits } from '../limits.ts';
import type { LocalMessage } from '../broker/local-deliveries.ts';
import { Mailbox, type Errand, type Queued, type StoredSubscription } from './mailbox.ts';
import { storedMessage, toStored, type KeptState, type RetainedMessages } from './kept-state.ts';
import type { RestoredSession, SessionKeeper } from './session-registry.ts';
import type { IngressStats } from '../stats.ts';
import type { SessionLog } from './store/store-log.ts';
import type { StoreRecord } from './store/store-record.ts';
import { FilterTree } from '../topics/topic-filter.ts';

export type AbandonListener = (message: SessionMessage, reason: AbandonReason, forget: () => void) => void;

/**
 * Persistent sessions and retained messages: what is kept, for whom, how much, and when somebody may be told that it
 * is. Every change is made in memory and noted in the log.
 */
export class SessionStore implements SessionKeeper, PublicationMemory {
  readonly #state: KeptState;
  readonly #log: SessionLog;
  readonly #limits: IngressLimits;
  readonly #stats: IngressStats;
  readonly #clock: Clock;
  /** Subscriptions of persistent sessions with QoS 1 or 2: what they match is queued. */
  readonly #queueing = new FilterTree<StoredSubscription>();
  #abandonListener: AbandonListener | undefined;

  constructor(state: KeptState, log: SessionLog, { limits, stats, clock }: IngressBasics) {
    this.#state = state;
    this.#log = log;
    this.#limits = limits;
    this.#stats = stats;
    this.#clock = clock;
    for (const { subscriptions } of state.mailboxes.values()) {
      for (const subscription of subscriptions.values()) this.#startQueueing(subscription);
    }
  }

  // Sessions.

  /**
   * The sessions of an earlier life of the gateway. Who was connected when it ended is away since now, and so is who
   * went when the clock had not been set.
   */
  restored(): RestoredSession[] {
    const nowMs = this.#clock.wallMs();
    return [...this.#state.mailboxes.values()].map(({ clientId, absentSinceMs, takenIds }) => ({
      clientId,
      absentForMs: absentSinceMs < EARLIEST_PLAUSIBLE_MS ? 0 : Math.max(0, nowMs - absentSinceMs),
      takenIds: takenIds?.keys() ?? [],
    }));
  }

  /** One change: made in memory, and noted in the log. */
  #change(record: StoreRecord): void {
    this.#state.apply(record);
    this.#log.append(record);
  }

  /** A client with a persistent session is here; it may be a new session. */
  opened(clientId: string): void {
    if (this.mailbox(clientId) !== undefined) this.#change({ kind: 'absent', clientId, absentSinceMs: 0 });
    else {
      const settledPublication = this.nextPublicationNumber - 1;
      this.#change({ kind: 'session', clientId, absentSinceMs: 0, settledPublication });
    }
  }

  /** Its client has gone. */
  absent(clientId: string): void {
    if (this.mailbox(clientId) === undefined) return;
    this.#change({ kind: 'absent', clientId, absentSinceMs: this.#clock.wallMs() });
  }

  /** Ends a session: its subscriptions and its queue. */
  discarded(clientId: string): void {
    const mailbox = this.mailbox(clientId);
    if (mailbox === undefined) return;
    this.expireIn(mailbox);
    for (const subscription of mailbox.subscriptions.values()) this.#stopQueueing(subscription);
    for (const queued of [...mailbox.queue]) this.#abandon(mailbox, queued, 'no-session');
    this.#state.end(mailbox);
    if (mailbox.persistent) this.#log.append({ kind: 'ended', clientId });
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
    // The broker's own figures are of this life alone.
    if (!this.#state.retained.put(message) || message.topic.startsWith('$')) return;
    const { topic, qos } = message;
    // What has no room is not there any more either.
    const payload = this.#state.retained.get(topic)?.payload ?? Buffer.alloc(0);
    const expiresAtMs = Number.POSITIVE_INFINITY;
    this.#log.append({
      kind: 'retained',
      message: { topic, payload, qos, expiresAtMs, reference: undefined },
    });
  }

  /** Puts the message into the queue of every persistent session that has subscribed to it. */
  enqueue(message: LocalMessage): void {
    this.enqueueFor(this.subscribersOf(message.topic), message);
  }

  /** What {@link Publication.publicationNumber} is for the next QoS 2 publication of this client. */
  numberPublication(clientId: string): number {
    if (!this.#log.durable || this.mailbox(clientId)?.persistent !== true) return 0;
    return this.#state.nextPublication++;
  }

  get nextPublicationNumber(): number {
    return this.#state.nextPublication;
  }

  whenKept(callback: () => void): void {
    this.#log.whenSynced(callback);
  }

  /**
   * The contract of a QoS 2 publication is fulfilled, and its PUBREC due when `kept` is called: when its packet
   * identifier will be known after a restart. Returns false if that is now, nothing being kept of this session.
   */
  packetIdTaken(clientId: string, packetId: number, publicationNumber: number, kept: () => void): boolean {
    const mailbox = this.mailbox(clientId);
    // One that comes late, of an earlier session, says nothing about the packet identifiers of this one.
    if (mailbox?.persistent !== true || publicationNumber <= mailbox.sincePublication) return false;
    this.#change({ kind: 'taken', clientId, packetId, publicationNumber });
    this.#log.whenSynced(kept);
    return true;
  }

  /**
   * PUBREL has come. PUBCOMP is due when `kept` is called: its packet identifier may name another publication then,
   * which must not be taken for a repeat after a restart. Returns false if that is now.
   */
  packetIdReleased(clientId: string, packetId: number, kept: () => void): boolean {
    if (this.mailbox(clientId)?.takenIds?.has(packetId) !== true) return false;
    this.#change({ kind: 'released', clientId, packetId });
    this.#log.whenSynced(kept);
    return true;
  }

  // For messages to one session.

  /** Queues a message for one session, which must exist. Undefined: its queue is full. */
  post(
    message: SessionMessage,
    packet: LocalMessage,
    completed: (outcome: SessionOutcome) => void,
  ): Queued | undefined {
    const { clientId } = message;
    let mailbox = this.mailbox(clientId);
    if (mailbox === undefined) {
      mailbox = new Mailbox(clientId, false);
      this.#state.mailboxes.set(clientId, mailbox);
    }
    const errand: Errand = { message, completed };
    const queued = this.#push(mailbox, packet, errand);
    if (queued !== undefined && this.#log.durable && mailbox.persistent) {
      this.#log.whenSynced(() => {
        settle(errand, 'stored');
      });
    }
    return queued;
  }

  /** Removes from all queues what was never sent and is of no use any more. */
  expire(): void {
    for (const mailbox of this.#state.mailboxes.values()) this.expireIn(mailbox);
  }

  /** Tells of everything stored that will not be delivered, now and from now on. */
  onAbandoned(listener: AbandonListener): void {
    this.#abandonListener = listener;
    for (const { queueNumber, message, reason } of this.#state.abandoned.values()) {
      this.#tellAbandoned(queueNumber, message, reason);
    }
  }

  #tellAbandoned(queueNumber: number, message: SessionMessage, reason: AbandonReason): void {
    this.#abandonListener?.(message, reason, () => {
      if (this.#state.abandoned.has(queueNumber)) this.#change({ kind: 'forgotten', queueNumber });
    });
  }

  /** Removes from one queue what was never sent and is of no use any more. */
  expireIn(mailbox: Mailbox): void {
    for (const queued of mailbox.expired(this.#clock.wallMs())) {
      this.#stats.queueExpired++;
      this.#abandon(mailbox, queued, 'expired');
    }
  }

  /** Takes a message out of the queue that its client will not get. */
  #abandon(mailbox: Mailbox, queued: Queued, reason: AbandonReason): void {
    const { clientId } = mailbox;
    const { queueNumber, errand, bytes } = queued;
    if (errand === undefined || errand.completed !== undefined) {
      this.#remove(mailbox, queued);
      if (errand !== undefined) settle(errand, reason);
      return;
    }
    this.#state.remove(mailbox, queued);
    const { message } = errand;
    this.#state.abandon({ queueNumber, message, reason, bytes });
    this.#log.append({ kind: 'abandoned', clientId, queueNumber, reason, message: toStored(message) });
    this.#tellAbandoned(queueNumber, message, reason);
  }

  /** Puts the message into the queues of these sessions. */
  enqueueFor(subscriptions: readonly StoredSubscription[], message: LocalMessage): void {
    for (const { clientId } of subscriptions) {
      const mailbox = this.mailbox(clientId);
      if (mailbox === undefined) continue;
      if (this.#push(mailbox, message) === undefined) this.#stats.queueDrops++;
    }
  }

  /** Undefined if there is no room. */
  #push(mailbox: Mailbox, message: LocalMessage, errand?: Errand): Queued | undefined {
    const { maxQueuedMessages, maxQueuedBytes, maxQueuedBytesTotal } = this.#limits;
    const bytes = Mailbox.bytesOf(message);
    if (
      mailbox.queue.length >= maxQueuedMessages ||
      mailbox.queuedBytes + bytes > maxQueuedBytes ||
      this.#stats.queuedBytes + bytes > maxQueuedBytesTotal
    ) {
      return undefined;
    }
    const queued = this.#state.push(mailbox, message, errand);
    if (mailbox.persistent) {
      const { queueNumber } = queued;
      this.#log.append({
        kind: 'queued',
        clientId: mailbox.clientId,
        queueNumber,
        message: storedMessage(queued),
      });
    }
    return queued;
  }

  // What aedes does with queues.

  /** What is held for the client; undefined: nothing. */
  mailbox(clientId: string): Mailbox | undefined {
    return this.#state.mailboxes.get(clientId);
  }

  get retained(): Pick<RetainedMessages, 'get' | 'matching'> {
    return this.#state.retained;
  }

  /** A queued message is being sent. Returns its packet identifier: the wanted one, or the next that is free. */
  sending(mailbox: Mailbox, queued: Queued, wanted: number): number {
    const packetId = mailbox.identify(queued, wanted);
    this.#log.append({ kind: 'sent', clientId: mailbox.clientId, queueNumber: queued.queueNumber, packetId });
    return packetId;
  }

  /** The subscriber has it: only PUBREL and PUBCOMP are left. Resolves when that is on disk. */
  arrived(clientId: string, queued: Queued): Promise<void> {
    queued.message = undefined;
    this.#log.append({ kind: 'received', clientId, queueNumber: queued.queueNumber });
    return this.synced();
  }

  /** The subscriber has acknowledged it. */
  delivered(mailbox: Mailbox, queued: Queued): void {
    this.#remove(mailbox, queued);
    if (queued.errand !== undefined) settle(queued.errand, 'delivered');
  }

  #remove(mailbox: Mailbox, queued: Queued): void {
    const { clientId, persistent } = mailbox;
    this.#state.remove(mailbox, queued);
    if (persistent) this.#log.append({ kind: 'removed', clientId, queueNumber: queued.queueNumber });
  }

  // Subscriptions.

  /**
   * Resolves, and lets the SUBACK leave, when the subscriptions will outlive the gateway. Only then messages are
   * queued for them: aedes delivers from the next moment on, and what it has not delivered would lie in the queue.
   */
  async subscribe(
    clientId: string,
    subscriptions: readonly { topic: string; qos: 0 | 1 | 2 }[],
  ): Promise<void> {
    const mailbox = this.mailbox(clientId);
    if (mailbox === undefined) return;
    const replaced = new Map<StoredSubscription, StoredSubscription | undefined>();
    for (const { topic, qos } of subscriptions) {
      const previous = mailbox.subscriptions.get(topic);
      // aedes hands over all of a packet's filters for each of them.
      if (previous?.qos === qos) continue;
      this.#change({ kind: 'subscribed', clientId, filter: topic, qos });
      replaced.set(mailbox.subscriptions.get(topic) as StoredSubscription, previous);
    }
    await this.synced();
    for (const [subscription, previous] of replaced) {
      this.#stopQueueing(previous);
      const current = this.mailbox(clientId)?.subscriptions.get(subscription.topic);
      if (current === subscription) this.#startQueueing(subscription);
    }
  }

  unsubscribe(clientId: string, filters: readonly string[]): Promise<void> {
    const mailbox = this.mailbox(clientId);
    for (const filter of filters) {
      const previous = mailbox?.subscriptions.get(filter);
      if (previous === undefined) continue;
      this.#stopQueueing(previous);
      this.#change({ kind: 'unsubscribed', clientId, filter });
    }
    return this.synced();
  }

  /** The persistent sessions that have subscribed to the topic with QoS 1 or 2. */
  subscribersOf(topic: string): StoredSubscription[] {
    const perClient = new Map<string, StoredSubscription>();
    for (const subscription of this.#queueing.match(topic))
      perClient.set(subscription.clientId, subscription);
    return [...perClient.values()];
  }

  /** Resolves when everything up to now is on disk. */
  synced(): Promise<void> {
    return new Promise((resolve) => {
      this.#log.whenSynced(resolve);
    });
  }

  #startQueueing(subscription: StoredSubscription): void {
    if (subscription.qos > 0) this.#queueing.add(subscription.topic, subscription);
    this.#stats.storedSubscriptions = this.#queueing.size;
  }

  #stopQueueing(subscription: StoredSubscription | undefined): void {
    if (subscription !== undefined && subscription.qos > 0) {
      this.#queueing.remove(subscription.topic, subscription);
    }
    this.#stats.storedSubscriptions = this.#queueing.size;
  }
}

function settle(errand: Errand, outcome: SessionOutcome): void {
  const { completed } = errand;
  errand.completed = undefined;
  completed?.(outcome);
}
