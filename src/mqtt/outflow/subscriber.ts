import type { QoS } from '../../core/publication.ts';
import type { Deliver, Recipient } from '../broker/emitter.ts';
import { encodePublish, sizeOf, type Delivery, type LocalMessage } from '../broker/local-message.ts';
import type { LocalBroker } from '../broker/local-broker.ts';
import { MAX_UNSENT_BYTES } from '../connection/read-ahead.ts';
import type { Transport } from '../edge/transport.ts';
import type { IngressLimits } from '../limits.ts';
import { PacketType, type Codec, type ControlPacket, type FilterRequest } from '../protocol/codec.ts';
import type { Mailbox, Outlet, Queued, Share } from '../sessions/mailbox.ts';
import type { IngressStats } from '../stats.ts';
import { filterCost, isShared, plainFilter } from '../topics/topic-filter.ts';
import { Outbox } from './outbox.ts';

/** What all subscribers of an ingress share. */
export interface OutflowContext {
  readonly broker: LocalBroker;
  readonly limits: IngressLimits;
  readonly stats: IngressStats;
}

/** The connection of a subscriber. */
export interface SubscriberOwner {
  readonly transport: Transport;
  /** Whether its client may subscribe to the topic filter. */
  maySubscribe(filter: string): boolean;
  /** The answer to a SUBSCRIBE or UNSUBSCRIBE has left. */
  answered(): void;
  /** Its client does not read what it has subscribed to. */
  tooSlow(waitingBytes: number): void;
  /** A fault of ours. */
  failed(error: unknown): void;
}

/** So many retained messages are sent in one go; and what waits is sent while less than MAX_UNSENT_BYTES are on their way. */
const RETAINED_SLICE = 256;

/** Retained messages on their way to somebody who has subscribed. */
interface RetainedRun {
  readonly messages: Iterator<LocalMessage | undefined, undefined>;
  readonly granted: QoS;
}

/**
 * What goes out to the client of one live connection: the answers to what it asks, messages by subscription with the
 * window of those that it has not acknowledged, and retained messages. What has QoS 1 or 2 goes through its session's
 * {@link Mailbox}, of which a session that is not kept has one only while it has subscribed to something.
 */
export class Subscriber implements Recipient, Outlet {
  markedFor = 0;
  markedQos: QoS = 0;
  readonly #context: OutflowContext;
  readonly #owner: SubscriberOwner;
  readonly #codec: Codec;
  readonly #clientId: string;
  readonly #outbox: Outbox;
  #mailbox: Mailbox | undefined;
  /** By QoS: what it subscribes with, from the first time on. */
  readonly #deliverers: (Deliver | undefined)[] = [];
  /** Queued, and not sent on this connection. */
  readonly #waiting = new Set<Queued>();
  #waitingBytes = 0;
  /** Of what was sent on this connection and is not acknowledged. */
  #openBytes = 0;
  /** What was queued before the client came has not all been sent. */
  #catchingUp = false;
  /** What has been numbered is on its way to the disk, and sent then. */
  #syncing = false;
  readonly #retained: RetainedRun[] = [];
  #goesOn = false;
  #ended = false;

  constructor(context: OutflowContext, owner: SubscriberOwner, codec: Codec, clientId: string) {
    this.#context = context;
    this.#owner = owner;
    this.#codec = codec;
    this.#clientId = clientId;
    this.#outbox = new Outbox(owner.transport, () => {
      if (this.#waiting.size + this.#retained.length > 0) this.#goOnLater();
    });
  }

  /** Lets the client in, and sends what its session owes it. */
  begin(sessionPresent: boolean): void {
    this.#outbox.write(this.#codec.connack(sessionPresent));
    const mailbox = this.#context.broker.store.mailbox(this.#clientId);
    if (mailbox === undefined) return;
    this.#attach(mailbox);
    for (const { topic, qos } of mailbox.subscriptions.values()) {
      if (!isShared(topic)) this.#context.broker.subscribe(topic, this.#deliverer(qos));
    }
    for (const queued of mailbox.queue.values()) {
      lower(queued, mailbox);
      this.#wait(queued);
    }
    this.#catchingUp = this.#waiting.size > 0;
    this.#pump();
  }

  #attach(mailbox: Mailbox): void {
    this.#mailbox = mailbox;
    this.#context.broker.store.present(mailbox, this);
  }

  /** The connection has ended. What the client has not acknowledged stays in its session, if that is kept. */
  end(): void {
    this.#ended = true;
    this.#outbox.close();
    const mailbox = this.#mailbox;
    if (mailbox === undefined) return;
    for (const filter of mailbox.subscriptions.keys()) this.#unsubscribe(filter);
    this.#context.broker.store.away(mailbox);
  }

  // What the client sends.

  /** A control packet of a subscriber. Returns false for one of another kind. */
  receive(packet: ControlPacket): boolean {
    switch (packet.type) {
      case PacketType.Pingreq:
        this.#outbox.write(this.#codec.pingresp);
        return true;
      case PacketType.Puback:
      case PacketType.Pubcomp:
        this.#acknowledged(packet.packetId);
        return true;
      case PacketType.Pubrec:
        this.#arrived(packet.packetId);
        return true;
      case PacketType.Subscribe:
        this.#subscribeTo(packet);
        return true;
      case PacketType.Unsubscribe:
        this.#unsubscribeFrom(packet);
        return true;
      default:
        return false;
    }
  }

  #acknowledged(packetId: number): void {
    const queued = this.#mailbox?.sent.get(packetId);
    if (this.#mailbox === undefined || queued === undefined) return;
    if (!this.#dropWaiting(queued)) this.#openBytes -= queued.bytes;
    this.#context.broker.store.delivered(this.#mailbox, queued);
    this.#pump();
  }

  /** PUBREC: from now on PUBREL is repeated, not the message ([MQTT-4.3.3-1]). An unknown one is answered too. */
  #arrived(packetId: number): void {
    const release = (): void => this.#outbox.write(this.#codec.pubrel(packetId));
    const queued = this.#mailbox?.sent.get(packetId);
    if (this.#mailbox === undefined || queued === undefined) release();
    else this.#context.broker.store.arrived(this.#mailbox, queued, release);
  }

  // Subscriptions.

  #subscribeTo({ packetId, filters }: ControlPacket): void {
    const mailbox = this.#mailbox ?? this.#context.broker.store.mailboxFor(this.#clientId);
    if (this.#mailbox === undefined) this.#attach(mailbox);
    const admitted = new Map<string, FilterRequest>();
    const added = { filters: 0, levels: 0 };
    const granted = filters.map((request) => {
      const isKnown = mailbox.subscriptions.has(request.filter) || admitted.has(request.filter);
      if (!this.#admits(mailbox, request.filter, isKnown, added)) return undefined;
      // Of a filter that comes twice, the last one counts.
      admitted.set(request.filter, request);
      return request.qos;
    });
    const requests = [...admitted.values()];
    this.#context.broker.store.subscribe(mailbox, requests, () => {
      this.#guarded(() => this.#subscribed(mailbox, requests, this.#codec.suback(packetId, granted)));
    });
  }

  /** What was granted is stored: from the SUBACK on it is in force, and then come retained messages. */
  #subscribed(mailbox: Mailbox, requests: readonly FilterRequest[], suback: Buffer): void {
    for (const { filter, qos } of requests) this.#subscribe(mailbox, filter, qos);
    this.#outbox.write(suback);
    for (const { filter, qos } of requests) {
      if (isShared(filter)) continue;
      const messages = this.#context.broker.store.retained.matching(filter);
      this.#retained.push({ messages, granted: qos });
    }
    this.#sendRetained();
    this.#owner.answered();
  }

  /** `added`: by earlier filters of the same packet. */
  #admits(
    mailbox: Mailbox,
    filter: string,
    isKnown: boolean,
    added: { filters: number; levels: number },
  ): boolean {
    const plain = plainFilter(filter);
    if (plain === undefined || !this.#owner.maySubscribe(plain)) return false;
    if (isKnown) return true;
    const { broker, stats } = this.#context;
    const levels = added.levels + filterCost(filter);
    if (!broker.store.hasRoomFor(mailbox, added.filters + 1, levels)) {
      stats.subscriptionsRefused++;
      return false;
    }
    added.filters++;
    added.levels = levels;
    return true;
  }

  #subscribe(mailbox: Mailbox, filter: string, qos: QoS): void {
    const { broker } = this.#context;
    if (isShared(filter)) broker.shared.join(filter, mailbox, qos);
    else {
      this.#unsubscribe(filter);
      broker.subscribe(filter, this.#deliverer(qos));
    }
  }

  #unsubscribeFrom({ packetId, filters }: ControlPacket): void {
    const answer = (): void => {
      this.#guarded(() => {
        this.#outbox.write(this.#codec.unsuback(packetId));
        this.#owner.answered();
      });
    };
    if (this.#mailbox === undefined) {
      answer();
      return;
    }
    const names = filters.map(({ filter }) => filter);
    for (const name of names) this.#unsubscribe(name);
    this.#context.broker.store.unsubscribe(this.#mailbox, names, answer);
  }

  #unsubscribe(filter: string): void {
    for (const deliverer of this.#deliverers) {
      if (deliverer !== undefined) this.#context.broker.unsubscribe(filter, deliverer);
    }
  }

  #deliverer(qos: QoS): Deliver {
    return (this.#deliverers[qos] ??= this.#context.broker.deliverer(this, qos));
  }

  // Messages by subscription.

  get hasRoom(): boolean {
    const { maxSubscriberBytes, maxQueuedMessages } = this.#context.limits;
    const open = this.#mailbox?.sent.size ?? 0;
    return !this.#catchingUp && this.#behindBytes < maxSubscriberBytes && open < maxQueuedMessages;
  }

  /** Bytes that the client has not read. */
  get #behindBytes(): number {
    return this.#outbox.unsentBytes + this.#waitingBytes;
  }

  take(delivery: Delivery, granted: QoS, share?: Share): void {
    const qos = granted < delivery.qos ? granted : delivery.qos;
    if (qos === 0) this.#takeAtMostOnce(delivery);
    else if (this.#mailbox !== undefined) this.#takeQueued(this.#mailbox, delivery, qos, share);
  }

  #takeAtMostOnce(delivery: Delivery): void {
    if (this.#ended) return;
    const behind = this.#behindBytes;
    if (behind > 0 && behind + sizeOf(delivery) > this.#context.limits.maxSubscriberBytes) {
      this.#context.stats.subscriberDrops++;
    } else this.#outbox.publish(delivery.frame(this.#codec, 0), 0);
  }

  #takeQueued(mailbox: Mailbox, delivery: Delivery, qos: QoS, share: Share | undefined): void {
    const { store } = this.#context.broker;
    const isDirect = this.#waiting.size === 0 && this.#maySend(mailbox);
    const kept = mailbox.persistent ? store.enqueue(mailbox, delivery.kept(qos), share) : undefined;
    // What a full queue does not keep is sent all the same, to a client that reads.
    if (kept === undefined && (this.#ended || this.#catchingUp)) return;
    // Written in a moment and never sent again, it is not even copied.
    const message = isDirect && share === undefined ? undefined : delivery.kept(qos);
    const queued = kept ?? store.pass(mailbox, message, sizeOf(delivery), share);
    if (this.#ended) return;
    if (isDirect && !store.mustSync(mailbox, queued)) {
      this.#number(mailbox, queued);
      this.#outbox.publish(delivery.frame(this.#codec, qos), queued.messageId as number);
    } else {
      this.queued(queued);
      this.#watchPace();
    }
  }

  queued(queued: Queued): void {
    this.#wait(queued);
    this.#pump();
  }

  #wait(queued: Queued): void {
    this.#waiting.add(queued);
    this.#waitingBytes += queued.bytes;
  }

  /** Returns whether it waited. */
  #dropWaiting(queued: Queued): boolean {
    if (!this.#waiting.delete(queued)) return false;
    this.#waitingBytes -= queued.bytes;
    return true;
  }

  /** A client that was away may have more waiting for it than one may have that is here. */
  #watchPace(): void {
    const behind = this.#behindBytes;
    if (this.#catchingUp || this.#ended || behind <= 2 * this.#context.limits.maxSubscriberBytes) return;
    this.#owner.tooSlow(behind);
  }

  // The window.

  /** Whether the client reads and acknowledges what it is sent. */
  #maySend(mailbox: Mailbox): boolean {
    return (
      !this.#ended &&
      !this.#syncing &&
      mailbox.hasIds &&
      (this.#catchingUp || this.#openBytes < this.#context.limits.maxSubscriberBytes) &&
      this.#outbox.unsentBytes < MAX_UNSENT_BYTES
    );
  }

  /** Sends what waits, in order, as far as the client reads. */
  #pump(): void {
    const mailbox = this.#mailbox;
    if (mailbox === undefined) return;
    const unsynced: Queued[] = [];
    let unsyncedBytes = 0;
    for (const queued of this.#waiting) {
      if (unsyncedBytes >= MAX_UNSENT_BYTES || !this.#maySend(mailbox)) break;
      this.#dropWaiting(queued);
      // It may have expired.
      if (!mailbox.queue.has(queued.queueNumber)) continue;
      if (unsynced.length > 0 || this.#context.broker.store.mustSync(mailbox, queued)) {
        unsynced.push(queued);
        unsyncedBytes += queued.bytes;
      } else this.#send(mailbox, queued);
    }
    if (this.#waiting.size === 0) {
      this.#catchingUp = false;
      if (this.#retained.length > 0) this.#goOnLater();
    }
    if (unsynced.length > 0) this.#sendSynced(mailbox, unsynced);
    this.#awaitReading();
  }

  /** What is left goes on when the client has read, also where it was acknowledgements that it had not. */
  #awaitReading(): void {
    const isLeft = this.#waiting.size + this.#retained.length > 0;
    if (isLeft && this.#outbox.unsentBytes >= MAX_UNSENT_BYTES) this.#outbox.awaitDrain();
  }

  /**
   * With QoS 2 the disk comes first: after a restart the client must get the same identifier again. What is behind
   * waits too, so that the order stays.
   */
  #sendSynced(mailbox: Mailbox, batch: readonly Queued[]): void {
    this.#syncing = true;
    const repeated = new Set(batch.filter(({ messageId }) => messageId !== undefined));
    for (const queued of batch) this.#number(mailbox, queued);
    this.#context.broker.store.whenKept(() => {
      this.#syncing = false;
      this.#guarded(() => {
        for (const queued of batch) {
          if (mailbox.queue.has(queued.queueNumber)) this.#write(queued, repeated.has(queued));
        }
        this.#pump();
      });
    });
  }

  #send(mailbox: Mailbox, queued: Queued): void {
    const isRepeated = queued.messageId !== undefined;
    this.#number(mailbox, queued);
    this.#write(queued, isRepeated);
  }

  #number(mailbox: Mailbox, queued: Queued): void {
    this.#openBytes += queued.bytes;
    if (queued.messageId === undefined) this.#context.broker.store.sending(mailbox, queued, mailbox.nextId());
  }

  /** Sent before, it is a repeat ([MQTT-3.3.1-1]). */
  #write(queued: Queued, isRepeated: boolean): void {
    const { message, messageId = 0, kept, share } = queued;
    if (message === undefined) this.#outbox.write(this.#codec.pubrel(messageId));
    else this.#outbox.publish(encodePublish(this.#codec, message, isRepeated), messageId);
    if (!kept && share === undefined) queued.message = undefined;
  }

  /** The client has read, or others have had their turn. */
  #goOnLater(): void {
    if (this.#goesOn) return;
    this.#goesOn = true;
    setImmediate(() => {
      this.#goesOn = false;
      this.#guarded(() => {
        this.#pump();
        this.#sendRetained();
      });
    });
  }

  /** Does what had to wait, unless the connection has ended; a fault of ours ends it, and nothing else. */
  #guarded(step: () => void): void {
    if (this.#ended) return;
    try {
      step();
    } catch (error) {
      this.#owner.failed(error);
    }
  }

  // Retained messages.

  /** Sends retained messages, some at a time, as far as the client reads. */
  #sendRetained(): void {
    for (let left = RETAINED_SLICE; left > 0 && this.#mayGoOn; left--) {
      const [run] = this.#retained;
      if (run === undefined) return;
      const { done, value } = run.messages.next();
      if (done === true) this.#retained.shift();
      else if (value === undefined) break;
      else this.#takeRetained(value, run.granted);
    }
    if (this.#retained.length > 0 && this.#mayGoOn) this.#goOnLater();
    else this.#awaitReading();
  }

  /** Otherwise it goes on when the client has read, or when what waits has been sent. */
  get #mayGoOn(): boolean {
    return this.#waiting.size === 0 && this.#outbox.unsentBytes < MAX_UNSENT_BYTES;
  }

  /** It is not kept for a client that goes: with its next SUBSCRIBE it gets what is retained then. */
  #takeRetained(message: LocalMessage, granted: QoS): void {
    const qos = granted < message.qos ? granted : message.qos;
    if (qos === 0) this.#outbox.publish(encodePublish(this.#codec, { ...message, qos }, false), 0);
    else if (this.#mailbox !== undefined) {
      this.queued(this.#context.broker.store.pass(this.#mailbox, { ...message, qos }, sizeOf(message)));
    }
  }
}

/** Versions before kept a message with the QoS of its publication, and it is sent with no more than was granted. */
function lower(queued: Queued, mailbox: Mailbox): void {
  const { message } = queued;
  if (message?.qos === 2 && mailbox.granted(message.topic) === 1) queued.message = { ...message, qos: 1 };
}
