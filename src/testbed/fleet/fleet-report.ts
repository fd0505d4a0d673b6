import { count } from '../../cli/terminal/terminal-text.ts';
import type { LatencyPercentiles } from '../../core/latency.ts';

export interface FleetSnapshot {
  readonly phase: 'connecting' | 'publishing' | 'draining' | 'ended';
  /** Milliseconds of publishing so far. */
  readonly publishingMs: number;
  readonly devices: number;
  readonly connected: number;
  /** Devices that the broker refuses, and which have given up. */
  readonly refused: number;
  readonly sent: number;
  /** QoS > 0 only; each message once, however often it was sent again. */
  readonly acknowledged: number;
  readonly inFlight: number;
  /** Messages that devices keep back: without a connection, or because their windows are full. */
  readonly waiting: number;
  /** Turns that could not be taken: the device had no connection, or its window was full. */
  readonly missed: number;
  /** Connections that ended without being asked to. */
  readonly lostConnections: number;
  /** PUBLISH to PUBACK (QoS 2: PUBCOMP), since the start. */
  readonly latency: LatencyPercentiles;
  /** Why a device has no connection, in the words of the latest failure. */
  readonly trouble: string | undefined;
}

export interface FleetSummary extends FleetSnapshot {
  /** Sent at QoS > 0, and not acknowledged by the end. */
  readonly unacknowledged: number;
  /** Of `count`, what was not sent at all. */
  readonly unsent: number;
  /** Why devices were refused, each reason with the number of devices. */
  readonly refusals: ReadonlyMap<string, number>;
  /** Everything asked for was sent, and acknowledged if the QoS has acknowledgements. */
  readonly complete: boolean;
}

/**
 * What a running fleet is doing, on one line without a newline. `perSecond` is the rate of the last moment.
 * What matters most comes first: a narrow terminal cuts the end off.
 */
export function progressText(now: FleetSnapshot, recent: LatencyPercentiles, perSecond: number): string {
  const connected = `${count(now.connected)}/${count(now.devices)} devices connected`;
  const trouble = now.trouble === undefined ? '' : `: ${now.trouble}`;
  if (now.phase === 'connecting') return `${connected}${trouble}`;
  const parts = [
    `${count(Math.round(perSecond))}/s`,
    `sent ${count(now.sent)}`,
    `acknowledged ${count(now.acknowledged)}`,
    `PUBACK p50 ${milliseconds(recent.p50Ms)} p99 ${milliseconds(recent.p99Ms)}`,
    `in flight ${count(now.inFlight)}`,
  ];
  if (now.phase === 'publishing' && now.connected < now.devices) parts.unshift(`${connected}${trouble}`);
  return parts.join('  ');
}

/** What a fleet did, in a few lines, each with its newline. */
export function summaryText(summary: FleetSummary, qos: number): string {
  const seconds = summary.publishingMs / 1000;
  const perSecond = seconds > 0 ? `, ${count(Math.round(summary.sent / seconds))}/s` : '';
  const rows = [
    [
      'Sent',
      `${count(summary.sent)} messages by ${devices(summary.devices)} in ${seconds.toFixed(1)} s${perSecond}`,
    ],
    ['Acknowledged', acknowledgedText(summary, qos)],
  ];
  if (summary.latency.p50Ms !== undefined) rows.push(['PUBACK after', latencyText(summary.latency)]);
  if (summary.unsent > 0) rows.push(['Not sent', `${count(summary.unsent)} of the messages asked for`]);
  if (summary.missed > 0) {
    const why = 'turns that a device could not take: not connected, or its window was full';
    rows.push(['Missed', `${count(summary.missed)} ${why}`]);
  }
  if (summary.lostConnections > 0) {
    rows.push(['Connections', `${count(summary.lostConnections)} lost on the way`]);
  }
  for (const [reason, number] of summary.refusals) rows.push(['Refused', `${devices(number)}: ${reason}`]);
  return rows.map(([name = '', text = '']) => `${name.padEnd(14)}${text}\n`).join('');
}

/** The same for machines: plain numbers, times in milliseconds. */
export function summaryJson(summary: FleetSummary, qos: number): string {
  const { refusals, ...rest } = summary;
  return JSON.stringify({ ...rest, qos, refusals: Object.fromEntries(refusals) });
}

function acknowledgedText(summary: FleetSummary, qos: number): string {
  if (qos === 0) return 'nothing: QoS 0 has no acknowledgements';
  const missing = summary.unacknowledged;
  const verdict = missing === 0 ? 'all of them' : `${count(missing)} are missing`;
  return `${count(summary.acknowledged)}, ${verdict} (QoS ${qos})`;
}

function latencyText({ p50Ms, p99Ms, p999Ms, maxMs }: LatencyPercentiles): string {
  return [
    `p50 ${milliseconds(p50Ms)}`,
    `p99 ${milliseconds(p99Ms)}`,
    `p99.9 ${milliseconds(p999Ms)}`,
    `max ${milliseconds(maxMs)}`,
  ].join('  ');
}

function milliseconds(value: number | undefined): string {
  return value === undefined ? '-' : `${value.toFixed(value < 100 ? 1 : 0)} ms`;
}

function devices(number: number): string {
  return number === 1 ? '1 device' : `${count(number)} devices`;
}
