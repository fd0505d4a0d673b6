import { randomUUID } from 'node:crypto';
import { errorMessage } from '../../core/errors.ts';
import { BrokerLink } from '../broker/broker-link.ts';
import type { LinkOwner } from '../broker/broker-link.ts';
import { TransportFault } from '../edge/transport.ts';
import type { Transport } from '../edge/transport.ts';
import type { Acknowledgements } from '../inflow/acknowledgements.ts';
import { PublicationLane } from '../inflow/publication-lane.ts';
import type { LaneContext, LaneOwner } from '../inflow/publication-lane.ts';
import {
  ConnackCode,
  PacketType,
  connack,
  controlFault,
  readConnect,
  withoutDup,
} from '../protocol/control-packets.ts';
import type { ConnectRequest } from '../protocol/control-packets.ts';
import type { PublisherSession } from '../sessions/publisher-session.ts';
import type { SessionHolder, SessionRegistry } from '../sessions/session-registry.ts';
import type { CloseReason } from '../stats.ts';
import { Farewell } from './farewell.ts';
import { FrameReader, HeldBytes } from './frame-reader.ts';
import type { FrameHandler, FrameProblem } from './frame-reader.ts';
import { ReadGate } from './read-ahead.ts';

/** One device's network connection: bytes to packets, packets to the lane or to aedes, and its end. */
export class Connection implements FrameHandler, LinkOwner, SessionHolder, LaneOwner {
  readonly remote: string;
  readonly listener: string;
  readonly #context: ConnectionContext;
  readonly #transport: Transport;
  readonly #reader: FrameReader;
  readonly #held: HeldBytes;
  readonly #gate: ReadGate;
  #state: State = State.ExpectingConnect;
  #request: ConnectRequest | undefined;
  #lane: PublicationLane | undefined;
  #link: BrokerLink | undefined;
  #inputEnded = false;
  #transportClosed = false;
  /** By this tick the CONNECT must have come, its session be free, its answer have left. */
  #deadlineTick: number;
  #lastSeenTick: number;
  #keepAliveTicks = 0;
  #farewell: Farewell | undefined;

  /** `remote` and `listener`: where the client is, and came to, as people are told. */
  constructor(transport: Transport, remote: string, context: ConnectionContext, listener: string) {
    this.#transport = transport;
    this.#context = context;
    this.remote = remote;
    this.listener = listener;
    this.#reader = new FrameReader(this, context.memory, context.limits.maxConnectBytes);
    this.#held = new HeldBytes(context.memory);
    this.#gate = new ReadGate(this, transport, context);
    this.#lastSeenTick = context.tick;
    this.#deadlineTick = context.tick + ticksOf(context.limits.connectTimeoutMs);
    transport.on('end', () => {
      this.#ended();
    });
    transport.on('close', () => {
      this.#transportClosed = true;
      this.#ended();
      this.#farewell?.gone();
      if (this.#state === State.Closing) this.#context.gone(this);
    });
    transport.on('error', (error) => {
      if (error instanceof TransportFault) this.#violation(error.message);
      // Otherwise 'close' follows.
    });
  }

  get clientId(): string | undefined {
    return this.#request?.clientId;
  }

  // Bytes.

  /** Bytes from the socket; valid during the call. */
  receive(bytes: Buffer): void {
    if (this.#state === State.Closing) return;
    this.#lastSeenTick = this.#context.tick;
    try {
      if (this.#isGated() || !this.#held.empty) this.#held.append(bytes);
      else {
        const stop = this.#read(bytes, 0);
        if (stop < bytes.length && this.#isGated()) this.#held.append(bytes.subarray(stop));
      }
      if (this.#lane !== undefined || !this.#held.empty) this.#gate.check();
    } catch (error) {
      this.failed(error);
    }
  }

  /**
   * Before the CONNACK, and before the answer to a SUBSCRIBE or UNSUBSCRIBE, what comes behind is not looked
   * at: publications must not be produced for a client that is refused, and a subscription must see what its
   * client publishes after it.
   */
  #isGated(): boolean {
    const state = this.#state;
    return state === State.Claiming || state === State.Connecting || state === State.Subscribing;
  }

  #read(bytes: Buffer, from: number): number {
    this.#context.receivedAtMs = this.#context.wallMs();
    return this.#reader.read(bytes, from);
  }

  /** The answer is there: goes on with what came behind its packet. */
  #readHeld(): void {
    while (!this.#held.empty && this.#state === State.Open) {
      this.#held.readOn((bytes, from) => this.#read(bytes, from));
    }
    if (this.#inputEnded && this.#held.empty && !this.#isGated()) this.#close('connection-lost');
    else this.unblocked();
  }

  unreadable(problem: FrameProblem): void {
    switch (problem) {
      case 'malformed-length':
        this.#violation('a remaining length of more than 4 bytes (MQTT 3.1.1 section 2.2.3)');
        return;
      case 'too-large':
        this.#close('packet-too-large', `a packet of more than ${this.#reader.maxFrameBytes} bytes`);
        return;
      case 'no-memory':
        this.#close('out-of-memory', 'too many large packets are on their way at once');
    }
  }

  // Packets.

  frame(header: number, buffer: Buffer, frameStart: number, start: number, end: number): boolean {
    const lane = this.#lane;
    if (lane === undefined || this.#state !== State.Open) {
      return this.#state === State.ExpectingConnect && this.#connect(header, buffer.subarray(start, end));
    }
    if (header >> 4 === PacketType.Publish) {
      // A gateway that stops takes nothing on. Without an acknowledgement the device sends it again, elsewhere.
      if (!this.#context.taking) return this.#context.untaken();
      const fault = lane.publish(header, buffer, start, end);
      return fault === undefined ? this.#lane !== undefined : this.#violation(fault);
    }
    this.#context.stats.controlPackets++;
    const plain = this.#request?.protocolVersion === 3 ? withoutDup(header) : header;
    const fault = controlFault(plain, buffer.subarray(start, end));
    return fault === undefined
      ? this.#control(plain, lane, Buffer.from(buffer.subarray(frameStart, end)))
      : this.#violation(fault);
  }

  #control(header: number, lane: PublicationLane, packet: Buffer): boolean {
    switch (header >> 4) {
      case PacketType.Pubrel: {
        const fault = lane.release(packet.readUInt16BE(packet.length - 2));
        return fault === undefined || this.#violation(fault);
      }
      case PacketType.Pingreq:
        this.#link?.ping();
        return true;
      case PacketType.Disconnect:
        this.#close('disconnected');
        return false;
      default: {
        packet[0] = header;
        const type = header >> 4;
        if (type === PacketType.Subscribe || type === PacketType.Unsubscribe) this.#state = State.Subscribing;
        this.#link?.push(packet);
        return !this.#isGated();
      }
    }
  }

  #violation(detail: string): boolean {
    this.#close('protocol-violation', detail);
    return false;
  }

  // CONNECT.

  #connect(header: number, body: Buffer): boolean {
    if (header >> 4 !== PacketType.Connect) {
      return this.#violation('the first packet is no CONNECT ([MQTT-3.1.0-1])');
    }
    if (header !== PacketType.Connect << 4)
      return this.#violation('CONNECT with reserved flags ([MQTT-2.2.2-2])');
    const result = readConnect(body, () => `auto-${randomUUID()}`);
    if ('refusal' in result) {
      const { reason, detail, reply } = result.refusal;
      this.#close(reason, detail, reply);
      return false;
    }
    const { request } = result;
    this.#context.stats.controlPackets++;
    const { limits, sessions, tick, taking } = this.#context;
    if (!taking) return this.#refuse('stopped');
    this.#request = request;
    this.#reader.maxFrameBytes = limits.maxPacketBytes;
    this.#state = State.Claiming;
    this.#deadlineTick = tick + ticksOf(limits.takeoverTimeoutMs);
    sessions.claim(request.clientId, request.clean, this);
    return false;
  }

  /**
   * The session is ours. Its previous connection has let go, but its publications may be on their way. They
   * don't hold up the CONNACK: those with the sink are ahead of ours there, and ours wait for those that are
   * parked. So the device's order is kept, and a device whose partition hangs can connect.
   */
  granted(session: PublisherSession, present: boolean): void {
    const request = this.#request;
    if (request === undefined || this.#state !== State.Claiming) return;
    const { memory, broker } = this.#context;
    const previous = this.#context.previousLane(request.clientId);
    // After DISCONNECT the client has done with what it sent. Otherwise it sends again what has no
    // acknowledgement, and to keep the first copies too would multiply an outage with every reconnect.
    if (previous?.disconnected === false) previous.discardParked();
    if (previous !== undefined && previous.parkedBytes > memory.allowanceBytes) {
      this.#refuse('session-busy', 'publications of its earlier connections still wait for room');
      return;
    }
    this.#lane = new PublicationLane(this.#context, session, this, present);
    if (previous !== undefined) this.#lane.follow(previous);
    this.#context.laneOpened(this.#lane);
    this.#state = State.Connecting;
    this.#deadlineTick = this.#context.tick + ticksOf(this.#context.limits.connectTimeoutMs);
    this.#link = new BrokerLink(broker, this.#transport, this, present);
    this.#link.push(request.packet);
  }

  takeOver(): void {
    this.#close('taken-over', 'its client id has connected again ([MQTT-3.1.4-2])');
  }

  // aedes' side.

  answered(): void {
    const [request, link] = [this.#request, this.#link];
    if (this.#state === State.Connecting && request !== undefined) {
      const seconds = request.keepAliveSeconds;
      // [MQTT-3.1.2-24]: one and a half intervals.
      this.#keepAliveTicks = seconds === 0 ? 0 : ticksOf(seconds * 1_500);
      this.#lastSeenTick = this.#context.tick;
      if (link?.granted === true) this.#context.opened(this, request, link.sessionPresent);
    }
    this.#state = State.Open;
    try {
      this.#readHeld();
    } catch (error) {
      this.failed(error);
    }
  }

  tooSlow(waitingBytes: number): void {
    this.#close('slow-subscriber', `${waitingBytes} bytes wait to be read by it`);
  }

  brokerEnded(error: Error | null): void {
    this.#releaseSession();
    const reason = this.#state === State.Connecting ? 'not-authorised' : 'broker-refused';
    this.#close(reason, error?.message);
  }

  // The lane's side.

  writeAcks(): void {
    if (this.#lane !== undefined) this.#context.writeAcks(this.#lane.acks, this.#transport);
  }

  refused(): void {
    this.#close('refused', 'a publication may not be published ([MQTT-3.3.5-2])');
  }

  failed(error: unknown): void {
    this.#close('internal-error', errorMessage(error));
  }

  reservedTopic(topic: string): void {
    this.#context.reservedTopic(this.clientId ?? this.remote, topic);
  }

  unblocked(): void {
    this.#gate.reopen();
  }

  // What the hard bound looks at.

  /** Bytes that were read, and wait. */
  get waitingBytes(): number {
    return (this.#lane?.parkedBytes ?? 0) + this.#held.length;
  }

  /** Bytes of packets that are not complete, or not looked at yet. */
  get heldBytes(): number {
    return this.#reader.heldBytes + this.#held.length;
  }

  /** Bytes that the client has not read. */
  get unsentBytes(): number {
    return this.#transport.writableLength;
  }

  /** Bytes that Node has read, and we have not. */
  get unreadBytes(): number {
    return this.#transport.readableLength;
  }

  /** Bytes that aedes has not read. */
  get unreadControlBytes(): number {
    return this.#link?.unreadBytes ?? 0;
  }

  /** Nobody may read for now. */
  pause(): void {
    if (this.#state !== State.Closing) this.#gate.close();
  }

  // Time.

  /** One turn of the keepalive clock. */
  ticked(): void {
    const { tick } = this.#context;
    // A pause ends when its cause does; looked at here too, so that none can last for ever.
    this.#gate.reopen();
    if (this.#gate.holdsClock) this.#lastSeenTick = tick;
    switch (this.#state) {
      case State.ExpectingConnect:
        if (tick >= this.#deadlineTick) this.#close('connect-timeout', 'no CONNECT came ([MQTT-3.1.0-1])');
        return;
      case State.Claiming:
        if (tick < this.#deadlineTick) return;
        this.#refuse('session-busy', 'the previous connection of its client id does not end');
        return;
      case State.Connecting:
        if (tick < this.#deadlineTick) return;
        this.#refuse('connect-timeout', 'whether it may connect was not decided in time');
        this.#link?.abandon();
        return;
      case State.Closing:
        this.#farewell?.ticked();
        return;
      default:
        if (this.#keepAliveTicks > 0 && tick - this.#lastSeenTick > this.#keepAliveTicks) {
          this.#close('keepalive-timeout', 'nothing came for 1.5 keepalive intervals ([MQTT-3.1.2-24])');
        }
    }
  }

  // The end.

  /** The client has closed, or the network. */
  #ended(): void {
    if (this.#inputEnded) return;
    this.#inputEnded = true;
    // What came before the end, behind a packet without answer yet, still counts.
    if (!this.#isGated() || this.#held.empty) this.#close('connection-lost');
  }

  /** Ends the connection, with the acknowledgements that are due. */
  stop(reason: 'stopped' | 'too-many-connections' | 'out-of-memory'): void {
    this.#close(reason);
    this.#farewell?.hurry();
  }

  destroy(): void {
    this.#transport.destroy();
  }

  #refuse(reason: CloseReason, detail?: string): boolean {
    this.#close(reason, detail, connack(ConnackCode.ServerUnavailable));
    return false;
  }

  /** `lastWords`: what is still to be said. */
  #close(reason: CloseReason, detail?: string, lastWords?: Buffer): void {
    if (this.#state === State.Closing) return;
    const disconnected = reason === 'disconnected';
    // Acknowledgements that are due leave first, except to a client that has done with us.
    if (!disconnected) this.writeAcks();
    this.#state = State.Closing;
    this.#reader.reset();
    this.#held.clear();
    this.#gate.abandon();
    const will = this.#link?.granted === true ? this.#request?.will : undefined;
    this.#context.closed(this, reason, detail, will !== undefined);
    this.#lane?.detach(disconnected, will);
    this.#lane = undefined;
    if (this.#link === undefined) this.#releaseSession();
    else this.#link.end(disconnected);
    this.#farewell = new Farewell(this.#transport, this.#context, reason, lastWords);
    if (this.#transportClosed) this.#context.gone(this);
  }

  #releaseSession(): void {
    const request = this.#request;
    if (request !== undefined) this.#context.sessions.release(request.clientId, this);
  }
}

/** Where a connection stands. */
export const State = {
  ExpectingConnect: 0,
  /** The session's previous connection has to let go. */
  Claiming: 1,
  /** aedes has the CONNECT. */
  Connecting: 2,
  Open: 3,
  /** aedes has a SUBSCRIBE or UNSUBSCRIBE. */
  Subscribing: 4,
  /** Nothing is read or acknowledged any more. */
  Closing: 5,
} as const;
export type State = (typeof State)[keyof typeof State];

/** What all connections of an ingress share. */
export interface ConnectionContext extends LaneContext {
  readonly sessions: SessionRegistry;
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
