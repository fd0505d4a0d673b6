import type { Acknowledgements } from '../inflow/acknowledgements.ts';
import type { Connection } from './connection.ts';
import type { ConnectRequest } from './control-packets.ts';
import type { Farewell } from './farewell.ts';
import type { LaneContext } from '../inflow/lane-context.ts';
import type { PublicationLane } from '../inflow/publication-lane.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { CloseReason } from '../stats.ts';
import type { Transport } from '../edge/transport.ts';

/** What all connections of an ingress share. */
export interface ConnectionContext extends LaneContext {
  readonly sessions: Sessions;
  /** Counts turns of the keepalive clock, {@link TICK_MS} apart. */
  readonly tick: number;
  /** The lane of the client's previous connection, if it still has something. */
  previousLane(clientId: string): PublicationLane | undefined;
  laneOpened(lane: PublicationLane): void;
  /** Writes the acknowledgements that may leave. */
  writeAcks(acks: Acknowledgements, transport: Transport): void;
  /** A connection's socket is not read any more, or again. */
  paused(connection: Connection, paused: boolean): void;
  reservedTopic(client: string, topic: string): void;
  /** A PUBLISH has come that is not taken any more. Returns that reading goes on. */
  untaken(): true;
  /** Whether one more connection may be made to wait for its end. */
  brake(farewell: Farewell): boolean;
  unbrake(farewell: Farewell): void;
  /** Its CONNACK has said yes. */
  opened(connection: Connection, request: ConnectRequest, sessionPresent: boolean): void;
  /** A connection is closing. `hasWill`: a will that counts for Kafka. */
  closed(connection: Connection, reason: CloseReason, detail: string | undefined, hasWill: boolean): void;
  /** Its socket is closed. */
  gone(connection: Connection): void;
}

/** The keepalive clock's resolution. */
export const TICK_MS = 500;

/** So many ticks are never shorter than the time. */
export const ticksOf = (milliseconds: number): number => Math.ceil(milliseconds / TICK_MS) + 1;
