import type { QoS } from '../../core/publication.ts';
import type { DeviceMessage } from './device-session.ts';

/** What a link tells the fleet about its connection. */
export interface LinkListener {
  /** Connected, and everything of an earlier connection has been sent again: publish now. */
  up(): void;
  /** The connection is gone; the link is trying again. */
  down(): void;
  /** The broker said a lasting no (CONNACK return code 1, 2, 4 or 5): the link has given up. */
  refused(reason: string): void;
  /** Why there is no connection right now, for a person. */
  trouble(message: string): void;
  /** A message on {@link LinkOptions.commands}. */
  command?(payload: Uint8Array): void;
}

export interface LinkOptions {
  readonly url: string;
  readonly clientId: string;
  readonly qos: QoS;
  /** From the loss of a connection, and from every failed attempt, to the next attempt. */
  readonly reconnectMs: number;
  /** 60 */
  readonly keepaliveSeconds?: number;
  /** The topic of the device's commands, subscribed to before `up`. */
  readonly commands?: string;
  /** The will of the connection that is about to be made; asked once before each. */
  readonly will?: () => DeviceMessage;
}

/** A device's connection to the broker, which lasts over reconnects. */
export interface DeviceLink {
  /**
   * Publishes one message; legal only between `up` and `down`. `settled` is called once: without an error
   * when a QoS 1 message had its PUBACK, a QoS 2 message its PUBCOMP, a QoS 0 message was written. QoS > 0
   * survives lost connections: it is sent again after the next CONNACK.
   */
  publish(topic: string, payload: Uint8Array, settled: (error: Error | undefined) => void): void;
  /** Sends DISCONNECT and closes; within `timeoutMs`, or by force when the broker doesn't play along. */
  end(timeoutMs: number): Promise<void>;
}

/** The listener is not called before this returns. */
export type OpenLink = (options: LinkOptions, listener: LinkListener) => DeviceLink;
