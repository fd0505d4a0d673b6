import { randomInt } from 'node:crypto';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { DeviceConnection, PresenceObserver } from '../../core/device-sessions.ts';
import type { Logger } from '../../core/logger.ts';
import { everybody, everything, type Authenticator, type Permissions } from '../../core/principal.ts';
import type { Publication, PublicationSink } from '../../core/publication.ts';
import type { LocalBroker } from '../broker/local-broker.ts';
import type { HandshakeEnd } from '../edge/handshakes.ts';
import type { Transport } from '../edge/transport.ts';
import { AckWriter } from '../inflow/acknowledgements.ts';
import { PublishFrame } from '../inflow/parked-frames.ts';
import type { PublicationLane } from '../inflow/publication-lane.ts';
import { TopicTable, type InternedTopic } from '../topics/topic-table.ts';
import { TICK_MS, type IngressBasics, type IngressLimits } from '../limits.ts';
import { SessionRegistry } from '../sessions/session-registry.ts';
import type { CloseReason, IngressStats } from '../stats.ts';
import { Connection, type ConnectionContext } from './connection.ts';
import type { ConnectRequest } from '../protocol/connect.ts';
import { ReadAhead } from './read-ahead.ts';

export interface HubOptions extends IngressBasics {
  /** Left out: everybody is let in, and may do everything. */
  readonly authenticator?: Authenticator | undefined;
  readonly permissions?: Permissions | undefined;
  readonly presence?: PresenceObserver | undefined;
  readonly sink: PublicationSink;
  readonly broker: LocalBroker;
}

const LOG_WINDOW_TICKS = 60_000 / TICK_MS;
const EXPIRY_TICKS = 1_000 / TICK_MS;

/** Ends that are nobody's fault and not worth a warning. */
const QUIET: ReadonlySet<CloseReason> = new Set(['disconnected', 'connection-lost', 'taken-over', 'stopped']);

/** All connections of an ingress, what they share, and their common turns and clock. */
export class ConnectionHub implements ConnectionContext {
  readonly sink: PublicationSink;
  readonly limits: IngressLimits;
  readonly broker: LocalBroker;
  readonly stats: IngressStats;
  readonly logger: Logger;
  readonly topics: TopicTable;
  readonly memory: ReadAhead;
  readonly sessions: SessionRegistry;
  readonly authenticator: Authenticator;
  readonly permissions: Permissions;
  readonly ackWriter: AckWriter;
  readonly publication = new BorrowedPublication();
  readonly frame = new PublishFrame();
  accepting = false;
  receivedAtMs = 0;
  tick = 0;
  taking = true;
  readonly connections = new Set<Connection>();
  readonly #paused = new Set<Connection>();
  readonly #presence: PresenceObserver | undefined;
  /** What the observer of presence was told of, and is to be told the end of. */
  readonly #announced = new Map<Connection, DeviceConnection>();
  braked = 0;
  readonly #clock: Clock;
  readonly #log: WindowedLog;
  /** Lanes by client id: the latest that is not finished. */
  readonly #lanes = new Map<string, PublicationLane>();
  #openLanes = 0;
  /** All connections were paused for want of memory. */
  #starved = false;
  #due: PublicationLane[] = [];
  #turnScheduled = false;
  #cancelTick: Cancel;
  /** Called when there may be nothing left to wait for. */
  #turned: (() => void)[] = [];

  constructor(options: HubOptions) {
    const { presence, limits, sink, broker, stats, clock, logger } = options;
    this.authenticator = options.authenticator ?? everybody;
    this.permissions = options.permissions ?? everything;
    this.#presence = presence;
    this.sink = sink;
    this.limits = limits;
    this.broker = broker;
    this.stats = stats;
    this.logger = logger;
    this.#clock = clock;
    this.#log = new WindowedLog(logger);
    this.topics = new TopicTable(limits.maxTopics, randomInt(2 ** 32));
    this.ackWriter = new AckWriter(stats);
    this.memory = new ReadAhead(limits, stats);
    this.sessions = new SessionRegistry(options, broker.store);
    this.sessions.restore(broker.store.restored());
    this.#cancelTick = this.#scheduleTick();
  }

  /** Takes a connection. Returns what is to be called with the bytes of each read. */
  accept(transport: Transport, remote: string, listener = ''): (bytes: Buffer) => void {
    const connection = new Connection(transport, remote, this, listener);
    this.connections.add(connection);
    this.stats.connectionsTotal++;
    this.#countHolders();
    if (this.connections.size > this.limits.maxConnections) connection.stop('too-many-connections');
    else if (!this.taking) connection.stop('stopped');
    return (bytes) => {
      connection.receive(bytes);
      if (this.memory.exhausted) {
        this.#starved = true;
        this.pauseAll();
      }
    };
  }

  pauseAll(): void {
    for (const connection of this.connections) connection.pause();
  }

  /** Nothing received is on its way any more, and no turn is due. */
  get idle(): boolean {
    return this.stats.inFlight + this.stats.parkedMessages + this.#due.length === 0;
  }

  /** Resolves after the next turn. */
  nextTurn(): Promise<void> {
    return new Promise((resolve) => {
      this.#turned.push(resolve);
    });
  }

  stopClock(): void {
    this.#cancelTick();
  }

  // Turns: what completions lead to, once for all of them.

  schedule(lane: PublicationLane): void {
    if (lane.scheduled) return;
    lane.scheduled = true;
    this.#due.push(lane);
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#turnScheduled = false;
    const due = this.#due;
    this.#due = [];
    for (const lane of due) {
      lane.scheduled = false;
      try {
        lane.turn();
      } catch (error) {
        lane.fail(error);
      }
    }
    if (this.#starved && this.memory.recovered) {
      this.#starved = false;
      for (const connection of this.#paused) connection.unblocked();
    }
    const turned = this.#turned;
    if (turned.length === 0) return;
    this.#turned = [];
    for (const resolve of turned) resolve();
  };

  // Lanes.

  previousLane(clientId: string): PublicationLane | undefined {
    return this.#lanes.get(clientId);
  }

  laneOpened(lane: PublicationLane): void {
    this.#lanes.set(lane.session.clientId, lane);
    this.#openLanes++;
    this.#countHolders();
  }

  finished(lane: PublicationLane, before: PublicationLane | undefined): void {
    const { clientId } = lane.session;
    if (this.#lanes.get(clientId) === lane) {
      if (before === undefined) this.#lanes.delete(clientId);
      else this.#lanes.set(clientId, before);
    }
    this.#openLanes--;
    this.#countHolders();
  }

  /** As if the sink had told each of them of room. */
  resumeLanes(): void {
    for (const latest of [...this.#lanes.values()]) {
      let lane: PublicationLane | undefined = latest;
      for (; lane !== undefined; lane = lane.predecessor) lane.resume();
    }
  }

  #countHolders(): void {
    // A connection without lane may hold bytes too, and a lane whose connection is gone.
    this.stats.connections = this.connections.size;
    this.memory.holders = Math.max(this.connections.size, this.#openLanes);
  }

  // Connections.

  wallMs(): number {
    return this.#clock.wallMs();
  }

  paused(connection: Connection, isPaused: boolean): void {
    if (isPaused) this.#paused.add(connection);
    else this.#paused.delete(connection);
    this.stats.pausedConnections = this.#paused.size;
  }

  reservedTopic(clientId: string, topic: string): void {
    this.#log.warn(clientId, 'reserved', { topic }, 'clients may not publish to $ topics: dropped');
  }

  opened(connection: Connection, request: ConnectRequest, sessionPresent: boolean): void {
    if (this.#presence === undefined) return;
    const { clientId, codec, keepAliveSeconds, clean } = request;
    const device: DeviceConnection = {
      deviceId: clientId,
      listener: connection.listener,
      remote: connection.remote,
      protocolVersion: codec.version,
      keepAliveSeconds,
      cleanSession: clean,
      sessionPresent,
    };
    this.#announced.set(connection, device);
    this.#presence.connected(device);
  }

  closed(connection: Connection, reason: CloseReason, detail: string | undefined, hasWill: boolean): void {
    this.stats.closed[reason]++;
    const device = this.#announced.get(connection);
    if (device !== undefined) {
      this.#announced.delete(connection);
      this.#presence?.disconnected(device, reason, hasWill && this.taking && reason !== 'disconnected');
    }
    const { clientId, remote } = connection;
    const fields = { remote, reason, detail };
    if (QUIET.has(reason)) {
      this.logger.debug({ client: clientId, ...fields }, 'MQTT connection ended');
      return;
    }
    // Without a client id it is the machine that counts: every connection has another port.
    const client = clientId ?? machineOf(remote);
    this.#log.warn(client, reason, fields, 'MQTT connection closed');
  }

  /** A connection has ended before it was one of MQTT. */
  handshakeFailed(remote: string, reason: HandshakeEnd, detail: string): void {
    this.stats.closed[reason]++;
    this.#log.warn(machineOf(remote), reason, { remote, reason, detail }, 'connection closed before MQTT');
  }

  gone(connection: Connection): void {
    this.connections.delete(connection);
    this.#countHolders();
  }

  // Time.

  #scheduleTick(): Cancel {
    return this.#clock.schedule(() => {
      this.#cancelTick = this.#scheduleTick();
      this.tick++;
      for (const connection of this.connections) connection.ticked();
      this.#relieveMemory();
      if (this.tick % EXPIRY_TICKS === 0) this.#expire();
      if (this.tick % LOG_WINDOW_TICKS === 0) this.#log.turn();
    }, TICK_MS);
  }

  #expire(): void {
    this.sessions.expire(this.limits.sessionExpiryMs);
    this.broker.store.expire();
  }

  /**
   * What Node has read from paused sockets is memory too. If it is too much, those with the most end; so does
   * one when unfinished packets alone leave no room to finish any of them.
   */
  #relieveMemory(): void {
    if (this.memory.exhausted && this.stats.inFlight + this.stats.parkedMessages === 0) {
      const [largest] = [...this.connections].sort((a, b) => b.heldBytes - a.heldBytes);
      largest?.stop('out-of-memory');
    }
    let unread = 0;
    for (const { transport } of this.#paused) unread += transport.readableLength;
    this.stats.unreadBytes = unread;
    if (!this.memory.overfull(unread)) return;
    const largestFirst = [...this.#paused].sort(
      (a, b) => b.transport.readableLength - a.transport.readableLength,
    );
    for (const connection of largestFirst) {
      if (!this.memory.overfull(unread)) return;
      unread -= connection.transport.readableLength;
      connection.stop('out-of-memory');
      connection.transport.destroy();
    }
  }
}

const machineOf = (remote: string): string => remote.slice(0, remote.lastIndexOf(':'));

/** The one publication that is lent to the sink, again and again. */
class BorrowedPublication implements Publication {
  topic: InternedTopic | Publication['topic'] = { name: '', id: 0 };
  payload = Buffer.alloc(0);
  qos: Publication['qos'] = 0;
  retain = false;
  dup = false;
  packetId = 0;
  publicationNumber = 0;
  clientId = '';
  receivedAtMs = 0;
}

const MAX_NAMES = 1_000;

/** Says a thing once for each client in a window, and at the window's end how often it was not said. */
export class WindowedLog {
  readonly #logger: Logger;
  readonly #said = new Set<string>();
  #unsaid = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  warn(client: string, what: string, fields: object, message: string): void {
    const key = `${what}\n${client}`;
    if (this.#said.has(key) || this.#said.size >= MAX_NAMES) {
      this.#unsaid++;
      return;
    }
    this.#said.add(key);
    this.#logger.warn({ client, ...fields }, message);
  }

  /** A new window begins. */
  turn(): void {
    if (this.#unsaid > 0) {
      this.#logger.warn({ count: this.#unsaid }, 'more of the same from MQTT clients, not logged one by one');
    }
    this.#said.clear();
    this.#unsaid = 0;
  }
}
