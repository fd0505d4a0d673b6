import type { AbandonReason, SessionMessage, SessionOutcome } from '../../core/device-sessions.ts';
import { EARLIEST_PLAUSIBLE_MS, type Clock } from '../../core/clock.ts';
import type { PublicationMemory } from '../../core/publication.ts';
import type { IngressBasics, IngressLimits } from '../limits.ts';
import { ownBytes, type LocalMessage } from '../broker/local-message.ts';
import {
  Mailbox,
  type Errand,
  type Outlet,
  type Queued,
  type Share,
  type StoredSubscription,
} from './mailbox.ts';
import { storedMessage, toStored, type KeptState, type RetainedMessages } from './kept-state.ts';
import type { RestoredSession, SessionKeeper } from './session-registry.ts';
import type { IngressStats } from '../stats.ts';
import type { SessionLog } from './store/store-log.ts';
import type { StoreRecord } from './store/store-record.ts';
import type { FilterRequest } from '../protocol/codec.ts';
import { FilterTree, isShared } from '../topics/topic-filter.ts';

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
  /** Subscriptions of absent clients with QoS 1 or 2: what they match is queued. */
  readonly #queueing = new FilterTree<StoredSubscription>();
  #abandonListener: AbandonListener | undefined;

  constructor(state: KeptState, log: SessionLog, { limits, stats, clock }: IngressBasics) {
    this.#state = state;
    this.#log = log;
    this.#limits = limits;
    this.#stats = stats;
    this.#clock = clock;
    for (const mailbox of state.mailboxes.values()) this.#startQueueing(mailbox);
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
    this.#stopQueueing(mailbox);
    for (const share of mailbox.shares.values()) share.leave(mailbox);
    for (const queued of mailbox.queue.values()) this.#abandon(mailbox, queued, 'no-session');
    this.#state.end(mailbox);
    if (mailbox.persistent) this.#log.append({ kind: 'ended', clientId });
  }

  // For the publication lane: at once, without promises.

  /** Grows whenever {@link queuesFor} may answer differently. */
  get generation(): number {
    return this.#queueing.generation;
  }

  /** Whether a session whose client is absent wants messages of this topic. */
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

  /**
   * Queues a message for one session that has a mailbox, and has it sent if its client is here. False: its queue is
   * full.
   */
  post(mailbox: Mailbox, message: SessionMessage, completed: (outcome: SessionOutcome) => void): boolean {
    // Both are kept: one copy, and nothing of what was read with it.
    const payload = ownBytes(message.payload);
    const packet = { topic: message.topic, payload, qos: 1, retain: false } as const;
    const errand: Errand = { message: { ...message, payload }, completed };
    const queued = this.queue(mailbox, packet, { errand });
    if (queued === undefined) return false;
    if (this.#log.durable && mailbox.persistent) {
      this.#log.whenSynced(() => settle(errand, 'stored'));
    }
    mailbox.outlet?.queued(queued);
    return true;
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

  /** Puts the message into the queues of these sessions, for each with no more than the QoS of its subscription. */
  enqueueFor(subscriptions: readonly StoredSubscription[], message: LocalMessage): void {
    if (subscriptions.length === 0) return;
    const payload = ownBytes(message.payload);
    const { topic } = message;
    for (const { clientId, qos: granted } of subscriptions) {
      const mailbox = this.mailbox(clientId);
      const qos = granted < message.qos ? granted : message.qos;
      if (mailbox !== undefined) this.enqueue(mailbox, { topic, payload, qos, retain: false });
    }
  }

  /** Undefined, and counted as dropped, if there is no room. The message's bytes must be its own. */
  enqueue(mailbox: Mailbox, message: LocalMessage, share?: Share): Queued | undefined {
    const queued = this.queue(mailbox, message, { share });
    if (queued === undefined) this.#stats.queueDrops++;
    return queued;
  }

  /** Undefined if there is no room. */
  queue(
    mailbox: Mailbox,
    message: LocalMessage,
    more: { readonly errand?: Errand | undefined; readonly share?: Share | undefined },
  ): Queued | undefined {
    const { maxQueuedMessages, maxQueuedBytes, maxQueuedBytesTotal } = this.#limits;
    const bytes = Mailbox.bytesOf(message);
    if (
      mailbox.queuedMessages >= maxQueuedMessages ||
      mailbox.queuedBytes + bytes > maxQueuedBytes ||
      this.#stats.queuedBytes + bytes > maxQueuedBytesTotal
    ) {
      return undefined;
    }
    const queued = this.#state.push(mailbox, message, { ...more, bytes });
    if (mailbox.persistent) {
      const { clientId } = mailbox;
      const { queueNumber } = queued;
      this.#log.append({ kind: 'queued', clientId, queueNumber, message: storedMessage(queued) });
    }
    return queued;
  }

  /** Takes up what is only on its way to a client that is here. `message` undefined: it is written at once. */
  pass(mailbox: Mailbox, message: LocalMessage | undefined, bytes: number, share?: Share): Queued {
    return this.#state.push(mailbox, message, { kept: false, bytes, share });
  }

  // What connections do with queues.

  /** What is held for the client; undefined: nothing. */
  mailbox(clientId: string): Mailbox | undefined {
    return this.#state.mailboxes.get(clientId);
  }

  /** The client's mailbox, which ends with its connection if there was none. */
  mailboxFor(clientId: string): Mailbox {
    let mailbox = this.mailbox(clientId);
    if (mailbox === undefined) {
      mailbox = new Mailbox(clientId, false);
      this.#state.mailboxes.set(clientId, mailbox);
    }
    return mailbox;
  }

  get retained(): Pick<RetainedMessages, 'get' | 'matching'> {
    return this.#state.retained;
  }

  /** Its client is here: what it has subscribed to is handed to it. */
  present(mailbox: Mailbox, outlet: Outlet): void {
    this.expireIn(mailbox);
    this.#stopQueueing(mailbox);
    mailbox.outlet = outlet;
  }

  /** Its client has gone: what it has subscribed to is queued, if its session is kept. */
  away(mailbox: Mailbox): void {
    mailbox.outlet = undefined;
    for (const queued of mailbox.queue.values()) {
      const { share, message } = queued;
      if (message !== undefined && share?.redeliver(message, mailbox) === true) this.#remove(mailbox, queued);
      else if (!queued.kept) this.#remove(mailbox, queued);
    }
    if (mailbox.persistent) this.#startQueueing(mailbox);
  }

  /** Whether a message must not leave before its packet identifier is on disk. */
  mustSync(mailbox: Mailbox, { message, kept }: Queued): boolean {
    return message?.qos === 2 && kept && mailbox.persistent && this.#log.durable;
  }

  /** A message is being sent, under this packet identifier. */
  sending(mailbox: Mailbox, queued: Queued, packetId: number): void {
    mailbox.identify(queued, packetId);
    const { clientId } = mailbox;
    this.#note(mailbox, queued, { kind: 'sent', clientId, queueNumber: queued.queueNumber, packetId });
  }

  /** The subscriber has it: only PUBREL and PUBCOMP are left. PUBREL is due when `noted` is called. */
  arrived(mailbox: Mailbox, queued: Queued, noted: () => void): void {
    queued.message = undefined;
    const { clientId, persistent } = mailbox;
    this.#note(mailbox, queued, { kind: 'received', clientId, queueNumber: queued.queueNumber });
    if (persistent && queued.kept && this.#log.durable) this.#log.whenSynced(noted);
    else noted();
  }

  /** The subscriber has acknowledged it. */
  delivered(mailbox: Mailbox, queued: Queued): void {
    this.#remove(mailbox, queued);
    if (queued.errand !== undefined) settle(queued.errand, 'delivered');
  }

  #note({ persistent }: Mailbox, { kept }: Queued, record: StoreRecord): void {
    if (persistent && kept) this.#log.append(record);
  }

  #remove(mailbox: Mailbox, queued: Queued): void {
    const { clientId } = mailbox;
    this.#state.remove(mailbox, queued);
    this.#note(mailbox, queued, { kind: 'removed', clientId, queueNumber: queued.queueNumber });
  }

  // Subscriptions.

  hasRoomFor(mailbox: Mailbox, filters: number, levels: number): boolean {
    return this.#state.hasRoomFor(mailbox, filters, levels);
  }

  /**
   * Adds subscriptions, or gives them another QoS. Calls `stored`, at once or later, when they will outlive the
   * gateway, as far as the session does.
   */
  subscribe(mailbox: Mailbox, requests: readonly FilterRequest[], stored: () => void): void {
    const { clientId } = mailbox;
    for (const { filter, qos } of requests) {
      if (mailbox.subscriptions.get(filter)?.qos === qos) continue;
      this.#changeOf(mailbox, { kind: 'subscribed', clientId, filter, qos });
    }
    this.#whenStored(mailbox, stored);
  }

  unsubscribe(mailbox: Mailbox, filters: readonly string[], stored: () => void): void {
    const { clientId } = mailbox;
    for (const filter of filters) {
      if (mailbox.subscriptions.has(filter))
        this.#changeOf(mailbox, { kind: 'unsubscribed', clientId, filter });
      mailbox.shares.get(filter)?.leave(mailbox);
      mailbox.shares.delete(filter);
    }
    this.#whenStored(mailbox, stored);
  }

  #changeOf({ persistent }: Mailbox, record: StoreRecord): void {
    this.#state.apply(record);
    if (persistent) this.#log.append(record);
  }

  #whenStored({ persistent }: Mailbox, stored: () => void): void {
    if (persistent && this.#log.durable) this.#log.whenSynced(stored);
    else stored();
  }

  /** The absent sessions that have subscribed to the topic with QoS 1 or 2, each with its highest. */
  subscribersOf(topic: string): StoredSubscription[] {
    const perClient = new Map<string, StoredSubscription>();
    for (const subscription of this.#queueing.match(topic)) {
      const { clientId, qos } = subscription;
      if (qos > (perClient.get(clientId)?.qos ?? 0)) perClient.set(clientId, subscription);
    }
    return [...perClient.values()];
  }

  #startQueueing({ subscriptions }: Mailbox): void {
    for (const subscription of subscriptions.values()) {
      const { topic, qos } = subscription;
      if (qos > 0 && !isShared(topic)) this.#queueing.add(topic, subscription);
    }
  }

  #stopQueueing({ subscriptions }: Mailbox): void {
    for (const subscription of subscriptions.values())
      this.#queueing.remove(subscription.topic, subscription);
  }
}

function settle(errand: Errand, outcome: SessionOutcome): void {
  const { completed } = errand;
  errand.completed = undefined;
  completed?.(outcome);
}
