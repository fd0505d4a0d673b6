import type { SessionStore } from '../sessions/session-store.ts';
import type { StoredSubscription } from '../sessions/mailbox.ts';
import type { LocalMessage } from './local-message.ts';

/**
 * An answer that is there at once. aedes' `publish` asks with `then`, a different number of times for each kind of
 * message; with promises messages would overtake each other ([MQTT-4.6.0-5]), and each would cost several.
 */
class Answer<T> implements PromiseLike<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  then<R = T, E = never>(fulfilled?: ((value: T) => R | PromiseLike<R>) | null): PromiseLike<R | E> {
    return new Answer(fulfilled?.(this.#value) as R);
  }
}

const NOTHING = new Answer<void>(undefined);

/**
 * aedes' persistence interface in front of the {@link SessionStore}, as far as its `publish` and its timers ask for it:
 * what is retained, and what is queued for sessions whose clients are away. Connections, and with them what goes out,
 * are ours.
 */
export class BrokerPersistence {
  readonly #store: SessionStore;

  constructor(store: SessionStore) {
    this.#store = store;
  }

  async setup(_broker: unknown): Promise<void> {
    // aedes insists on an async function here.
  }

  storeRetained(message: LocalMessage): PromiseLike<void> {
    this.#store.retain(message);
    return NOTHING;
  }

  subscriptionsByTopic(topic: string): PromiseLike<StoredSubscription[]> {
    return new Answer(this.#store.subscribersOf(topic));
  }

  outgoingEnqueueCombi(
    subscriptions: readonly StoredSubscription[],
    message: LocalMessage,
  ): PromiseLike<void> {
    this.#store.enqueueFor(subscriptions, message);
    return NOTHING;
  }

  /** Wills are the connections'; those of brokers that are gone do not exist. */
  streamWill(): Iterable<never> {
    return [];
  }
}
