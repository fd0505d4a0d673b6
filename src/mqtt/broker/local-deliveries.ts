import { FilterTree } from '../topics/topic-filter.ts';

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

/** What bounds of memory count, in bytes. */
export const sizeOf = ({ topic, payload }: { topic: string; payload: Uint8Array }): number =>
  topic.length + payload.length;

/**
 * The bytes in memory of their own, for what is kept. `Buffer.from` cuts small copies from a pool, and one that is kept
 * keeps the pool's 64 KB; a view keeps all that was read with it.
 */
export function ownBytes(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

/** A message that has not been numbered yet. */
export function localMessage(
  topic: string,
  payload: Buffer,
  qos: LocalMessage['qos'],
  retain: boolean,
): LocalMessage {
  return { cmd: 'publish', brokerId: '', brokerCounter: 0, topic, payload, qos, retain, dup: false };
}

/** aedes' hand-over of a message to one subscriber. */
type Deliver = (message: LocalMessage, done: () => void) => void;

/** Under this name all messages are counted, whoever published them. */
const BROKER_ID = 'sluice';

/**
 * The subscriptions of connected clients and the hand-over to them: the emitter that aedes calls `mq`.
 * Written instead of mqemitter because that waits, above its concurrency, for the slowest subscriber before it
 * serves the others, and hides from us whether anybody has subscribed to a topic.
 */
export class LocalDeliveries {
  readonly #subscribers = new FilterTree<Deliver>();
  readonly #failed: (error: unknown) => void;
  #counter = 0;

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  /** Grows whenever {@link deliversTo} may answer differently. */
  get generation(): number {
    return this.#subscribers.generation;
  }

  deliversTo(topic: string): boolean {
    return this.#subscribers.matches(topic);
  }

  on(filter: string, deliver: Deliver, done?: () => void): this {
    this.#subscribers.add(filter, deliver);
    done?.();
    return this;
  }

  removeListener(filter: string, deliver: Deliver, done?: () => void): this {
    this.#subscribers.remove(filter, deliver);
    done?.();
    return this;
  }

  /**
   * Hands the message to its subscribers, which don't hold it up. It is numbered here and not before: aedes'
   * own publications (wills) are numbered several promises earlier, and a subscriber takes a lower number
   * than the last one for a repeat.
   */
  emit(message: LocalMessage, done?: () => void): this {
    // aedes' own announcements, which name every client that comes and goes. Ours have no broker's name yet.
    if (message.brokerId !== '' && message.topic.startsWith('$')) {
      done?.();
      return this;
    }
    this.number(message);
    for (const deliver of this.#subscribers.match(message.topic)) {
      try {
        deliver(message, ignore);
      } catch (error) {
        this.#failed(error);
      }
    }
    done?.();
    return this;
  }

  /** Gives the message the next number. What is handed to a subscriber follows at once. */
  number(message: LocalMessage): void {
    message.brokerId = BROKER_ID;
    message.brokerCounter = ++this.#counter;
  }

  close(done?: () => void): void {
    done?.();
  }
}

const ignore = (): void => {};
