import type {
  AbandonReason,
  DeviceSessions,
  SessionMessage,
  SessionOutcome,
} from '../../core/device-sessions.ts';
import { localMessage, ownBytes, type LocalMessage } from '../broker/local-deliveries.ts';
import type { Queued } from './mailbox.ts';
import type { SessionStore } from './session-store.ts';
import { filterMatches } from '../topics/topic-filter.ts';

/** A connected client, as messages to its session see it. */
export interface ConnectedClient {
  readonly clean: boolean;
  /** The highest QoS of its subscriptions to the topic; 0 also if there is none. */
  granted(topic: string): 0 | 1 | 2;
  /** Reserves a packet identifier. */
  nextMessageId(): number;
  /** Sends the message, its queue going first. */
  deliver(message: LocalMessage): void;
}

export interface SessionPostOptions {
  readonly store: SessionStore;
  readonly connected: (clientId: string) => ConnectedClient | undefined;
  /** Whether there is a session, its client present or absent. */
  readonly exists: (clientId: string) => boolean;
  readonly wallMs: () => number;
}

/** Messages to one session: queued there, sent if its client is present, complete with its PUBACK. */
export class SessionPost implements DeviceSessions {
  readonly #options: SessionPostOptions;

  constructor(options: SessionPostOptions) {
    this.#options = options;
  }

  publish(message: SessionMessage, completed: (outcome: SessionOutcome) => void): void {
    const { store } = this.#options;
    const later = (outcome: SessionOutcome): void => {
      queueMicrotask(() => {
        completed(outcome);
      });
    };
    const client = this.#options.connected(message.clientId);
    const obstacle = this.#obstacle(message, client);
    if (obstacle !== undefined) {
      later(obstacle);
      return;
    }
    // Both are kept: one copy, and nothing of what was read with it.
    const payload = ownBytes(message.payload);
    const packet = localMessage(message.topic, payload, 1, false);
    const queued = store.post({ ...message, payload }, packet, later);
    if (queued === undefined) later('queue-full');
    else if (client !== undefined) this.#send(message.clientId, client, queued, packet);
  }

  onAbandoned(listener: (message: SessionMessage, reason: AbandonReason, forget: () => void) => void): void {
    this.#options.store.onAbandoned(listener);
  }

  #obstacle(
    { clientId, topic, expiresAtMs }: SessionMessage,
    client: ConnectedClient | undefined,
  ): SessionOutcome | undefined {
    if (expiresAtMs !== undefined && expiresAtMs <= this.#options.wallMs()) return 'expired';
    if (client === undefined && !this.#options.exists(clientId)) return 'no-session';
    const granted = client === undefined ? this.#storedQos(clientId, topic) : client.granted(topic);
    return granted > 0 ? undefined : 'not-subscribed';
  }

  #storedQos(clientId: string, topic: string): number {
    let highest = 0;
    for (const { topic: filter, qos } of this.#options.store.mailbox(clientId)?.subscriptions.values() ??
      []) {
      if (qos > highest && filterMatches(filter, topic)) highest = qos;
    }
    return highest;
  }

  #send(clientId: string, client: ConnectedClient, queued: Queued, packet: LocalMessage): void {
    // aedes tells the store what it sends to a persistent session under which identifier, and only there.
    const sent = client.clean
      ? {
          ...packet,
          messageId: this.#options.store.mailbox(clientId)?.identify(queued, client.nextMessageId()),
        }
      : packet;
    client.deliver(sent);
  }
}
