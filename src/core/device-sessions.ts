/** A message for one client's session. */
export interface SessionMessage {
  readonly clientId: string;
  readonly topic: string;
  readonly payload: Buffer;
  /** Wall clock, ms since 1970: from then on it is not sent any more. Left out: never. */
  readonly expiresAtMs?: number;
  /** Whatever its sender wants to find it by later; stored with it. Some dozens of characters at most. */
  readonly reference: string;
}

/** What became of a message for a session. */
export type SessionOutcome =
  /** The client has answered with PUBACK. */
  | 'delivered'
  /** It is on the gateway's disk, and the session owes it to the client. */
  | 'stored'
  | 'queue-full'
  | 'expired'
  /** There is no such session, or it has ended before the client had the message. */
  | 'no-session'
  /** No subscription of the session with QoS 1 or 2 matches the topic. */
  | 'not-subscribed';

/** Why a stored message will not reach its client after all. */
export type AbandonReason = 'expired' | 'no-session';

/**
 * The sessions of MQTT clients, as the rest of the gateway sees them: publishes with QoS 1 to one of them, in order,
 * present or absent.
 */
export interface DeviceSessions {
  /**
   * `completed` is called once, at the earliest after the return: with `delivered` or `stored`, whichever comes
   * first (`stored` only where sessions are kept on disk), or with what is in the way. It is not called any more
   * once the gateway stops: who has to know asks again after the next start.
   */
  publish(message: SessionMessage, completed: (outcome: SessionOutcome) => void): void;
  /**
   * Has `listener` told of messages that were `stored`, in this life of the gateway or an earlier one, and will not be
   * delivered. The store forgets each of them when `forget` is called, and tells it again after a restart otherwise.
   */
  onAbandoned(listener: (message: SessionMessage, reason: AbandonReason, forget: () => void) => void): void;
}
