import type { SessionStore } from '../sessions/session-store.ts';
import type { IngressStats } from '../stats.ts';

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
      this.#store.hasSubscribed(client.id, topic);
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
