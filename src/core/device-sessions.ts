/** One Kafka topic whose records are commands to devices. */
export interface CommandSettings {
  /** The Kafka topic. */
  readonly topic: string;
  /**
   * The consumer group. All gateways that may read the topic have the same one, so that a second gateway is
   * noticed.
   */
  readonly group: string;
  /** The header that names the device; undefined: the record's key does. */
  readonly deviceHeader: string | undefined;
  /** Templates of `{device}` and `{correlation}`: the MQTT topic that the device has subscribed to. */
  readonly mqttTopic: string;
  /** Template of `{device}`: the MQTT client id of the device. */
  readonly clientId: string;
  /** The header that tells commands apart and that replies carry again. */
  readonly correlationHeader: string;
  /** How long a command lives after its record's timestamp; undefined: for ever. */
  readonly expiryMs?: number | undefined;
  /** The header that says so for one record, in milliseconds. */
  readonly expiryHeader: string;
  /** The Kafka topic of commands that did not reach their device. */
  readonly undeliveredTopic: string;
  /** How long a command may wait for its PUBACK, or for the session store. */
  readonly ackTimeoutMs: number;
  /** Commands of a partition that may be on their way at once. */
  readonly maxInFlight: number;
  /** How many of them may be one device's. */
  readonly maxInFlightPerDevice: number;
  /** Bytes of all commands on their way, of all partitions. */
  readonly maxInFlightBytes: number;
}

/** A message for one client's session. */
export interface SessionMessage {
  readonly clientId: string;
  readonly topic: string;
  readonly payload: Buffer;
  /** Wall clock, ms since 1970: from then on it is not sent any more. Left out: never. */
  readonly expiresAtMs?: number;
  /** A text by which its sender finds it again later; stored with it. Some dozens of characters at most. */
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
  /** There is no such session, or it ended before the client had the message. */
  | 'no-session'
  /** No subscription of the session with QoS 1 or 2 matches the topic. */
  | 'not-subscribed';

/** Why a stored message will not reach its client after all. */
export type AbandonReason = 'expired' | 'no-session';

/**
 * The sessions of MQTT clients, as the rest of the gateway sees them. A message is published with QoS 1 to one
 * session, in order, whether its client is present or absent.
 */
export interface DeviceSessions {
  /**
   * `completed` is called once, after this call has returned. Its outcome is `delivered` or `stored`, whichever
   * comes first (`stored` only where sessions are kept on disk), or the reason why neither is possible. It is
   * never called once the gateway stops: a caller that has to know asks again after the next start.
   */
  publish(message: SessionMessage, completed: (outcome: SessionOutcome) => void): void;
  /**
   * Tells `listener` of messages that were `stored`, in this life of the gateway or an earlier one, and will not
   * be delivered. The store forgets such a message when `forget` is called. Without that it tells the message
   * again after a restart.
   */
  onAbandoned(listener: (message: SessionMessage, reason: AbandonReason, forget: () => void) => void): void;
}

/** An MQTT connection that a device has made. */
export interface DeviceConnection {
  /** Its client id. */
  readonly deviceId: string;
  /** The name of the listener, e.g. `tcp 127.0.0.1:1883`. */
  readonly listener: string;
  /** Where the device is, e.g. `192.0.2.7:49152`. */
  readonly remote: string;
  /** `3.1` or `3.1.1`. */
  readonly protocolVersion: string;
  /** Seconds; 0: none. */
  readonly keepAliveSeconds: number;
  readonly cleanSession: boolean;
  /** A session was kept from before. */
  readonly sessionPresent: boolean;
}

/** Hears which devices are connected. Called at once, in order for each device; must not throw. */
export interface PresenceObserver {
  connected(connection: DeviceConnection): void;
  /** `reason`: stable word, e.g. `keepalive-timeout`; `willSent`: the device's will was published. */
  disconnected(connection: DeviceConnection, reason: string, willSent: boolean): void;
}
