import type { Clock } from '../../core/clock.ts';
import type {
  AbandonReason,
  DeviceSessions,
  SessionMessage,
  SessionOutcome,
} from '../../core/device-sessions.ts';
import type { SessionRegistry } from './session-registry.ts';
import type { SessionStore } from './session-store.ts';

/** Messages to one session: queued there, sent if its client is present, complete with its PUBACK. */
export class SessionPost implements DeviceSessions {
  readonly #store: SessionStore;
  readonly #sessions: Pick<SessionRegistry, 'exists'>;
  readonly #clock: Pick<Clock, 'wallMs'>;

  constructor(store: SessionStore, sessions: Pick<SessionRegistry, 'exists'>, clock: Pick<Clock, 'wallMs'>) {
    this.#store = store;
    this.#sessions = sessions;
    this.#clock = clock;
  }

  publish(message: SessionMessage, completed: (outcome: SessionOutcome) => void): void {
    const later = (outcome: SessionOutcome): void => {
      queueMicrotask(() => completed(outcome));
    };
    const { clientId, topic, expiresAtMs } = message;
    const mailbox = this.#store.mailbox(clientId);
    if (expiresAtMs !== undefined && expiresAtMs <= this.#clock.wallMs()) later('expired');
    else if (!this.#sessions.exists(clientId)) later('no-session');
    else if (mailbox === undefined || mailbox.granted(topic) === 0) later('not-subscribed');
    else if (!this.#store.post(mailbox, message, later)) later('queue-full');
  }

  onAbandoned(listener: (message: SessionMessage, reason: AbandonReason, forget: () => void) => void): void {
    this.#store.onAbandoned(listener);
  }
}
