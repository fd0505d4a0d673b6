import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { IngressStats } from './stats.ts';

/** What all parts of an ingress work with. */
export interface IngressBasics {
  readonly limits: IngressLimits;
  readonly stats: IngressStats;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The bounds of the ingress. Every one of them protects the other devices from one. */
export interface IngressLimits {
  /**
   * The soft bound: publications of QoS 1 and 2 that one connection may have with the sink. What comes after
   * is still read, and parked. QoS 0 has its own count of sixteen times this, because it waits for no answer.
   */
  readonly inflightQuota: number;
  /** The hard bound: bytes parked at one connection above which its socket isn't read. */
  readonly readAheadBytes: number;
  /** Bytes parked by all connections together; the read-ahead of each shrinks so that the sum stays below. */
  readonly memoryLimitBytes: number;
  /** Largest packet, fixed header included, that is read; a larger one closes its connection. */
  readonly maxPacketBytes: number;
  /** Time from accepting a connection to its CONNECT, in milliseconds. */
  readonly connectTimeoutMs: number;
  /**
   * How long a client is made to wait that was refused, or has broken the protocol, before it is told and its
   * connection ends, in milliseconds; and how many at once. 0: not at all.
   */
  readonly refusalDelayMs: number;
  readonly maxBraked: number;
  /** Connections at once; more are closed as they come. */
  readonly maxConnections: number;
  /** Largest CONNECT packet, will and credentials included, in bytes. */
  readonly maxConnectBytes: number;
  /** How long a CONNECT may wait until the session's previous connection has let go of it, in milliseconds. */
  readonly takeoverTimeoutMs: number;
  /** Distinct topic names that are kept interned. */
  readonly maxTopics: number;
  /** Sessions that are kept for absent clients; the longest absent is forgotten first. */
  readonly maxKeptSessions: number;
  /** Topic filters of one session; a SUBSCRIBE is refused those beyond ([MQTT-3.9.3-1], return code 0x80). */
  readonly maxSubscriptions: number;
  /**
   * What the topic filters of one session may cost, and those of all sessions together, in filter levels: see
   * {@link filterCost}. A SUBSCRIBE is refused those beyond (return code 0x80).
   */
  readonly maxFilterLevels: number;
  readonly maxFilterLevelsTotal: number;
  /** How long the session of an absent client is kept, in milliseconds. */
  readonly sessionExpiryMs: number;
  /** Messages of QoS 1 and 2 kept for one persistent session; further ones are dropped for that session. */
  readonly maxQueuedMessages: number;
  /** Bytes of the messages kept for one persistent session, and for all of them. */
  readonly maxQueuedBytes: number;
  readonly maxQueuedBytesTotal: number;
  /** Retained messages, and bytes of their topics and payloads; what exceeds them is not retained. */
  readonly maxRetainedMessages: number;
  readonly maxRetainedBytes: number;
  /**
   * Bytes waiting to be sent to one subscriber. Above it QoS 0 messages to it are dropped; above twice as
   * much it is disconnected, and a persistent session keeps the rest in its queue.
   */
  readonly maxSubscriberBytes: number;
}

export const DEFAULT_LIMITS: IngressLimits = {
  inflightQuota: 64,
  readAheadBytes: 64 * 1024,
  memoryLimitBytes: 256 * 1024 * 1024,
  maxPacketBytes: 256 * 1024,
  connectTimeoutMs: 10_000,
  refusalDelayMs: 0,
  maxBraked: 1_000,
  maxConnections: 20_000,
  maxConnectBytes: 16 * 1024,
  takeoverTimeoutMs: 5_000,
  maxTopics: 65_536,
  maxKeptSessions: 100_000,
  maxSubscriptions: 1_000,
  maxFilterLevels: 10_000,
  maxFilterLevelsTotal: 100_000,
  sessionExpiryMs: 7 * 24 * 3_600_000,
  maxQueuedMessages: 1_000,
  maxQueuedBytes: 4 * 1024 * 1024,
  maxQueuedBytesTotal: 256 * 1024 * 1024,
  maxRetainedMessages: 100_000,
  maxRetainedBytes: 64 * 1024 * 1024,
  maxSubscriberBytes: 4 * 1024 * 1024,
};

/** The resolution of the clock by which connections keep their times. */
export const TICK_MS = 500;

/** So many ticks are never shorter than the time. */
export const ticksOf = (milliseconds: number): number => Math.ceil(milliseconds / TICK_MS) + 1;
