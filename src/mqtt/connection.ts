import { randomUUID } from 'node:crypto';
import { errorMessage } from '../core/errors.ts';
import {
  connack,
  ConnackCode,
  PacketType,
  readConnect,
  subscriptionFault,
  type ConnectRequest,
} from './control-packets.ts';
import { ControlChannel, type ChannelOwner } from './control-channel.ts';
import { FrameReader, type FrameHandler } from './frame-reader.ts';
import type { BrokerClient } from './local-broker.ts';
import { PublicationLane, type LaneContext, type LaneOwner } from './publication-lane.ts';
import type { Session } from './session.ts';
import type { SessionHolder, Sessions } from './sessions.ts';
import type { CloseReason } from './stats.ts';
import type { Transport } from './transport.ts';

/** What all connections of an ingress share. */
export interface ConnectionContext extends LaneContext {
  readonly sessions: Sessions;
  /** Counts turns of the keepalive clock, {@link TICK_MS} apart. */
  readonly tick: number;
  /** No connection reads any more. */
  readonly reading: boolean;
  wallMs(): number;
  /** The lane of the client's previous connection, if it still has something. */
  previousLane(clientId: string): PublicationLane | undefined;
  laneOpened(lane: PublicationLane): void;
  /** The memory for acknowledgements, see {@link AckWriter}. */
  writeAcks(lane: PublicationLane, transport: Transport): void;
  paused(connection: Connection, paused: boolean): void;
  reservedTopic(clientId: string, topic: string): void;
  closed(connection: Connection, reason: CloseReason, detail: string | undefined): void;
  gone(connection: Connection): void;
}

/** The keepalive clock's resolution. */
export const TICK_MS = 500;
/** How long a closed connection may take to read our last bytes, in ticks. */
const LINGER_TICKS = 4;
/** Acknowledgements that a device doesn't read; above this it isn't read either. */
const MAX_UNREAD_ACK_BYTES = 64 * 1024;
/** Control packets that aedes has not read yet. */
const MAX_CHANNEL_BYTES = 64 * 1024;

const PINGREQ = Buffer.from([PacketType.Pingreq << 4, 0]);
const DISCONNECT = Buffer.from([PacketType.Disconnect << 4, 0]);

/**
 * Where a connection stands. Before `Open`, and while a SUBSCRIBE or UNSUBSCRIBE waits for its answer, bytes
 * are kept as they are and not looked at.
 */
const State = {
  ExpectingConnect: 0,
  /** The session's previous connection has to let go. */
  Claiming: 1,
  /** aedes has the CONNECT. */
  Connecting: 2,
  Open: 3,
  /** Nothing is read or acknowledged any more. */
  Closing: 4,
} as const;
type State = (typeof State)[keyof typeof State];

/** One device's network connection: bytes to packets, packets to the lane or to aedes, and its end. */
export class Connection implements FrameHandler, ChannelOwner, SessionHolder, LaneOwner {
  readonly #context: ConnectionContext;
  readonly #transport: Transport;
  readonly remote: string;
  readonly #reader: FrameReader;
  #state: State = State.ExpectingConnect;
  #request: ConnectRequest | undefined;
  #sessionPresent = false;
  #lane: PublicationLane | undefined;
  #channel: ControlChannel | undefined;
  #brokerClient: BrokerClient | undefined;
  /** A SUBSCRIBE or UNSUBSCRIBE waits for its answer. */
  #answerPending = false;
  /** Bytes behind a packet that has no answer yet, from `#heldAt` on. */
  #held: Buffer | undefined;
  #heldAt = 0;
  #partialBytes = 0;
  #paused = false;
  #inputEnded = false;
  #transportClosed = false;
  #disconnected = false;
  /** CONNECT must come, or be granted, before this tick; then: the socket is destroyed at this tick. */
  #deadlineTick: number;
  #lastSeenTick: number;
  #keepAliveTicks = 0;

  constructor(transport: Transport, context: ConnectionContext) {
    this.#transport = transport;
    this.#context = context;
    this.remote = `${transport.remoteAddress ?? 'unknown'}:${transport.remotePort ?? 0}`;
    this.#reader = new FrameReader(this, context.limits.maxConnectBytes);
    this.#lastSeenTick = context.tick;
    this.#deadlineTick = context.tick + ticks(context.limits.connectTimeoutMs);
    transport.on('end', () => {
      this.#ended();
    });
    transport.on('close', () => {
      this.#transportClosed = true;
      this.#ended();
      if (this.#isClosing) this.#context.gone(this);
    });
    transport.on('error', () => {
      // 'close' follows.
    });
  }

  get clientId(): string | undefined {
    return this.#request?.clientId;
  }

  // Reading.

  /** Bytes from the socket; valid during the call. */
  receive(bytes: Buffer): void {
    if (this.#state === State.Closing) return;
    this.#lastSeenTick = this.#context.tick;
    try {
      if (this.#held !== undefined || this.#gated) this.#hold(bytes);
      else this.#read(bytes, 0);
      this.#pauseIfFull();
    } catch (error) {
      this.#close('internal-error', errorMessage(error));
    }
  }

  get #gated(): boolean {
    return this.#answerPending || this.#state === State.Claiming || this.#state === State.Connecting;
  }

  #read(bytes: Buffer, from: number): void {
    this.#context.receivedAtMs = this.#context.wallMs();
    const stop = this.#reader.read(bytes, from);
    if (stop < bytes.length && this.#gated) this.#hold(bytes.subarray(stop));
  }

  #hold(bytes: Buffer): void {
    const { memory } = this.#context;
    const rest = this.#held?.subarray(this.#heldAt);
    const held = Buffer.allocUnsafeSlow((rest?.length ?? 0) + bytes.length);
    rest?.copy(held);
    bytes.copy(held, rest?.length ?? 0);
    memory.count(held.length - (this.#held?.length ?? 0));
    this.#held = held;
    this.#heldAt = 0;
  }

  /** The answer is there: goes on with what came behind its packet. */
  #readHeld(): void {
    while (this.#held !== undefined && !this.#gated && this.#state === State.Open) {
      const held = this.#held;
      this.#context.receivedAtMs = this.#context.wallMs();
      this.#heldAt = this.#reader.read(held, this.#heldAt);
      if (this.#heldAt < held.length) continue;
      this.#dropHeld();
    }
    if (this.#held === undefined && this.#inputEnded && !this.#gated) this.#close('connection-lost');
    else this.unblocked();
  }

  #dropHeld(): void {
    this.#context.memory.count(-(this.#held?.length ?? 0));
    this.#held = undefined;
    this.#heldAt = 0;
  }

  kept(bytes: number): void {
    const { memory } = this.#context;
    this.#partialBytes += bytes;
    memory.count(bytes);
    if (bytes > 0 && !memory.partialsFit && this.#partialBytes > memory.allowanceBytes) {
      this.#close('out-of-memory', 'too many large packets are on their way at once');
    }
  }

  unreadable(problem: 'malformed-length' | 'too-large'): void {
    if (problem === 'too-large') {
      this.#close('packet-too-large', `a packet of more than ${this.#reader.maxFrameBytes} bytes`);
    } else this.#close('protocol-violation', 'a remaining length of more than 4 bytes ([MQTT-2.2.3])');
  }

  frame(header: number, buffer: Buffer, frameStart: number, start: number, end: number): boolean {
    if (this.#state === State.Closing) return false;
    const lane = this.#lane;
    if (lane === undefined || this.#state !== State.Open)
      return this.#connectFrame(header, buffer, start, end);
    const type = header >> 4;
    if (type === PacketType.Publish) {
      const fault = lane.publish(header, buffer, start, end);
      return fault === undefined ? !this.#isClosing : this.#violation(fault);
    }
    if (type === PacketType.Pubrel) {
      const fault = this.#packetIdFault(header & ~this.#tolerated, 2, buffer, start, end);
      const released = fault ?? lane.release(buffer.readUInt16BE(start));
      return released === undefined || this.#violation(`PUBREL: ${released}`);
    }
    return this.#controlFrame(header, buffer, frameStart, start, end);
  }

  // A method, because TypeScript believes that a state once compared stays.
  get #isClosing(): boolean {
    return this.#state === State.Closing;
  }

  /** MQTT 3.1 repeats SUBSCRIBE, UNSUBSCRIBE and PUBREL with DUP (its section 2.1); 3.1.1 knows no such thing. */
  get #tolerated(): number {
    return this.#request?.protocolVersion === 3 ? 0x08 : 0;
  }

  #packetIdFault(
    header: number,
    flags: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): string | undefined {
    if ((header & 0x0f) !== flags) return 'reserved flags ([MQTT-2.2.2-2])';
    if (end - start !== 2) return `a remaining length of ${end - start} instead of 2`;
    if (buffer.readUInt16BE(start) === 0) return 'packet identifier 0 ([MQTT-2.3.1-1])';
    return undefined;
  }

  #controlFrame(header: number, buffer: Buffer, frameStart: number, start: number, end: number): boolean {
    const type = header >> 4;
    switch (type) {
      case PacketType.Puback:
      case PacketType.Pubrec:
      case PacketType.Pubcomp: {
        const fault = this.#packetIdFault(header, 0, buffer, start, end);
        if (fault !== undefined) return this.#violation(`acknowledgement with ${fault}`);
        this.#channel?.push(Buffer.from(buffer.subarray(frameStart, end)));
        return true;
      }
      case PacketType.Subscribe:
      case PacketType.Unsubscribe: {
        const name = type === PacketType.Subscribe ? 'SUBSCRIBE' : 'UNSUBSCRIBE';
        if ((header & ~this.#tolerated & 0x0f) !== 2) {
          return this.#violation(`${name} with reserved flags ([MQTT-3.8.1-1], [MQTT-3.10.1-1])`);
        }
        const fault = subscriptionFault(buffer.subarray(start, end), name);
        if (fault !== undefined) return this.#violation(fault);
        const packet = Buffer.from(buffer.subarray(frameStart, end));
        packet[0] = (type << 4) | 2;
        this.#answerPending = true;
        this.#channel?.push(packet);
        return false;
      }
      case PacketType.Pingreq:
      case PacketType.Disconnect:
        if ((header & 0x0f) !== 0 || end !== start) {
          return this.#violation('PINGREQ or DISCONNECT with reserved flags or content ([MQTT-3.14.1-1])');
        }
        if (type === PacketType.Pingreq) {
          this.#channel?.push(PINGREQ);
          return true;
        }
        this.#disconnected = true;
        this.#close('disconnected');
        return false;
      case PacketType.Connect:
        return this.#violation('a second CONNECT ([MQTT-3.1.0-2])');
      default:
        return this.#violation(`a packet of type ${type}, which no client sends`);
    }
  }

  #violation(detail: string): boolean {
    this.#close('protocol-violation', detail);
    return false;
  }

  // CONNECT.

  #connectFrame(header: number, buffer: Buffer, start: number, end: number): boolean {
    if (header >> 4 !== PacketType.Connect) {
      return this.#violation('the first packet is no CONNECT ([MQTT-3.1.0-1])');
    }
    if (header !== PacketType.Connect << 4) {
      return this.#violation('CONNECT with reserved flags ([MQTT-2.2.2-2])');
    }
    const result = readConnect(buffer.subarray(start, end), () => `auto-${randomUUID()}`);
    if ('refusal' in result) {
      const { reason, detail, reply } = result.refusal;
      if (reply !== undefined) this.#reply(reply);
      this.#close(reason, detail);
      return false;
    }
    const { request } = result;
    this.#request = request;
    this.#reader.maxFrameBytes = this.#context.limits.maxPacketBytes;
    this.#state = State.Claiming;
    this.#deadlineTick = this.#context.tick + ticks(this.#context.limits.takeoverTimeoutMs);
    this.#context.sessions.claim(request.clientId, request.clean, this);
    return false;
  }

  #reply(packet: Buffer): void {
    if (!this.#transport.destroyed) this.#transport.write(packet);
  }

  granted(session: Session, present: boolean): void {
    const request = this.#request;
    if (request === undefined || this.#state !== State.Claiming) return;
    const { memory, broker } = this.#context;
    const lane = new PublicationLane(this.#context, session, this);
    const previous = this.#context.previousLane(request.clientId);
    if (previous !== undefined) {
      // After DISCONNECT the client has done with what it sent; otherwise it sends again what has no
      // acknowledgement, and to keep the first copy too would let an outage multiply with every reconnect.
      if (!previous.disconnected) previous.discardParked();
      if (previous.parkedBytes > memory.allowanceBytes) {
        this.#reply(connack(ConnackCode.ServerUnavailable));
        this.#close('session-busy', 'publications of its earlier connections still wait for Kafka');
        return;
      }
      lane.follow(previous);
    }
    this.#lane = lane;
    this.#context.laneOpened(lane);
    this.#sessionPresent = present;
    this.#state = State.Connecting;
    this.#channel = new ControlChannel(this);
    this.#brokerClient = broker.handle(this.#channel);
    this.#channel.push(request.packet);
  }

  takeOver(): void {
    this.#close('taken-over', 'its client id has connected again ([MQTT-3.1.4-2])');
  }

  // aedes' side.

  connackLeaving(returnCode: number): boolean {
    return returnCode === 0 && this.#sessionPresent;
  }

  get unsentBytes(): number {
    return this.#transport.writableLength;
  }

  brokerOutput(chunks: readonly Buffer[], taken: () => void): void {
    if (this.#state === State.Closing || this.#transport.destroyed) {
      taken();
      return;
    }
    const [first] = chunks;
    const room = this.#transport.write(
      chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks),
    );
    if (room) taken();
    else this.#transport.once('drain', taken);
  }

  answered(): void {
    if (this.#isClosing) {
      // aedes registers a client late in its CONNECT, even one that is closed by then: so it came through.
      process.nextTick(() => this.#brokerClient?.close());
      return;
    }
    if (this.#state === State.Connecting) {
      this.#state = State.Open;
      this.#keepAliveTicks = keepAliveTicks(this.#request?.keepAliveSeconds ?? 0);
      this.#lastSeenTick = this.#context.tick;
    } else {
      this.#answerPending = false;
    }
    // Not in the middle of aedes' writing.
    queueMicrotask(() => {
      try {
        this.#readHeld();
      } catch (error) {
        this.#close('internal-error', errorMessage(error));
      }
    });
  }

  tooSlow(waitingBytes: number): void {
    this.#close('slow-subscriber', `${waitingBytes} bytes wait to be read by it`);
  }

  brokerClosed(error: Error | null): void {
    // aedes' own bookkeeping of the client ends on the next tick; only then may its successor come.
    process.nextTick(() => {
      this.#brokerClient?.close();
      this.#releaseSession();
      if (this.#state === State.Connecting) this.#close('not-authorised', error?.message);
      else this.#close(error === null ? 'connection-lost' : 'protocol-violation', error?.message);
    });
  }

  // The lane's side.

  writeAcks(): void {
    const lane = this.#lane;
    if (lane !== undefined && this.#state === State.Open) this.#context.writeAcks(lane, this.#transport);
  }

  refused(): void {
    this.#close('refused', 'a publication may not be published ([MQTT-3.3.5-2])');
  }

  reservedTopic(topic: string): void {
    this.#context.reservedTopic(this.clientId ?? this.remote, topic);
  }

  /** Reads on, if it was paused and nothing speaks against it any more. */
  unblocked(): void {
    if (this.#paused && this.#context.reading && !this.#full(0.5)) this.#pause(false);
  }

  // The hard bound.

  #pauseIfFull(): void {
    if (!this.#paused && this.#state !== State.Closing && this.#full(1)) this.#pause(true);
  }

  /** `share` of the bound, for hysteresis. */
  #full(share: number): boolean {
    const { memory } = this.#context;
    const waiting = (this.#lane?.parkedBytes ?? 0) + (this.#held === undefined ? 0 : this.#held.length);
    return (
      (waiting > 0 && waiting > memory.allowanceBytes * share) ||
      this.#transport.writableLength > MAX_UNREAD_ACK_BYTES * share ||
      (this.#channel?.readableLength ?? 0) > MAX_CHANNEL_BYTES * share ||
      memory.exhausted
    );
  }

  /** Also called by the ingress, when nobody may read. */
  pause(): void {
    if (!this.#paused && this.#state !== State.Closing) this.#pause(true);
  }

  #pause(paused: boolean): void {
    this.#paused = paused;
    if (paused) this.#transport.pause();
    else this.#transport.resume();
    this.#context.paused(this, paused);
  }

  // Time.

  /** One turn of the keepalive clock. */
  ticked(): void {
    const { tick } = this.#context;
    switch (this.#state) {
      case State.ExpectingConnect:
        if (tick >= this.#deadlineTick) this.#close('connect-timeout', 'no CONNECT came');
        return;
      case State.Claiming:
        if (tick < this.#deadlineTick) return;
        this.#reply(connack(ConnackCode.ServerUnavailable));
        this.#close('session-busy', 'the previous connection of its client id does not end');
        return;
      case State.Connecting:
        return;
      case State.Open:
        this.#keepAlive(tick);
        return;
      case State.Closing:
        if (tick >= this.#deadlineTick) this.#transport.destroy();
        return;
    }
  }

  #keepAlive(tick: number): void {
    if (this.#paused) {
      // We don't look, so we can't tell whether it is silent. Unless it doesn't read either.
      if (this.#transport.writableLength <= MAX_UNREAD_ACK_BYTES) this.#lastSeenTick = tick;
      this.unblocked();
    }
    if (this.#keepAliveTicks > 0 && tick - this.#lastSeenTick > this.#keepAliveTicks) {
      this.#close('keepalive-timeout', 'nothing came for 1.5 keepalive intervals ([MQTT-3.1.2-24])');
    }
  }

  // The end.

  /** The client has closed, or the network. */
  #ended(): void {
    if (this.#inputEnded) return;
    this.#inputEnded = true;
    // What came before the end, behind a CONNECT or SUBSCRIBE without answer yet, still counts.
    if (this.#gated && this.#held !== undefined) return;
    this.#close('connection-lost');
  }

  /** Closed by the ingress. */
  stop(): void {
    this.#close('stopped');
  }

  tooMany(): void {
    this.#close('too-many-connections', 'mqtt.max.connections is reached');
  }

  destroy(): void {
    this.#transport.destroy();
  }

  #close(reason: CloseReason, detail?: string): void {
    if (this.#state === State.Closing) return;
    const before = this.#state;
    // The acknowledgements that are due leave first, except to a client that has done with us.
    if (reason === 'stopped') this.writeAcks();
    this.#state = State.Closing;
    this.#reader.reset();
    this.#dropHeld();
    if (this.#paused) this.#context.paused(this, false);
    this.#paused = false;
    if (this.#lane !== undefined) {
      this.#lane.detach(this.#disconnected);
    }
    this.#context.closed(this, reason, detail);
    this.#closeBroker(before);
    // Not destroyed at once: unread bytes would turn our last packets into a reset.
    this.#deadlineTick = this.#context.tick + LINGER_TICKS;
    this.#transport.end();
    this.#transport.resume();
    if (this.#transportClosed) this.#context.gone(this);
  }

  #closeBroker(before: State): void {
    if (this.#channel === undefined || this.#channel.destroyed) this.#releaseSession();
    else if (this.#disconnected) this.#channel.push(DISCONNECT);
    // Otherwise when the CONNACK comes, see answered().
    else if (before !== State.Connecting) this.#brokerClient?.close();
  }

  #releaseSession(): void {
    const request = this.#request;
    if (request !== undefined) this.#context.sessions.release(request.clientId, this);
  }
}

const ticks = (milliseconds: number): number => Math.ceil(milliseconds / TICK_MS) + 1;

/** One and a half intervals ([MQTT-3.1.2-24]), and never sooner. */
const keepAliveTicks = (seconds: number): number => (seconds === 0 ? 0 : ticks(seconds * 1_500));
