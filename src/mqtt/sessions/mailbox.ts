import type { SessionMessage, SessionOutcome } from '../../core/device-sessions.ts';
import { sizeOf, type LocalMessage } from '../broker/local-deliveries.ts';

export interface StoredSubscription {
  readonly clientId: string;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
}

/** A message of the gateway's own for one session, and who wants to know what becomes of it. */
export interface Errand {
  readonly message: SessionMessage;
  /** Called once; undefined when it has been: the message is stored. */
  completed: ((outcome: SessionOutcome) => void) | undefined;
}

export interface Queued {
  /** Which one it is, of all of the gateway's. */
  readonly queueNumber: number;
  /** The message itself; gone once the subscriber has it and only PUBREL and PUBCOMP are left. */
  message: LocalMessage | undefined;
  messageId: number | undefined;
  /** The catching up in which it was sent. */
  round: number;
  readonly bytes: number;
  readonly errand: Errand | undefined;
}

/** What bounds the queues of sessions count beside a message's own bytes, for each. */
const QUEUED_OVERHEAD_BYTES = 256;

/** What a session holds for its subscriber: of a persistent one its subscriptions, of all what is queued. */
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
  readonly queue: Queued[] = [];
  /** What has been sent, by packet identifier. */
  readonly sent = new Map<number, Queued>();
  queuedBytes = 0;
  /** No queued message expires earlier; wall clock, ms. */
  nextExpiryMs = Number.POSITIVE_INFINITY;
  /** The subscriber is back and gets its queue; what is published meanwhile goes to the queue's end. */
  catchingUp = false;
  #round = 0;
  /** The queued message that is being sent has been. */
  #sending: (() => void) | undefined;

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

  push(queueNumber: number, message: LocalMessage, errand?: Errand): Queued {
    const queued: Queued = {
      queueNumber,
      message,
      messageId: undefined,
      round: 0,
      bytes: Mailbox.bytesOf(message),
      errand,
    };
    this.queue.push(queued);
    this.queuedBytes += queued.bytes;
    this.nextExpiryMs = Math.min(this.nextExpiryMs, expiryOf(queued));
    return queued;
  }

  remove(queued: Queued): void {
    const index = this.queue.indexOf(queued);
    if (index < 0) return;
    this.queue.splice(index, 1);
    this.queuedBytes -= queued.bytes;
    if (queued.messageId !== undefined) this.sent.delete(queued.messageId);
  }

  /** It is sent under this packet identifier from now on, or under the next that is free. */
  identify(queued: Queued, wanted: number): number {
    let messageId = wanted;
    // aedes counts packet identifiers from a random start in every connection, past those still in use.
    while ((this.sent.get(messageId) ?? queued) !== queued) messageId = (messageId % 65_535) + 1;
    if (queued.messageId !== undefined) this.sent.delete(queued.messageId);
    queued.messageId = messageId;
    this.sent.set(messageId, queued);
    return messageId;
  }

  find(queueNumber: number): Queued | undefined {
    return this.queue.find((queued) => queued.queueNumber === queueNumber);
  }

  /** The message that aedes has numbered so. */
  numbered(brokerId: string | undefined, brokerCounter: number | undefined): Queued | undefined {
    return this.queue.findLast(
      ({ message }) => message?.brokerCounter === brokerCounter && message?.brokerId === brokerId,
    );
  }

  /** What is queued, was never sent, and is of no use any more. */
  expired(wallMs: number): Queued[] {
    if (wallMs < this.nextExpiryMs) return [];
    const waiting = this.queue.filter(({ messageId }) => messageId === undefined);
    const expired = waiting.filter((queued) => expiryOf(queued) <= wallMs);
    this.nextExpiryMs = Math.min(
      ...waiting.map(expiryOf).filter((expiryMs) => expiryMs > wallMs),
      Number.POSITIVE_INFINITY,
    );
    return expired;
  }

  /** The one that {@link catchUp} yielded last has been sent. */
  wasSent(): void {
    this.#sending?.();
  }

  /**
   * Yields the queue's packets one by one, each when the one before was sent; and ends the catching up in the same
   * breath in which it finds nothing more, so that no message is overtaken or sent twice.
   */
  async *catchUp(): AsyncGenerator<object> {
    const round = ++this.#round;
    for (;;) {
      const next = this.queue.find((queued) => queued.round !== round);
      if (next === undefined) break;
      next.round = round;
      const { message, messageId } = next;
      const sent = new Promise<void>((resolve) => {
        this.#sending = resolve;
      });
      yield message === undefined
        ? { cmd: 'pubrel', messageId }
        : // Sent before, it is a repeat ([MQTT-3.3.1-1]); by subscription, it is not "retained" ([MQTT-3.3.1-9]).
          { ...message, messageId, dup: messageId !== undefined, retain: false };
      await sent;
      // The client is gone, and has come again.
      if (this.#round !== round) return;
    }
    this.catchingUp = false;
    this.#sending = undefined;
  }
}

export const expiryOf = ({ errand }: Queued): number =>
  errand?.message.expiresAtMs ?? Number.POSITIVE_INFINITY;
