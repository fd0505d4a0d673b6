import { createHash, type X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { TransportFault, type Transport } from './transport.ts';
import {
  CloseCode,
  frameHeader,
  Opcode,
  WebSocketReader,
  type WebSocketHandler,
} from './websocket-frames.ts';

/*
 * MQTT over WebSocket (MQTT 3.1.1 section 6; RFC 6455). Ours, and not the package `ws`, because that puts each
 * message together before it is seen: up to the largest packet for each connection, outside every bound. Here
 * payload flows on as it comes, so that a WebSocket costs the memory of a plain connection.
 */

/** The name under which MQTT goes over WebSocket ([MQTT-6.0.0-4]), and the one that MQTT 3.1 had. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1'];
/** RFC 6455 section 1.3. */
const ACCEPT_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Pings of a client that doesn't read its pongs are not answered: it needs only the last (section 5.5.3). */
const MAX_UNSENT_PONG_BYTES = 16 * 1024;

export interface Refusal {
  /** HTTP status. */
  readonly status: number;
  readonly detail: string;
}

/** The answer to an upgrade request: the response's head, or why there is no WebSocket. */
export function answerUpgrade(
  { method, url = '/', headers }: Pick<IncomingMessage, 'method' | 'url' | 'headers'>,
  path: string | undefined,
): string | Refusal {
  const key = headers['sec-websocket-key'] ?? '';
  const found = url.split('?', 1)[0];
  if (path !== undefined && found !== path) {
    return { status: 404, detail: `MQTT is at ${path} here, not at ${found ?? ''}` };
  }
  if (method !== 'GET' || headers.upgrade?.toLowerCase() !== 'websocket') {
    return { status: 426, detail: 'this is MQTT over WebSocket' };
  }
  if (headers['sec-websocket-version'] !== '13')
    return { status: 426, detail: 'version 13 of WebSocket is wanted' };
  if (Buffer.from(key, 'base64').length !== 16 || key.length !== 24) {
    return { status: 400, detail: 'Sec-WebSocket-Key is no key' };
  }
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  const protocol = offered.find((name) => SUBPROTOCOLS.includes(name));
  if (protocol === undefined) {
    return { status: 400, detail: 'the client must offer the subprotocol mqtt ([MQTT-6.0.0-3])' };
  }
  const accept = createHash('sha1')
    .update(key + ACCEPT_SUFFIX)
    .digest('base64');
  return response('101 Switching Protocols', [
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept}`,
    `Sec-WebSocket-Protocol: ${protocol}`,
  ]);
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  404: 'Not Found',
  426: 'Upgrade Required',
};

/** A response that says why there is no WebSocket, and ends the connection. */
export function refusalResponse({ status, detail }: Refusal): string {
  const body = `${detail}\n`;
  const upgrade = status === 426 ? ['Upgrade: websocket', 'Sec-WebSocket-Version: 13'] : [];
  const head = response(`${status} ${REASONS[status] ?? ''}`, [
    ...upgrade,
    `Connection: ${status === 426 ? 'Upgrade, close' : 'close'}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]);
  return head + body;
}

const response = (status: string, headers: readonly string[]): string =>
  [`HTTP/1.1 ${status}`, ...headers, '', ''].join('\r\n');

/** A connection whose bytes are the payload of WebSocket frames. */
export class WebSocketTransport implements Transport, WebSocketHandler {
  readonly #socket: Duplex;
  readonly #reader = new WebSocketReader(this);
  readonly #onEnd: (() => void)[] = [];
  readonly #onError: ((error: Error) => void)[] = [];
  #received: (bytes: Buffer) => void = () => {};
  #closeCode: number = CloseCode.Normal;
  #ended = false;
  /** Nothing of what comes is looked at any more. */
  #deaf = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  /** Reads from now on, beginning with what came behind the request. */
  start(received: (bytes: Buffer) => void, head: Buffer): void {
    this.#received = received;
    if (head.length > 0) this.#read(head);
    this.#socket.on('data', (bytes: Buffer) => this.#read(bytes));
  }

  #read(bytes: Buffer): void {
    if (this.#deaf) return;
    const fault = this.#reader.read(bytes);
    if (fault === undefined) return;
    this.#deaf = true;
    this.#closeCode = fault.code;
    for (const listener of this.#onError) listener(new TransportFault(fault.detail));
  }

  // The reader's side.

  payload(bytes: Buffer): void {
    if (!this.#ended) this.#received(bytes);
  }

  ping(payload: Buffer): void {
    if (this.#ended || this.#socket.writableLength > MAX_UNSENT_PONG_BYTES) return;
    this.#frame(Opcode.Pong, payload);
  }

  closing(): void {
    for (const listener of this.#onEnd) listener();
  }

  // The connection's side.

  getPeerX509Certificate(): X509Certificate | undefined {
    return this.#socket instanceof TLSSocket ? this.#socket.getPeerX509Certificate() : undefined;
  }

  get writableLength(): number {
    return this.#socket.writableLength;
  }

  get readableLength(): number {
    return this.#socket.readableLength;
  }

  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  write(bytes: Uint8Array): boolean {
    return this.#frame(Opcode.Binary, bytes);
  }

  #frame(opcode: Opcode, payload: Uint8Array): boolean {
    const socket = this.#socket;
    socket.cork();
    socket.write(frameHeader(opcode, payload.length));
    const hasRoom = socket.write(payload);
    socket.uncork();
    return hasRoom;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Closes the WebSocket, then our side of the connection. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const code = Buffer.from([this.#closeCode >>> 8, this.#closeCode & 0xff]);
    if (!this.#socket.destroyed && this.#socket.writable) this.#frame(Opcode.Close, code);
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  once(event: 'drain', listener: () => void): void {
    this.#socket.once(event, listener);
  }

  on(event: 'close' | 'end', listener: () => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'close' | 'end' | 'error', listener: (error: Error) => void): void {
    const plain = listener as () => void;
    if (event === 'end') this.#onEnd.push(plain);
    if (event === 'error') this.#onError.push(listener);
    this.#socket.on(event, event === 'error' ? listener : plain);
  }
}
