import type { Metric } from '../core/metric.ts';
import type { IngressStats } from './stats.ts';
import type { StoreLogStats } from './sessions/store/store-log.ts';

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
