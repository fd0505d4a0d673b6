import type { Metric } from '../core/metric.ts';
import type { StoreLogStats } from './sessions/store/store-log.ts';

/** Why connections end. Stable: logs and metrics carry these words. */
const CLOSE_REASONS = [
  /** DISCONNECT: as it should be. */
  'disconnected',
  /** The client or the network closed the connection without DISCONNECT. */
  'connection-lost',
  /** Nothing came for one and a half keepalive intervals ([MQTT-3.1.2-24]). */
  'keepalive-timeout',
  /** No CONNECT in time ([MQTT-3.1.0-1]). */
  'connect-timeout',
  /** What must come before MQTT is wrong: the PROXY header, TLS, the WebSocket's handshake. */
  'handshake-failed',
  'protocol-violation',
  'packet-too-large',
  /** MQTT 5, or something that is no MQTT we know. */
  'unsupported-version',
  'identifier-rejected',
  /** aedes refused the CONNECT. */
  'not-authorised',
  /** aedes ended the connection after a packet; the log says which. */
  'broker-refused',
  /** A publication may not be published: the only "no" of MQTT 3.1.1 ([MQTT-3.3.5-2]). */
  'refused',
  /** The client id has connected again ([MQTT-3.1.4-2]). */
  'taken-over',
  /** Its previous connection did not let go in time, or still holds too much. */
  'session-busy',
  /** A subscriber that does not read what it subscribed to. */
  'slow-subscriber',
  'out-of-memory',
  'too-many-connections',
  'stopped',
  /** A fault of ours; the log says which. */
  'internal-error',
] as const;

export type CloseReason = (typeof CLOSE_REASONS)[number];

/** Counts of the ingress: plain numbers, to be read at any time. */
export class IngressStats {
  /** Open connections, and those ever opened. */
  connections = 0;
  connectionsTotal = 0;
  /** Sessions: of connected clients, and kept ones of absent clients. */
  sessions = 0;
  /** Those of absent clients alone. */
  absentSessions = 0;
  /** Sessions of clients that did not come back in time. */
  sessionsExpired = 0;
  /** Publications received, by QoS. */
  readonly received: [number, number, number] = [0, 0, 0];
  /** Other packets than PUBLISH, CONNECT included. */
  controlPackets = 0;
  /** By QoS: publications of QoS 0 completed, PUBACKs and PUBRECs handed to the socket. */
  readonly acknowledged: [number, number, number] = [0, 0, 0];
  /** Publications of QoS 1 and 2 that were repeated, and not handed to the sink again. */
  repeated = 0;
  /** Wills of connections that ended without DISCONNECT: on their way to the sink, or there. */
  wills = 0;
  /** Publications that the sink has. */
  inFlight = 0;
  parkedMessages = 0;
  /** Memory that holds what was read and not passed on yet. */
  parkedBytes = 0;
  pausedConnections = 0;
  /** Bytes that Node has read from paused connections; looked up twice a second. */
  unreadBytes = 0;
  /** Publications that were delivered to local subscribers or stored as retained. */
  localDeliveries = 0;
  retainedMessages = 0;
  /** Of their topics and payloads. */
  retainedBytes = 0;
  /** Retained messages that were not stored because the store is full. */
  retainedRejected = 0;
  /** Publications to `$` topics: acknowledged, dropped. */
  reservedTopicDrops = 0;
  /** QoS 0 messages that a slow subscriber missed. */
  subscriberDrops = 0;
  /** Messages of QoS 1 and 2 that sessions owe their clients: not sent yet, or not acknowledged. */
  queuedMessages = 0;
  queuedBytes = 0;
  /** Messages that a full offline queue did not take. */
  queueDrops = 0;
  /** Messages for absent clients that were of no use any more. */
  queueExpired = 0;
  /** Filters of SUBSCRIBEs that were refused, because their session has as many as it may. */
  subscriptionsRefused = 0;
  /** Subscriptions of persistent sessions with QoS 1 or 2. */
  storedSubscriptions = 0;
  /** Publications of taken-over connections that were parked; their device sends them again. */
  discarded = 0;
  /** Publications that came while the gateway stopped; their device sends them again. */
  untaken = 0;
  readonly closed = Object.fromEntries(CLOSE_REASONS.map((reason) => [reason, 0])) as Record<
    CloseReason,
    number
  >;
}

const counter = (name: string, help: string, read: () => number): Metric => ({
  name: `sluice_mqtt_${name}`,
  help,
  kind: 'counter',
  read,
});

const gauge = (name: string, help: string, read: () => number): Metric => ({
  name: `sluice_mqtt_${name}`,
  help,
  kind: 'gauge',
  read,
});

/** How the disk does that keeps the sessions; zeros where none does. */
export function storageMetrics(stats: () => Readonly<StoreLogStats> | undefined): Metric[] {
  return [
    gauge('session_store_bytes', 'Size of the file that keeps the sessions.', () => stats()?.fileBytes ?? 0),
    counter(
      'session_store_syncs_total',
      'Groups of changes to sessions that were written to disk.',
      () => stats()?.syncs ?? 0,
    ),
    counter(
      'session_store_failures_total',
      'Writes of sessions to disk that failed, and were tried again.',
      () => stats()?.failures ?? 0,
    ),
    gauge('session_store_failing', '1 while sessions can not be written to disk.', () =>
      stats()?.fault === undefined ? 0 : 1,
    ),
  ];
}

/** The ingress's counts, as operators see them. */
export function ingressMetrics(stats: () => Readonly<IngressStats>): Metric[] {
  return [
    gauge('connections', 'Open connections.', () => stats().connections),
    counter('connections_total', 'Connections ever opened.', () => stats().connectionsTotal),
    gauge(
      'sessions',
      'Sessions of connected clients, and those kept for absent ones.',
      () => stats().sessions,
    ),
    gauge('absent_sessions', 'Sessions kept for absent clients.', () => stats().absentSessions),
    counter(
      'sessions_expired_total',
      'Sessions of clients that did not come back in time.',
      () => stats().sessionsExpired,
    ),
    counter(
      'subscriptions_refused_total',
      'Topic filters beyond what a session may have, refused with 0x80.',
      () => stats().subscriptionsRefused,
    ),
    byQos('received', 'Publications received.', () => stats().received),
    byQos(
      'acknowledged',
      'QoS 1: PUBACKs sent. QoS 2: PUBRECs sent. QoS 0: publications completed, which nobody is told.',
      () => stats().acknowledged,
    ),
    counter(
      'repeated_total',
      'Publications of QoS 1 and 2 that came again and were not produced twice.',
      () => stats().repeated,
    ),
    counter('wills_total', 'Wills of connections that ended without DISCONNECT.', () => stats().wills),
    gauge('in_flight', 'Publications that are on their way to Kafka.', () => stats().inFlight),
    gauge('parked_messages', 'Publications read, and waiting for room.', () => stats().parkedMessages),
    gauge(
      'parked_bytes',
      'Memory that holds what was read and not passed on yet.',
      () => stats().parkedBytes,
    ),
    gauge(
      'unread_bytes',
      'Memory that holds what was read from connections that are not read for now.',
      () => stats().unreadBytes,
    ),
    gauge('paused_connections', 'Connections that are not read for now.', () => stats().pausedConnections),
    counter(
      'local_deliveries_total',
      'Publications given to local subscribers, or retained.',
      () => stats().localDeliveries,
    ),
    gauge('retained_messages', 'Retained messages.', () => stats().retainedMessages),
    gauge('retained_bytes', 'Topics and payloads of retained messages.', () => stats().retainedBytes),
    counter(
      'retained_rejected_total',
      'Messages not retained, the store being full.',
      () => stats().retainedRejected,
    ),
    counter(
      'reserved_topic_drops_total',
      'Publications of clients to $ topics: acknowledged and dropped.',
      () => stats().reservedTopicDrops,
    ),
    counter(
      'subscriber_drops_total',
      'QoS 0 messages that a slow subscriber missed.',
      () => stats().subscriberDrops,
    ),
    gauge(
      'stored_subscriptions',
      'Subscriptions of persistent sessions with QoS 1 or 2.',
      () => stats().storedSubscriptions,
    ),
    gauge(
      'queued_messages',
      'Messages of QoS 1 and 2 that sessions owe their clients: not sent yet, or not acknowledged.',
      () => stats().queuedMessages,
    ),
    gauge('queued_bytes', 'Memory that holds these messages.', () => stats().queuedBytes),
    counter(
      'queue_drops_total',
      "Messages that an absent subscriber's full queue did not take.",
      () => stats().queueDrops,
    ),
    counter(
      'queue_expired_total',
      'Messages for absent clients whose time was over before the client came back.',
      () => stats().queueExpired,
    ),
    counter(
      'discarded_total',
      'Parked publications of connections that were taken over: not acknowledged, their device sends them again.',
      () => stats().discarded,
    ),
    counter(
      'untaken_total',
      'Publications that came while the gateway stopped: not acknowledged, their device sends them again.',
      () => stats().untaken,
    ),
    {
      name: 'sluice_mqtt_connections_closed_total',
      help: 'Connections that ended, by reason.',
      kind: 'counter',
      labelNames: ['reason'],
      read: () => Object.entries(stats().closed).map(([reason, value]) => ({ labels: { reason }, value })),
    },
  ];
}

function byQos(name: string, help: string, counts: () => readonly number[]): Metric {
  return {
    name: `sluice_mqtt_${name}_total`,
    help,
    kind: 'counter',
    labelNames: ['qos'],
    read: () => counts().map((value, qos) => ({ labels: { qos: String(qos) }, value })),
  };
}
