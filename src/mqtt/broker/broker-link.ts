import { Duplex } from 'node:stream';
import type { Transport } from '../edge/transport.ts';
import { PacketType } from '../protocol/codec.ts';

/** Who takes the other end of links: aedes, as the local broker has it. */
export interface ControlPlane {
  /** Takes a connection whose CONNECT is about to be pushed into the channel. */
  handle(channel: ControlChannel): BrokerClient;
}

/** How a connection holds on to its aedes client. */
export interface BrokerClient {
  /** Ends it as a lost connection: its will is published. Nothing is left to do when it returns. */
  close(): void;
}

/** The connection that a link belongs to. */
export interface LinkOwner {
  readonly transport: Transport;
  /** Whether its client may subscribe to the topic filter. */
  maySubscribe(filter: string): boolean;
  /** The CONNACK with code 0 has left, or the answer to a SUBSCRIBE or UNSUBSCRIBE. */
  answered(): void;
  /** A subscriber that does not read. */
  tooSlow(waitingBytes: number): void;
  /** aedes has ended the connection; its bookkeeping of the client is done. */
  brokerEnded(error: Error | null): void;
}

const PINGREQ = Buffer.from([PacketType.Pingreq << 4, 0]);
const DISCONNECT = Buffer.from([PacketType.Disconnect << 4, 0]);

/** One connection's link to aedes: control packets in, aedes' packets out to the socket, and an orderly end. */
export class BrokerLink implements ChannelOwner {
  readonly #channel = new ControlChannel(this);
  readonly #client: BrokerClient;
  readonly #owner: LinkOwner;
  readonly sessionPresent: boolean;
  /** The CONNACK said yes: from then on there is a will ([MQTT-3.1.2-8]). */
  granted = false;
  #connackLeft = false;
  /** aedes may not have read all of it: asked for with every read of the socket, the channel only then. */
  #pushed = false;
  /** The connection has ended: nothing is written to its socket any more. */
  #ended = false;

  /** `sessionPresent`: a session was kept from before ([MQTT-3.2.2-2]); aedes knows only of subscriptions. */
  constructor(broker: ControlPlane, owner: LinkOwner, sessionPresent: boolean) {
    this.#owner = owner;
    this.sessionPresent = sessionPresent;
    this.#client = broker.handle(this.#channel);
  }

  /** Bytes of packets that aedes has not read. */
  get unreadBytes(): number {
    if (!this.#pushed) return 0;
    const bytes = this.#channel.readableLength;
    if (bytes === 0) this.#pushed = false;
    return bytes;
  }

  /** Hands a packet to aedes, which keeps the bytes. */
  push(packet: Buffer): void {
    this.#pushed = true;
    this.#channel.push(packet);
  }

  ping(): void {
    this.push(PINGREQ);
  }

  /** Ends the link: with DISCONNECT, which deletes the will ([MQTT-3.14.4-3]), or without. */
  end(disconnected: boolean): void {
    this.#ended = true;
    if (this.#channel.destroyed) return;
    if (disconnected) this.#channel.push(DISCONNECT);
    // aedes registers a client late in its CONNECT, even one that is closed by then; so it must come through.
    else if (this.#connackLeft) this.#client.close();
  }

  /** Ends the link though aedes has not decided on the CONNECT. */
  abandon(): void {
    this.#ended = true;
    this.#channel.destroy();
  }

  // The channel's side.

  connackLeaving(returnCode: number): boolean {
    this.granted = returnCode === 0;
    return this.granted && this.sessionPresent;
  }

  maySubscribe(filter: string): boolean {
    return this.#owner.maySubscribe(filter);
  }

  get unsentBytes(): number {
    return this.#owner.transport.writableLength;
  }

  brokerOutput(chunks: readonly Buffer[], taken: () => void): void {
    const { transport } = this.#owner;
    if (this.#ended || transport.destroyed) {
      taken();
      return;
    }
    const [first] = chunks;
    const bytes = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
    if (transport.write(bytes)) taken();
    else transport.once('drain', taken);
  }

  answered(): void {
    this.#connackLeft = true;
    // Not in the middle of aedes' writing.
    process.nextTick(() => {
      if (this.#ended) this.#client.close();
      else this.#owner.answered();
    });
  }

  tooSlow(waitingBytes: number): void {
    this.#owner.tooSlow(waitingBytes);
  }

  brokerClosed(error: Error | null): void {
    // aedes' own bookkeeping follows, at once when it is asked for; only then may a successor come.
    process.nextTick(() => {
      this.#client.close();
      this.#owner.brokerEnded(error);
    });
  }
}

/** The connection at the other end of a {@link ControlChannel}. */
export interface ChannelOwner {
  /** A CONNACK is about to leave. Returns its session-present flag, which aedes does not know rightly. */
  connackLeaving(returnCode: number): boolean;
  /** Bytes for the client, in order; `taken` is called when there is room for more. */
  brokerOutput(chunks: readonly Buffer[], taken: () => void): void;
  /** The CONNACK, or the answer to the pending SUBSCRIBE or UNSUBSCRIBE, has been handed over. */
  answered(): void;
  /** Whether the client may subscribe to the topic filter. */
  maySubscribe(filter: string): boolean;
  /** Bytes handed over by {@link brokerOutput} that the client has not taken yet. */
  readonly unsentBytes: number;
  /** The client does not read what it has subscribed to. */
  tooSlow(waitingBytes: number): void;
  /** aedes has closed its side, or failed. */
  brokerClosed(error: Error | null): void;
}

/**
 * The in-memory connection between aedes and a client: control packets go in, and what comes out is looked
 * through for the answers that the connection waits for.
 */
export class ControlChannel extends Duplex {
  readonly owner: ChannelOwner;
  /** Bytes of messages that aedes will write in a moment, see {@link promise}. */
  promisedBytes = 0;

  // The scanner's state: where in which packet the output stands.
  #packetType = 0;
  #inBody = false;
  #remaining = 0;
  #shift = -1;
  #connackPassed = false;

  constructor(owner: ChannelOwner) {
    super({ allowHalfOpen: true, emitClose: true });
    this.owner = owner;
  }

  /** Whether the client may be sent anything: the CONNACK comes first ([MQTT-3.2.0-1]). */
  get connackPassed(): boolean {
    return this.#connackPassed;
  }

  /** aedes writes a message one turn of the event loop after it was asked to forward it; a burst must count. */
  promise(bytes: number): void {
    this.promisedBytes += bytes;
  }

  /** Whatever a listener (aedes, its parser) throws concerns this connection alone. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    try {
      return super.emit(event, ...args);
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
      return true;
    }
  }

  override _read(): void {
    // Packets are pushed as they come.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#pass([chunk], done);
  }

  override _writev(items: { chunk: Buffer }[], done: () => void): void {
    this.#pass(
      items.map(({ chunk }) => chunk),
      done,
    );
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    done(error);
    this.owner.brokerClosed(error);
  }

  #pass(chunks: readonly Buffer[], done: () => void): void {
    let bytes = 0;
    let answers = 0;
    // aedes' packet generator corks the stream, so that a packet comes in one piece; the first is the CONNACK.
    const output = this.#connackPassed ? chunks : [this.#withSessionPresent(Buffer.concat(chunks))];
    for (const chunk of output) {
      bytes += chunk.length;
      answers += this.#scan(chunk);
    }
    this.promisedBytes = Math.max(0, this.promisedBytes - bytes);
    this.owner.brokerOutput(output, done);
    for (; answers > 0; answers--) this.owner.answered();
  }

  #withSessionPresent(output: Buffer): Buffer {
    if (output.length < 4 || (output[0] as number) >> 4 !== PacketType.Connack) return output;
    this.#connackPassed = true;
    output[2] = this.owner.connackLeaving(output[3] as number) ? 1 : 0;
    return output;
  }

  /** Follows the packets through one chunk; returns how many answers end in it. */
  #scan(chunk: Buffer): number {
    let answers = 0;
    let at = 0;
    while (at < chunk.length) {
      if (this.#inBody) {
        const length = Math.min(this.#remaining, chunk.length - at);
        at += length;
        this.#remaining -= length;
      } else if (this.#shift < 0) {
        this.#packetType = (chunk[at++] as number) >> 4;
        this.#shift = 0;
        this.#remaining = 0;
        continue;
      } else {
        const byte = chunk[at++] as number;
        this.#remaining |= (byte & 0x7f) << this.#shift;
        this.#shift += 7;
        if (byte > 0x7f) continue;
        this.#inBody = true;
      }
      if (this.#remaining > 0) continue;
      this.#inBody = false;
      this.#shift = -1;
      if (isAnswer(this.#packetType)) answers++;
    }
    return answers;
  }
}

const isAnswer = (type: number): boolean =>
  type === PacketType.Connack || type === PacketType.Suback || type === PacketType.Unsuback;
