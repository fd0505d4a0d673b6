import { ControlChannel, type ChannelOwner } from './control-channel.ts';
import { PacketType } from '../connection/control-packets.ts';
import type { BrokerClient, LocalBroker } from './local-broker.ts';
import type { Transport } from '../edge/transport.ts';

/** The connection that a link belongs to. */
export interface LinkOwner {
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
  readonly #transport: Transport;
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
  constructor(broker: LocalBroker, transport: Transport, owner: LinkOwner, sessionPresent: boolean) {
    this.#transport = transport;
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

  get unsentBytes(): number {
    return this.#transport.writableLength;
  }

  brokerOutput(chunks: readonly Buffer[], taken: () => void): void {
    if (this.#ended || this.#transport.destroyed) {
      taken();
      return;
    }
    const [first] = chunks;
    const bytes = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
    if (this.#transport.write(bytes)) taken();
    else this.#transport.once('drain', taken);
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
