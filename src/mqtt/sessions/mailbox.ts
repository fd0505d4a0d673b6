import type { SessionMessage, SessionOutcome } from '../../core/device-sessions.ts';
import type { QoS } from '../../core/publication.ts';
import { sizeOf, type Delivery, type LocalMessage } from '../broker/local-message.ts';
import { filterMatches } from '../topics/topic-filter.ts';

export interface StoredSubscription {
  readonly clientId: string;
  readonly topic: string;
  readonly qos: QoS;
}

/** A message of the gateway's own for one session, and who wants to know what becomes of it. */
export interface Errand {
  readonly message: SessionMessage;
  /** Called once; undefined when it has been: the message is stored. */
  completed: ((outcome: SessionOutcome) => void) | undefined;
}

/** A group of sessions that share a subscription, as its members see it. */
export interface Share {
  leave(mailbox: Mailbox): void;
  /** A member has gone without having acknowledged the message. Returns whether another one takes it. */
  redeliver(message: LocalMessage, from: Mailbox): boolean;
}

/** The connection of a session, for what is to be sent by it. */
export interface Outlet {
  /** Its client reads, and more may be sent to it. */
  readonly hasRoom: boolean;
  /** `granted`: the QoS of the subscription; `share`: the group that it came by. */
  take(delivery: Delivery, granted: QoS, share?: Share): void;
  /** A message has been queued for it alone. */
  queued(queued: Queued): void;
}

export interface Queued {
  /** Which one it is, of all of the gateway's. */
  readonly queueNumber: number;
  /** The message itself; gone once the subscriber has it and only PUBREL and PUBCOMP are left. */
  message: LocalMessage | undefined;
  messageId: number | undefined;
  readonly bytes: number;
  /** It outlives the connection, and counts. What is not kept is only on its way to a client that is here. */
  readonly kept: boolean;
  readonly errand: Errand | undefined;
  readonly share: Share | undefined;
}

/** What bounds the queues of sessions count beside a message's own bytes, for each. */
const QUEUED_OVERHEAD_BYTES = 256;
/** Packet identifiers are 1 to this ([MQTT-2.3.1-1]). */
const MAX_PACKET_ID = 65_535;

/**
 * What a session holds for its subscriber, present or absent: its subscriptions, the queue of what is to be sent or not
 * acknowledged yet, and the packet identifiers in use.
 */
export class Mailbox {
  readonly clientId: string;
  /** Its session outlives the connection. */
  readonly persistent: boolean;
  /** Wall clock, ms; 0 while the client is here. */
  absentSinceMs = 0;
  /**
   * The client's own QoS 2 publications whose PUBREC is due, until PUBREL: their numbers by packet identifier, as far as
   * they are stored.
   */
  takenIds: Map<number, number> | undefined;
  /**
   * Publications with this number and those before it that are not among the taken ones are over, or were never
   * confirmed. A client answers PUBRECs in order, so that with a PUBREL all before it are known here.
   */
  settledPublication = 0;
  /** Publications with this number and those before it belong to an earlier session of the client. */
  sincePublication = 0;
  readonly subscriptions = new Map<string, StoredSubscription>();
  /** What they cost, see filterCost. */
  filterLevels = 0;
  /** The groups of its shared subscriptions, by filter. */
  readonly shares = new Map<string, Share>();
  /** In order, by queue number. */
  readonly queue = new Map<number, Queued>();
  /** What has been sent, by packet identifier. */
  readonly sent = new Map<number, Queued>();
  /** Of what is kept. */
  queuedMessages = 0;
  queuedBytes = 0;
  /** No queued message expires earlier; wall clock, ms. */
  nextExpiryMs = Number.POSITIVE_INFINITY;
  /** Where its client is; undefined: away. */
  outlet: Outlet | undefined;
  #lastId = 0;

  constructor(clientId: string, persistent: boolean) {
    this.clientId = clientId;
    this.persistent = persistent;
  }

  static bytesOf(message: { readonly topic: string; readonly payload: Uint8Array }): number {
    return QUEUED_OVERHEAD_BYTES + sizeOf(message);
  }

  /** The session knows of the publication: it is not taken for another one until its PUBREL. */
  take(packetId: number, publicationNumber: number): void {
    this.takenIds ??= new Map();
    this.takenIds.set(packetId, Math.max(publicationNumber, this.takenIds.get(packetId) ?? 0));
  }

  /** PUBREL has come. */
  release(packetId: number): void {
    this.settledPublication = Math.max(this.settledPublication, this.takenIds?.get(packetId) ?? 0);
    this.takenIds?.delete(packetId);
  }

  /** The highest QoS of its subscriptions to the topic; 0 also if there is none. */
  granted(topic: string): QoS {
    let highest: QoS = 0;
    for (const { topic: filter, qos } of this.subscriptions.values()) {
      if (qos > highest && filterMatches(filter, topic)) highest = qos;
    }
    return highest;
  }

  push(queued: Queued): void {
    this.queue.set(queued.queueNumber, queued);
    if (!queued.kept) return;
    this.queuedMessages++;
    this.queuedBytes += queued.bytes;
    this.nextExpiryMs = Math.min(this.nextExpiryMs, expiryOf(queued));
  }

  /** Returns whether it was there. */
  remove(queued: Queued): boolean {
    if (!this.queue.delete(queued.queueNumber)) return false;
    if (queued.messageId !== undefined) this.sent.delete(queued.messageId);
    if (queued.kept) {
      this.queuedMessages--;
      this.queuedBytes -= queued.bytes;
    }
    return true;
  }

  /** There is a packet identifier for another message. */
  get hasIds(): boolean {
    return this.sent.size < MAX_PACKET_ID;
  }

  /** The next packet identifier that is not in use; only while {@link hasIds}. */
  nextId(): number {
    do this.#lastId = (this.#lastId % MAX_PACKET_ID) + 1;
    while (this.sent.has(this.#lastId));
    return this.#lastId;
  }

  /** It is sent under this packet identifier from now on. */
  identify(queued: Queued, packetId: number): void {
    if (queued.messageId !== undefined) this.sent.delete(queued.messageId);
    queued.messageId = packetId;
    this.sent.set(packetId, queued);
  }

  /** What is queued, was never sent, and is of no use any more. */
  expired(wallMs: number): Queued[] {
    if (wallMs < this.nextExpiryMs) return [];
    const waiting = [...this.queue.values()].filter(({ messageId }) => messageId === undefined);
    const expired = waiting.filter((queued) => expiryOf(queued) <= wallMs);
    this.nextExpiryMs = Math.min(
      ...waiting.map(expiryOf).filter((expiryMs) => expiryMs > wallMs),
      Number.POSITIVE_INFINITY,
    );
    return expired;
  }
}

export const expiryOf = ({ errand }: Queued): number =>
  errand?.message.expiresAtMs ?? Number.POSITIVE_INFINITY;
