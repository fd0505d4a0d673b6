import type { LatencyPercentiles } from '../../core/latency.ts';
import type { Member } from './member.ts';

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

/** What the devices did, added up. */
export function totals(
  members: readonly Member[],
): Pick<
  FleetSnapshot,
  'connected' | 'refused' | 'sent' | 'acknowledged' | 'inFlight' | 'waiting' | 'lostConnections'
> {
  const total = {
    connected: 0,
    refused: 0,
    sent: 0,
    acknowledged: 0,
    inFlight: 0,
    waiting: 0,
    lostConnections: 0,
  };
  for (const member of members) {
    if (member.isUp) total.connected++;
    if (member.isRefused) total.refused++;
    total.sent += member.sent;
    total.acknowledged += member.acknowledged;
    total.inFlight += member.inFlight;
    total.waiting += member.waiting;
    total.lostConnections += member.lostConnections;
  }
  return total;
}
