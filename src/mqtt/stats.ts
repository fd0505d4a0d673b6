import type { Metric, MetricSample } from '../core/metric.ts';
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
  /** It may not come in: its credentials, its will, or its proof has expired. */
  'not-authorised',
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
  /** What the topic filters of all sessions cost, in levels. */
  filterLevels = 0;
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

/** The counts that are plain numbers. */
type Count = {
  [Field in keyof IngressStats]: IngressStats[Field] extends number ? Field : never;
}[keyof IngressStats];

/** What counts are to operators; their metrics have their names, in Prometheus' way of writing. */
const GAUGES: Partial<Record<Count, string>> = {
  connections: 'Open connections.',
  sessions: 'Sessions of connected clients, and those kept for absent ones.',
  absentSessions: 'Sessions kept for absent clients.',
  inFlight: 'Publications that are on their way to Kafka.',
  parkedMessages: 'Publications read, and waiting for room.',
  parkedBytes: 'Memory that holds what was read and not passed on yet.',
  unreadBytes: 'Memory that holds what was read from connections that are not read for now.',
  pausedConnections: 'Connections that are not read for now.',
  retainedMessages: 'Retained messages.',
  retainedBytes: 'Topics and payloads of retained messages.',
  filterLevels: 'Levels of the topic filters of all sessions, which have a bound.',
  storedSubscriptions: 'Subscriptions of persistent sessions with QoS 1 or 2.',
  queuedMessages:
    'Messages of QoS 1 and 2 that sessions owe their clients: not sent yet, or not acknowledged.',
  queuedBytes: 'Memory that holds these messages.',
};

/** As {@link GAUGES}; the metrics' names end in `_total`. */
const COUNTERS: Partial<Record<Count, string>> = {
  connectionsTotal: 'Connections ever opened.',
  sessionsExpired: 'Sessions of clients that did not come back in time.',
  subscriptionsRefused: 'Topic filters beyond what a session, or all of them, may have: refused with 0x80.',
  repeated: 'Publications of QoS 1 and 2 that came again and were not produced twice.',
  wills: 'Wills of connections that ended without DISCONNECT.',
  localDeliveries: 'Publications given to local subscribers, or retained.',
  retainedRejected: 'Messages not retained, the store being full.',
  reservedTopicDrops: 'Publications of clients to $ topics: acknowledged and dropped.',
  subscriberDrops: 'QoS 0 messages that a slow subscriber missed.',
  queueDrops: "Messages that an absent subscriber's full queue did not take.",
  queueExpired: 'Messages for absent clients whose time was over before the client came back.',
  discarded:
    'Parked publications of connections that were taken over: not acknowledged, their device sends them again.',
  untaken:
    'Publications that came while the gateway stopped: not acknowledged, their device sends them again.',
};

/** The ingress's counts, as operators see them. */
export function ingressMetrics(stats: () => Readonly<IngressStats>): Metric[] {
  const plain = (kind: Metric['kind'], counts: Partial<Record<Count, string>>): Metric[] =>
    Object.entries(counts).map(([count, help]) => metric(kind, count, help, () => stats()[count as Count]));
  return [
    ...plain('gauge', GAUGES),
    ...plain('counter', COUNTERS),
    labelled('received', 'Publications received.', 'qos', () => stats().received),
    labelled(
      'acknowledged',
      'QoS 1: PUBACKs sent. QoS 2: PUBRECs sent. QoS 0: publications completed, which nobody is told.',
      'qos',
      () => stats().acknowledged,
    ),
    labelled('connectionsClosed', 'Connections that ended, by reason.', 'reason', () => stats().closed),
  ];
}

/** How the disk does that keeps the sessions; zeros where none does. */
export function storageMetrics(stats: () => Readonly<StoreLogStats> | undefined): Metric[] {
  const [size, groups, failed] = [
    'Size of the file that keeps the sessions.',
    'Groups of changes to sessions that were written to disk.',
    'Writes of sessions to disk that failed, and were tried again.',
  ];
  return [
    metric('gauge', 'sessionStoreBytes', size, () => stats()?.fileBytes ?? 0),
    metric('counter', 'sessionStoreSyncs', groups, () => stats()?.syncs ?? 0),
    metric('counter', 'sessionStoreFailures', failed, () => stats()?.failures ?? 0),
    metric('gauge', 'sessionStoreFailing', '1 while sessions can not be written to disk.', () =>
      stats()?.fault === undefined ? 0 : 1,
    ),
  ];
}

const metric = (kind: Metric['kind'], count: string, help: string, read: Metric['read']): Metric => ({
  name: metricName(kind, count),
  help,
  kind,
  read,
});

/** A counter with a value for each of several things. */
function labelled(
  count: string,
  help: string,
  label: string,
  counts: () => Readonly<Record<string, number>> | readonly number[],
): Metric {
  const read = (): MetricSample[] =>
    Object.entries(counts()).map(([name, value]) => ({ labels: { [label]: name }, value }));
  return { ...metric('counter', count, help, read), labelNames: [label] };
}

function metricName(kind: Metric['kind'], count: string): string {
  const name = count.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return `sluice_mqtt_${name}${kind === 'gauge' || name.endsWith('_total') ? '' : '_total'}`;
}
