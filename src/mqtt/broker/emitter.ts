import type { QoS } from '../../core/publication.ts';
import { FilterTree } from '../topics/topic-filter.ts';
import { Delivery, type LocalMessage } from './local-message.ts';

/** Who is given the messages of a subscription, as aedes' `broker.subscribe` takes it. Their bytes are lent. */
export type Deliver = (
  message: { readonly topic: string; readonly payload: string | Buffer },
  done: () => void,
) => void;

/** A subscriber that may match a message with several filters. */
export interface Recipient {
  /** The emitter's own: for which message it has been marked, and with which QoS. */
  markedFor: number;
  markedQos: QoS;
  /** Is given a message, once, with the highest QoS of what has matched. */
  take(delivery: Delivery, granted: QoS): void;
}

/**
 * The subscriptions of those who are connected, and the hand-over to them: the emitter that aedes calls `mq`.
 * Written instead of mqemitter because that waits, above its concurrency, for the slowest subscriber before it
 * serves the others, and hides from us whether anybody has subscribed to a topic.
 */
export class Emitter {
  readonly #subscribers = new FilterTree<Deliver>();
  /** Topics of aedes' own announcements, which name its instance. */
  readonly #announcements: string;
  readonly #failed: (error: unknown) => void;
  #latest = 0;
  /** The message that is being matched, and who is to have it. */
  #current = 0;
  #marked: Recipient[] = [];

  constructor(brokerId: string, failed: (error: unknown) => void) {
    this.#announcements = `$SYS/${brokerId}/`;
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
   * What a recipient subscribes with, one for each QoS: several matching subscriptions are one delivery, with the
   * highest QoS of them ([MQTT-3.3.5-1]).
   */
  deliverer(recipient: Recipient, qos: QoS): Deliver {
    return (_message, done) => {
      if (recipient.markedFor !== this.#current) {
        recipient.markedFor = this.#current;
        recipient.markedQos = qos;
        this.#marked.push(recipient);
      } else if (recipient.markedQos < qos) recipient.markedQos = qos;
      done();
    };
  }

  /** Hands the message to its subscribers, which don't hold it up. */
  emit(message: LocalMessage, done?: () => void): this {
    if (!message.topic.startsWith(this.#announcements)) this.#handOver(message);
    done?.();
    return this;
  }

  #handOver(message: LocalMessage): void {
    const found = this.#subscribers.match(message.topic);
    if (found.length === 0) return;
    const marked = this.#match(found, message);
    if (marked.length === 0) return;
    const delivery = new Delivery(message);
    // What one of them does may lead to another message, for which the others are marked anew.
    const granted = marked.map(({ markedQos }) => markedQos);
    for (const [index, recipient] of marked.entries()) {
      try {
        recipient.take(delivery, granted[index] as QoS);
      } catch (error) {
        this.#failed(error);
      }
    }
  }

  /** Calls what has matched. Returns the recipients. */
  #match(found: readonly Deliver[], message: LocalMessage): readonly Recipient[] {
    const [outerMarked, outer] = [this.#marked, this.#current];
    const marked = (this.#marked = []);
    this.#current = ++this.#latest;
    for (const deliver of found) {
      try {
        deliver(message, ignore);
      } catch (error) {
        this.#failed(error);
      }
    }
    this.#marked = outerMarked;
    this.#current = outer;
    return marked;
  }

  close(done?: () => void): void {
    done?.();
  }
}

const ignore = (): void => {};
