import { connect, type Socket } from 'node:net';

/** What all devices of a group share. */
export interface DeviceOptions {
  readonly port: number;
  readonly topicPrefix: string;
  readonly payloadBytes: number;
  /** Most messages without PUBACK; 0: QoS 0, as much as the socket takes. */
  readonly window: number;
  /** A message has its PUBACK. */
  readonly onAcknowledged: (device: EdgeDevice, latencyMs: number) => void;
  readonly onClosed: (device: EdgeDevice) => void;
}

const CONNACK = 0x20;
const PUBACK = 0x40;
const PINGRESP = 0xd0;
const PINGREQ = Buffer.from([0xc0, 0]);
const DISCONNECT = Buffer.from([0xe0, 0]);
/** At QoS 0: bytes that wait for the socket when a device stops writing. */
const MAX_UNSENT_BYTES = 64 * 1024;
/** Of all devices: what is read is looked at before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(65_536);

/**
 * A device on a raw socket, as light as one can be, so that ten thousand fit into a process: publishes numbered
 * messages with QoS 1, keeps a persistent session, and after a reconnect sends again what has no PUBACK.
 */
export class EdgeDevice {
  readonly name: string;
  /** Messages 1 to `sent` were published. */
  sent = 0;
  acknowledged = 0;
  isUp = false;
  pongs = 0;
  /** Connections in a row that ended before their CONNACK. */
  failures = 0;
  readonly #options: DeviceOptions;
  readonly #topic: Buffer;
  #socket: Socket | undefined;
  /** Packet identifier -> number of the message and when it was first sent, in the order of sending. */
  readonly #inFlight = new Map<number, { readonly sequence: number; readonly sentAtMs: number }>();
  #rest = Buffer.alloc(0);

  constructor(name: string, options: DeviceOptions) {
    this.name = name;
    this.#options = options;
    this.#topic = lengthPrefixed(`${options.topicPrefix}${name}`);
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  connect(): void {
    this.#rest = Buffer.alloc(0);
    const socket = connect({
      port: this.#options.port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (bytes: number) => {
          if (this.#socket === socket) this.#read(Buffer.from(readBuffer.subarray(0, bytes)));
          return true;
        },
      },
    });
    this.#socket = socket;
    socket.once('connect', () => socket.write(connectFrame(this.name)));
    // What went wrong doesn't matter: it is a connection lost.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      if (!this.isUp) this.failures++;
      this.isUp = false;
      this.#options.onClosed(this);
    });
  }

  /** Publishes one more message. False: not connected, or the window is full. */
  publish(): boolean {
    if (!this.isUp) return false;
    if (this.#options.window === 0) return this.#publishUnanswered();
    if (this.#inFlight.size >= this.#options.window) return false;
    const sequence = ++this.sent;
    const packetId = ((sequence - 1) % 65_535) + 1;
    this.#inFlight.set(packetId, { sequence, sentAtMs: performance.now() });
    this.#socket?.write(this.#frame(packetId, sequence, false));
    return true;
  }

  #publishUnanswered(): boolean {
    const socket = this.#socket;
    if (socket === undefined || socket.writableLength > MAX_UNSENT_BYTES) return false;
    socket.write(this.#frame(undefined, ++this.sent, false));
    return true;
  }

  ping(): void {
    if (this.isUp) this.#socket?.write(PINGREQ);
  }

  /** As a power cut does. */
  drop(): void {
    this.#socket?.destroy();
  }

  disconnect(): void {
    this.#socket?.end(DISCONNECT);
  }

  /** Without packet identifier: QoS 0. */
  #frame(packetId: number | undefined, sequence: number, dup: boolean): Buffer {
    const payload = Buffer.alloc(this.#options.payloadBytes, 0x20);
    payload.write(`${this.name} ${sequence}`);
    const id = packetId === undefined ? Buffer.alloc(0) : Buffer.of(packetId >> 8, packetId & 0xff);
    const length = this.#topic.length + id.length + payload.length;
    const remaining = length < 128 ? [length] : [(length & 0x7f) | 0x80, length >> 7];
    const qos = packetId === undefined ? 0 : 1;
    const header = Buffer.from([0x30 | (qos << 1) | (dup ? 8 : 0), ...remaining]);
    return Buffer.concat([header, this.#topic, id, payload]);
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    // Everything that a server sends to a publisher is 2 to 4 bytes long.
    while (at + 2 <= bytes.length && at + 2 + bytes[at + 1]! <= bytes.length) {
      const type = bytes[at]! & 0xf0;
      if (type === PUBACK) this.#acknowledged((bytes[at + 2]! << 8) | bytes[at + 3]!);
      else if (type === PINGRESP) this.pongs++;
      else if (type === CONNACK && bytes[at + 3] === 0) this.#connected();
      at += 2 + bytes[at + 1]!;
    }
    this.#rest = Buffer.from(bytes.subarray(at));
  }

  #connected(): void {
    this.isUp = true;
    this.failures = 0;
    for (const [packetId, { sequence }] of this.#inFlight) {
      this.#socket?.write(this.#frame(packetId, sequence, true));
    }
  }

  #acknowledged(packetId: number): void {
    const message = this.#inFlight.get(packetId);
    if (message === undefined) return;
    this.#inFlight.delete(packetId);
    this.acknowledged++;
    this.#options.onAcknowledged(this, performance.now() - message.sentAtMs);
  }
}

function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes]);
}

/** MQTT 3.1.1, persistent session, keepalive of 60 seconds. */
function connectFrame(clientId: string): Buffer {
  const body = Buffer.concat([lengthPrefixed('MQTT'), Buffer.of(4, 0, 0, 60), lengthPrefixed(clientId)]);
  return Buffer.concat([Buffer.of(0x10, body.length), body]);
}
