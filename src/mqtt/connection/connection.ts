import { randomUUID } from 'node:crypto';
import { errorMessage } from '../../core/errors.ts';
import type { AuthenticationRefusal, Authenticator, Principal, TopicAction } from '../../core/principal.ts';
import { TransportFault, type Transport } from '../edge/transport.ts';
import { PublicationLane, type LaneContext, type LaneOwner } from '../inflow/publication-lane.ts';
import { ticksOf, type IngressLimits } from '../limits.ts';
import { Subscriber, type OutflowContext, type SubscriberOwner } from '../outflow/subscriber.ts';
import { PacketType, ReasonCode, type ControlPacket } from '../protocol/codec.ts';
import { isTelemetry, readConnect, type ConnectRequest } from '../protocol/connect.ts';
import type { PublisherSession } from '../sessions/publisher-session.ts';
import type { SessionHolder, SessionRegistry } from '../sessions/session-registry.ts';
import type { CloseReason } from '../stats.ts';
import { Farewell, type FarewellContext } from './farewell.ts';
import { FrameReader, HeldBytes, type FrameHandler, type FrameProblem } from './frame-reader.ts';
import { ReadGate, type GateOwner } from './read-ahead.ts';

/** What all connections of an ingress share. */
export interface ConnectionContext extends LaneContext, OutflowContext, FarewellContext {
  readonly authenticator: Authenticator;
  readonly sessions: Pick<SessionRegistry, 'claim' | 'release'>;
  readonly broker: OutflowContext['broker'];
  /** The lane of the client's previous connection, if it still has something. */
  previousLane(clientId: string): PublicationLane | undefined;
  laneOpened(lane: PublicationLane): void;
  /** A connection's socket is not read any more, or again. */
  paused(connection: Connection, isPaused: boolean): void;
  /** Its CONNACK has said yes. */
  opened(connection: Connection, request: ConnectRequest, sessionPresent: boolean): void;
  /** A connection is closing. `hasWill`: a will that counts for Kafka. */
  closed(connection: Connection, reason: CloseReason, detail: string | undefined, hasWill: boolean): void;
  /** Its socket is closed. */
  gone(connection: Connection): void;
}

/** Where a connection stands, in the order in which it gets there. */
const State = {
  AwaitingConnect: 0,
  /** Who the client is, is being found out. Nobody's session has been touched. */
  Authenticating: 1,
  /** The session's previous connection has to let go. */
  Claiming: 2,
  Live: 3,
  /** Live, and the answer to a SUBSCRIBE or UNSUBSCRIBE waits for the disk. */
  Subscribing: 4,
  /** Nothing is read or acknowledged any more. */
  Farewell: 5,
} as const;
type State = (typeof State)[keyof typeof State];

/** By state: where a connection may get to from there. */
const NEXT_STATES: readonly (readonly State[])[] = [
  [State.Authenticating, State.Farewell],
  [State.Claiming, State.Farewell],
  [State.Live, State.Farewell],
  [State.Subscribing, State.Farewell],
  [State.Live, State.Farewell],
  [],
];

/** How long a connection may stay in each of the states that must end, in milliseconds. */
function patienceMs(state: State, limits: IngressLimits): number {
  if (state === State.Claiming) return limits.takeoverTimeoutMs;
  return state < State.Live ? limits.connectTimeoutMs : Number.POSITIVE_INFINITY;
}

/** What the answer to CONNECT says of an authentication that has failed. */
const REFUSALS: Readonly<Record<AuthenticationRefusal['refused'], ReasonCode>> = {
  'bad-credentials': ReasonCode.BadUserNameOrPassword,
  'not-authorised': ReasonCode.NotAuthorized,
  unavailable: ReasonCode.ServerUnavailable,
};

/**
 * One device's network connection: bytes to packets, packets to the lane or to the subscriber, and its end. Its life is
 * {@link State}, which changes in #enter alone:
 *
 *     AwaitingConnect -> Authenticating -> Claiming -> Live <-> Subscribing
 *     each of them -> Farewell
 */
export class Connection implements FrameHandler, SubscriberOwner, SessionHolder, LaneOwner, GateOwner {
  readonly transport: Transport;
  readonly remote: string;
  readonly listener: string;
  readonly #context: ConnectionContext;
  readonly #reader: FrameReader;
  readonly #held: HeldBytes;
  readonly #gate: ReadGate;
  #state: State = State.AwaitingConnect;
  /** By this tick the state must have ended. */
  #deadlineTick: number;
  #request: ConnectRequest | undefined;
  /** Who the authenticator is to tell; it is let go when the connection ends before. */
  #asked: Asked | undefined;
  #principal: Principal | undefined;
  #lane: PublicationLane | undefined;
  #subscriber: Subscriber | undefined;
  /** Bytes are being read: what follows a packet that is answered meanwhile is read by the same loop. */
  #reading = false;
  #inputEnded = false;
  #transportClosed = false;
  #lastSeenTick: number;
  #keepAliveTicks = 0;
  #farewell: Farewell | undefined;

  /** `remote` and `listener`: where the client is, and came to, as people are told. */
  constructor(transport: Transport, remote: string, context: ConnectionContext, listener: string) {
    this.transport = transport;
    this.#context = context;
    this.remote = remote;
    this.listener = listener;
    this.#reader = new FrameReader(this, context.memory, context.limits.maxConnectBytes);
    this.#held = new HeldBytes(context.memory);
    this.#gate = new ReadGate(this, context.memory);
    this.#lastSeenTick = context.tick;
    this.#deadlineTick = context.tick + ticksOf(patienceMs(this.#state, context.limits));
    transport.on('end', () => this.#ended());
    transport.on('close', () => {
      this.#transportClosed = true;
      this.#ended();
      this.#farewell?.gone();
      if (this.#state === State.Farewell) this.#context.gone(this);
    });
    transport.on('error', (error) => {
      if (error instanceof TransportFault) this.#violation(error.message);
      // Otherwise 'close' follows.
    });
  }

  get clientId(): string | undefined {
    return this.#request?.clientId;
  }

  /** The one place where the state changes. */
  #enter(state: State): void {
    if (NEXT_STATES[this.#state]?.includes(state) !== true) {
      throw new Error(`a connection can not get from state ${this.#state} to ${state}`);
    }
    this.#state = state;
    this.#deadlineTick = this.#context.tick + ticksOf(patienceMs(state, this.#context.limits));
  }

  // Bytes.

  /** Bytes from the socket; valid during the call. */
  receive(bytes: Buffer): void {
    if (this.#state === State.Farewell) return;
    this.#lastSeenTick = this.#context.tick;
    try {
      if (this.#isWaiting() || !this.#held.empty) this.#held.append(bytes);
      else {
        const stop = this.#read(bytes, 0);
        if (stop < bytes.length && this.#isWaiting()) this.#held.append(bytes.subarray(stop));
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
  #isWaiting(): boolean {
    const state = this.#state;
    return (state > State.AwaitingConnect && state < State.Live) || state === State.Subscribing;
  }

  #read(bytes: Buffer, from: number): number {
    this.#context.receivedAtMs = this.#context.wallMs();
    this.#reading = true;
    try {
      return this.#reader.read(bytes, from);
    } finally {
      this.#reading = false;
    }
  }

  /** The answer is there: goes on with what came behind its packet. */
  #readHeld(): void {
    if (this.#reading) return;
    while (!this.#held.empty && this.#state === State.Live) {
      this.#held.readOn((bytes, from) => this.#read(bytes, from));
    }
    if (this.#inputEnded && this.#held.empty && !this.#isWaiting()) this.#close('connection-lost');
    else this.unblocked();
  }

  unreadable(problem: FrameProblem): void {
    if (problem === 'malformed-length') {
      this.#violation('a remaining length of more than 4 bytes (MQTT 3.1.1 section 2.2.3)');
    } else if (problem === 'too-large') {
      this.#close('packet-too-large', `a packet of more than ${this.#reader.maxFrameBytes} bytes`);
    } else this.#close('out-of-memory', 'too many large packets are on their way at once');
  }

  // Packets.

  frame(header: number, buffer: Buffer, start: number, end: number): boolean {
    const lane = this.#lane;
    if (lane === undefined || this.#state !== State.Live) {
      return this.#state === State.AwaitingConnect && this.#connect(header, buffer.subarray(start, end));
    }
    if (header >> 4 === PacketType.Publish) {
      // A gateway that stops takes nothing on. Without an acknowledgement the device sends it again, elsewhere.
      if (!this.#context.taking) {
        this.#context.stats.untaken++;
        return true;
      }
      const fault = lane.publish(header, buffer, start, end);
      return fault === undefined ? this.#lane !== undefined : this.#violation(fault);
    }
    this.#context.stats.controlPackets++;
    const packet =
      this.#request?.codec.read(header, buffer.subarray(start, end)) ?? 'a packet before CONNECT';
    return typeof packet === 'string' ? this.#violation(packet) : this.#control(packet, lane);
  }

  #control(packet: ControlPacket, lane: PublicationLane): boolean {
    const { type, packetId } = packet;
    switch (type) {
      case PacketType.Pubrel: {
        const fault = lane.release(packetId);
        return fault === undefined || this.#violation(fault);
      }
      case PacketType.Disconnect:
        this.#close('disconnected');
        return false;
      case PacketType.Subscribe:
      case PacketType.Unsubscribe:
        this.#enter(State.Subscribing);
        this.#subscriber?.receive(packet);
        // What came behind it must not wait for an answer that nobody waits for.
        if (this.#inputEnded && this.#isWaiting()) this.#enter(State.Live);
        return this.#state === State.Live;
      default:
        this.#subscriber?.receive(packet);
        return true;
    }
  }

  #violation(detail: string): boolean {
    this.#close('protocol-violation', detail);
    return false;
  }

  // CONNECT, and who it is from.

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
    this.#context.stats.controlPackets++;
    this.#request = result.request;
    this.#enter(State.Authenticating);
    if (this.#context.taking) this.#authenticate(result.request);
    else this.#refuse('stopped');
    return !this.#hasEnded && !this.#isWaiting();
  }

  get #hasEnded(): boolean {
    return this.#state === State.Farewell;
  }

  #authenticate({ clientId, userName, password }: ConnectRequest): void {
    const { listener, remote, transport } = this;
    const certificate = transport.getPeerX509Certificate?.();
    let answer: ReturnType<Authenticator['authenticate']>;
    try {
      const credentials = { clientId, userName, password, listener, remote, certificate };
      answer = this.#context.authenticator.authenticate(credentials);
    } catch (error) {
      this.notAuthenticated(error);
      return;
    }
    if (answer instanceof Promise) {
      this.#asked = { connection: this };
      tellWhenAnswered(answer, this.#asked);
    } else this.authenticated(answer);
  }

  /** The authenticator has said who it is, or that it may not come in. */
  authenticated(answer: Principal | AuthenticationRefusal): void {
    const request = this.#request;
    if (request === undefined || this.#state !== State.Authenticating) return;
    this.#asked = undefined;
    if (!this.#context.taking) this.#refuse('stopped');
    else if ('refused' in answer) this.#refuse('not-authorised', answer.detail, REFUSALS[answer.refused]);
    else this.#admit(request, answer);
  }

  #admit({ clientId, clean, will }: ConnectRequest, principal: Principal): void {
    this.#principal = principal;
    if (will !== undefined && !this.mayPublish(will.topic)) {
      this.#refuse('not-authorised', 'it may not publish its will', ReasonCode.NotAuthorized);
      return;
    }
    this.#reader.maxFrameBytes = this.#context.limits.maxPacketBytes;
    this.#enter(State.Claiming);
    this.#context.sessions.claim(clientId, clean, this);
  }

  /** The authenticator has failed. */
  notAuthenticated(error: unknown): void {
    const { logger } = this.#context;
    logger.error({ client: this.clientId, reason: errorMessage(error) }, 'an authentication has failed');
    if (this.#state === State.Authenticating) this.#refuse('internal-error', errorMessage(error));
  }

  #may(action: TopicAction, topic: string): boolean {
    const { permissions } = this.#context;
    if (permissions.epoch === 0) return true;
    return this.#principal !== undefined && permissions.decide(this.#principal, action, topic) === 'allow';
  }

  mayPublish(topic: string): boolean {
    return this.#may('publish', topic);
  }

  maySubscribe(filter: string): boolean {
    return this.#may('subscribe', filter);
  }

  // Its session.

  /**
   * The session is ours. Its previous connection has let go, but its publications may be on their way. They
   * don't hold up the CONNACK: those with the sink are ahead of ours there, and ours wait for those that are
   * parked. So the device's order is kept, and a device whose partition hangs can connect.
   */
  granted(session: PublisherSession, present: boolean): void {
    const request = this.#request;
    if (request === undefined || this.#state !== State.Claiming) return;
    const { memory } = this.#context;
    const previous = this.#context.previousLane(request.clientId);
    // After DISCONNECT the client has done with what it sent. Otherwise it sends again what has no
    // acknowledgement, and to keep the first copies too would multiply an outage with every reconnect.
    if (previous?.disconnected === false) previous.discardParked();
    if (previous !== undefined && previous.parkedBytes > memory.allowanceBytes) {
      this.#refuse('session-busy', 'publications of its earlier connections still wait for room');
      return;
    }
    this.#lane = new PublicationLane(this.#context, session, this, request.codec, present);
    if (previous !== undefined) this.#lane.follow(previous);
    this.#context.laneOpened(this.#lane);
    this.#enter(State.Live);
    this.#begin(request, present);
  }

  #begin(request: ConnectRequest, present: boolean): void {
    const { codec, clientId, keepAliveSeconds } = request;
    try {
      // [MQTT-3.1.2-24]: one and a half intervals.
      this.#keepAliveTicks = keepAliveSeconds === 0 ? 0 : ticksOf(keepAliveSeconds * 1_500);
      this.#lastSeenTick = this.#context.tick;
      this.#subscriber = new Subscriber(this.#context, this, codec, clientId);
      this.#subscriber.begin(present);
      this.#context.opened(this, request, present);
      this.#readHeld();
    } catch (error) {
      this.failed(error);
    }
  }

  takeOver(): void {
    this.#close('taken-over', 'its client id has connected again ([MQTT-3.1.4-2])');
  }

  // The subscriber's side.

  answered(): void {
    if (this.#state !== State.Subscribing) return;
    this.#enter(State.Live);
    try {
      this.#readHeld();
    } catch (error) {
      this.failed(error);
    }
  }

  tooSlow(waitingBytes: number): void {
    this.#close('slow-subscriber', `${waitingBytes} bytes wait to be read by it`);
  }

  // The lane's side.

  refused(): void {
    this.#close('refused', 'a publication may not be published ([MQTT-3.3.5-2])');
  }

  failed(error: unknown): void {
    this.#close('internal-error', errorMessage(error));
  }

  unblocked(): void {
    this.#gate.reopen();
  }

  // What the hard bound looks at.

  get waitingBytes(): number {
    return (this.#lane?.parkedBytes ?? 0) + this.#held.length;
  }

  /** A client that nobody knows yet may not hold more than its CONNECT might. */
  get allowanceBytes(): number {
    const { memory, limits } = this.#context;
    const { allowanceBytes } = memory;
    return this.#state === State.Authenticating
      ? Math.min(limits.maxConnectBytes, allowanceBytes)
      : allowanceBytes;
  }

  paused(isPaused: boolean): void {
    this.#context.paused(this, isPaused);
  }

  /** Bytes of packets that are not complete, or not looked at yet. */
  get heldBytes(): number {
    return this.#reader.heldBytes + this.#held.length;
  }

  /** Nobody may read for now. */
  pause(): void {
    if (this.#state !== State.Farewell) this.#gate.close();
  }

  // Time.

  /** One turn of the keepalive clock. */
  ticked(): void {
    const { tick } = this.#context;
    // A pause ends when its cause does; looked at here too, so that none can last for ever.
    this.#gate.reopen();
    if (this.#gate.holdsClock) this.#lastSeenTick = tick;
    if (this.#state === State.Farewell) this.#farewell?.ticked();
    else if (this.#state >= State.Live) this.#watchLive(tick);
    else if (tick >= this.#deadlineTick) this.#late();
  }

  #watchLive(tick: number): void {
    if (this.#keepAliveTicks > 0 && tick - this.#lastSeenTick > this.#keepAliveTicks) {
      this.#close('keepalive-timeout', 'nothing came for 1.5 keepalive intervals ([MQTT-3.1.2-24])');
    }
    const untilMs = this.#principal?.untilMs ?? Number.POSITIVE_INFINITY;
    if (untilMs !== Number.POSITIVE_INFINITY && untilMs <= this.#context.wallMs()) {
      this.#close('not-authorised', 'the proof of who it is has expired');
    }
  }

  /** The state has lasted too long. */
  #late(): void {
    switch (this.#state) {
      case State.AwaitingConnect:
        this.#close('connect-timeout', 'no CONNECT came ([MQTT-3.1.0-1])');
        return;
      case State.Claiming:
        this.#refuse('session-busy', 'the previous connection of its client id does not end');
        return;
      default:
        this.#refuse('connect-timeout', 'whether it may connect was not decided in time');
    }
  }

  // The end.

  /** The client has closed, or the network. */
  #ended(): void {
    if (this.#inputEnded) return;
    this.#inputEnded = true;
    // What came before the end, behind a packet without answer yet, still counts; for a SUBACK nobody waits.
    this.answered();
    if (!this.#isWaiting() || this.#held.empty) this.#close('connection-lost');
  }

  /** Ends the connection, with the acknowledgements that are due. */
  stop(reason: 'stopped' | 'too-many-connections' | 'out-of-memory'): void {
    this.#close(reason);
    this.#farewell?.hurry();
  }

  /** Says no to the CONNECT. */
  #refuse(reason: CloseReason, detail?: string, code: ReasonCode = ReasonCode.ServerUnavailable): void {
    this.#close(reason, detail, this.#request?.codec.connackRefusing(code));
  }

  /** `lastWords`: what is still to be said. */
  #close(reason: CloseReason, detail?: string, lastWords?: Buffer): void {
    if (this.#state === State.Farewell) return;
    const disconnected = reason === 'disconnected';
    // Acknowledgements that are due leave first, except to a client that has done with us.
    if (!disconnected) this.#lane?.writeAcks();
    const hasClaimed = this.#state >= State.Claiming;
    this.#enter(State.Farewell);
    if (this.#asked !== undefined) this.#asked.connection = undefined;
    this.#reader.reset();
    this.#held.clear();
    this.#gate.abandon();
    const will = this.#subscriber === undefined ? undefined : this.#request?.will;
    const telemetry = will !== undefined && isTelemetry(will) ? will : undefined;
    this.#context.closed(this, reason, detail, telemetry !== undefined);
    this.#lane?.detach(disconnected, telemetry);
    this.#lane = undefined;
    this.#subscriber?.end();
    // DISCONNECT deletes it ([MQTT-3.14.4-3]); and a stop of the gateway says nothing about the device.
    if (will !== undefined && !disconnected && this.#context.taking) {
      this.#context.broker.deliver({ name: will.topic }, will.payload, will.qos, will.retain);
    }
    if (hasClaimed) this.#releaseSession();
    this.#farewell = new Farewell(this.transport, this.#context, reason, lastWords);
    if (this.#transportClosed) this.#context.gone(this);
  }

  #releaseSession(): void {
    const request = this.#request;
    if (request !== undefined) this.#context.sessions.release(request.clientId, this);
  }
}

/** An authenticator may take its time, or for ever: it must not hold a connection that has ended. */
interface Asked {
  connection: Connection | undefined;
}

/** Outside of the class, so that what waits for the answer knows no connection but by `asked`. */
function tellWhenAnswered(answer: Promise<Principal | AuthenticationRefusal>, asked: Asked): void {
  answer.then(
    (decision) => {
      try {
        asked.connection?.authenticated(decision);
      } catch (error) {
        asked.connection?.failed(error);
      }
    },
    (error: unknown) => asked.connection?.notAuthenticated(error),
  );
}
