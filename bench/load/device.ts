import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { QoS } from '../../src/core/publication.ts';
import { DISCONNECT, encodeConnect } from './frames.ts';
import type { FrameRing } from './frames.ts';
import type { Histogram } from './histogram.ts';

export interface LoadDeviceOptions {
  readonly host: string;
  readonly port: number;
  /** By TLS; whose certificate it is doesn't matter to a load. */
  readonly tls: boolean;
  readonly clientId: string;
  readonly qos: QoS;
  readonly ring: FrameRing;
  /** QoS 1: most messages in flight. QoS 0: most messages a write. */
  readonly window: number;
}

/** What a device tells the load about. */
export interface LoadDeviceEvents {
  /** So many messages were acknowledged; at QoS 0 the socket has drained, with 0. There may be room again. */
  room(device: LoadDevice, acknowledged: number): void;
  /** The connection is gone; undefined after our own DISCONNECT. */
  closed(device: LoadDevice, error: Error | undefined): void;
}

const CONNACK = 0x20;
const PUBACK = 0x40;
/** Of all devices: what is read is looked at before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(65_536);
/** Long enough that no run needs a PINGREQ: a load without any is the fairest to every bridge. */
const KEEPALIVE_SECONDS = 0;

/** One connection of the load generator: a raw socket that sends slices of its ring and counts PUBACKs. */
export class LoadDevice {
  readonly #options: LoadDeviceOptions;
  readonly #events: LoadDeviceEvents;
  readonly #socket: Socket;
  readonly #connected = Promise.withResolvers<undefined>();
  /** When frame i was last sent, in ms; 0 when it is not in flight. */
  readonly #sentAtMs: Float64Array;
  /** Counts of frames since the start; a frame's place in the ring is the rest of the division by its length. */
  #sent = 0;
  #oldestInFlight = 0;
  #inFlight = 0;
  #latency: Histogram | undefined;
  #ending = false;
  #error: Error | undefined;
  /** Bytes of a packet that the last read left incomplete. */
  #rest: Buffer = Buffer.alloc(0);

  constructor(options: LoadDeviceOptions, events: LoadDeviceEvents) {
    this.#options = options;
    this.#events = events;
    this.#sentAtMs = new Float64Array(options.ring.length);
    const target = {
      host: options.host,
      port: options.port,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (bytes: number) => {
          this.#read(readBuffer.subarray(0, bytes));
          return true;
        },
      },
    };
    this.#socket = options.tls ? connectTls({ ...target, rejectUnauthorized: false }) : connect(target);
    this.#socket.on(options.tls ? 'secureConnect' : 'connect', () =>
      this.#socket.write(encodeConnect(options.clientId, KEEPALIVE_SECONDS)),
    );
    this.#socket.on('drain', () => {
      if (options.qos === 0) events.room(this, 0);
    });
    this.#socket.on('error', (error) => {
      this.#error = error;
    });
    this.#socket.on('close', () => {
      const error = this.#ending ? undefined : (this.#error ?? new Error('the bridge closed the connection'));
      if (error !== undefined) this.#connected.reject(error);
      events.closed(this, error);
    });
  }

  /** Resolves with the CONNACK. */
  connected(): Promise<undefined> {
    return this.#connected.promise;
  }

  /** PUBLISH to PUBACK goes into `latency` from now on. */
  measureInto(latency: Histogram | undefined): void {
    this.#latency = latency;
  }

  /** Sends up to `count` messages as far as window and ring allow, in one write; returns how many. */
  send(count: number): number {
    const { ring, qos, window } = this.#options;
    if (qos === 0 && this.#socket.writableNeedDrain) return 0;
    const room = qos === 0 ? window : Math.min(window - this.#inFlight, this.#idsLeft());
    const number = Math.min(count, room, ring.length);
    if (number <= 0) return 0;
    const first = this.#sent % ring.length;
    const beforeWrap = Math.min(number, ring.length - first);
    if (number > beforeWrap) this.#socket.cork();
    this.#write(first, beforeWrap);
    if (number > beforeWrap) {
      this.#write(0, number - beforeWrap);
      this.#socket.uncork();
    }
    this.#sent += number;
    if (qos > 0) this.#inFlight += number;
    return number;
  }

  disconnect(): void {
    this.#ending = true;
    this.#socket.end(DISCONNECT);
  }

  destroy(): void {
    this.#ending = true;
    this.#socket.destroy();
  }

  #write(first: number, number: number): void {
    const { bytes, offsets } = this.#options.ring;
    if (this.#options.qos > 0) this.#sentAtMs.fill(performance.now(), first, first + number);
    this.#socket.write(bytes.subarray(offsets[first], offsets[first + number]));
  }

  /** A packet identifier is free again only when its message is acknowledged, in whatever order they come. */
  #idsLeft(): number {
    const { length } = this.#options.ring;
    while (this.#oldestInFlight < this.#sent && this.#sentAtMs[this.#oldestInFlight % length] === 0) {
      this.#oldestInFlight++;
    }
    return length - (this.#sent - this.#oldestInFlight);
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const nowMs = performance.now();
    let acknowledged = 0;
    let at = 0;
    // Everything that a bridge sends to a publisher is 2 to 4 bytes long.
    while (at + 2 <= bytes.length && at + 2 + (bytes[at + 1] as number) <= bytes.length) {
      const type = (bytes[at] as number) & 0xf0;
      if (type === PUBACK) {
        this.#acknowledged(((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number), nowMs);
        acknowledged++;
      } else if (type === CONNACK) {
        this.#connack(bytes[at + 3] as number);
      }
      at += 2 + (bytes[at + 1] as number);
    }
    this.#rest = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at));
    if (acknowledged > 0) this.#events.room(this, acknowledged);
  }

  #acknowledged(packetId: number, nowMs: number): void {
    const sentAtMs = this.#sentAtMs[packetId - 1];
    if (sentAtMs === undefined || sentAtMs === 0) {
      this.#socket.destroy(
        new Error(`a PUBACK for the packet identifier ${packetId}, which is not in flight`),
      );
      return;
    }
    this.#sentAtMs[packetId - 1] = 0;
    this.#inFlight--;
    this.#latency?.record(nowMs - sentAtMs);
  }

  #connack(code: number): void {
    if (code === 0) this.#connected.resolve(undefined);
    else this.#connected.reject(new Error(`the bridge refused the connection: CONNACK return code ${code}`));
  }
}
