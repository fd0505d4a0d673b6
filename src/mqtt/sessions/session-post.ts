import type { Clock } from '../../core/clock.ts';
import type {
  AbandonReason,
  DeviceSessions,
  SessionMessage,
  SessionOutcome,
} from '../../core/device-sessions.ts';
import { localMessage, ownBytes, type LocalMessage } from '../broker/local-deliveries.ts';
import type { Queued } from './mailbox.ts';
import type { SessionRegistry } from './session-registry.ts';
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

/** Who has the store, and the clients that are connected. */
export interface PostOffice {
  readonly store: SessionStore;
  client(clientId: string): ConnectedClient | undefined;
}

/** Messages to one session: queued there, sent if its client is present, complete with its PUBACK. */
export class SessionPost implements DeviceSessions {
  readonly #office: PostOffice;
  readonly #sessions: Pick<SessionRegistry, 'exists'>;
  readonly #clock: Pick<Clock, 'wallMs'>;

  constructor(office: PostOffice, sessions: Pick<SessionRegistry, 'exists'>, clock: Pick<Clock, 'wallMs'>) {
    this.#office = office;
    this.#sessions = sessions;
    this.#clock = clock;
  }

  publish(message: SessionMessage, completed: (outcome: SessionOutcome) => void): void {
    const { store } = this.#office;
    const later = (outcome: SessionOutcome): void => {
      queueMicrotask(() => {
        completed(outcome);
      });
    };
    const client = this.#office.client(message.clientId);
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
    this.#office.store.onAbandoned(listener);
  }

  #obstacle(
    { clientId, topic, expiresAtMs }: SessionMessage,
    client: ConnectedClient | undefined,
  ): SessionOutcome | undefined {
    if (expiresAtMs !== undefined && expiresAtMs <= this.#clock.wallMs()) return 'expired';
    if (client === undefined && !this.#sessions.exists(clientId)) return 'no-session';
    const granted = client === undefined ? this.#storedQos(clientId, topic) : client.granted(topic);
    return granted > 0 ? undefined : 'not-subscribed';
  }

  #storedQos(clientId: string, topic: string): number {
    let highest = 0;
    const subscriptions = this.#office.store.mailbox(clientId)?.subscriptions;
    for (const { topic: filter, qos } of subscriptions?.values() ?? []) {
      if (qos > highest && filterMatches(filter, topic)) highest = qos;
    }
    return highest;
  }

  #send(clientId: string, client: ConnectedClient, queued: Queued, packet: LocalMessage): void {
    // aedes tells the store what it sends to a persistent session under which identifier, and only there.
    if (!client.clean) client.deliver(packet);
    else {
      const mailbox = this.#office.store.mailbox(clientId);
      client.deliver({ ...packet, messageId: mailbox?.identify(queued, client.nextMessageId()) });
    }
  }
}
