import { unlinkSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type Server as HttpServer } from 'node:http';
import { Socket, connect, createServer, type AddressInfo, type Server } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import type { Cancel, Clock } from '../../core/clock.ts';
import { SluiceError, errorMessage } from '../../core/errors.ts';
import { LISTENER_TYPES } from '../../core/listener.ts';
import type { Logger } from '../../core/logger.ts';
import { Handshakes, type HandshakeEnd } from './handshakes.ts';
import { listenerName, listenerUrl, type ListenerAddress, type ListenerSpec } from './listener-spec.ts';
import { MAX_PROXY_HEADER_BYTES, readProxyHeader } from './proxy-header.ts';
import { readTlsFiles, watchTlsFiles } from './tls-credentials.ts';
import type { AcceptTransport } from './transport.ts';
import { WebSocketTransport, answerUpgrade, refusalResponse } from './websocket.ts';

export interface ListenerOptions {
  readonly accept: AcceptTransport;
  /** A connection has ended before it was one of MQTT. */
  readonly handshakeFailed: (remote: string, reason: HandshakeEnd, detail: string) => void;
  /** How long what comes before MQTT may take, and for how many connections at once. */
  readonly connectTimeoutMs: number;
  readonly maxConnections: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A request for an upgrade is small; so is all that a client may send before it is known. */
const MAX_HTTP_HEADER_BYTES = 8 * 1024;

/**
 * How much a paused socket may have read ahead: so much, and one read more. The unpaused ones don't notice.
 */
const HIGH_WATER_MARK = 16 * 1024;

/**
 * A place where devices connect. Each connection passes, as far as the listener has them, the PROXY header,
 * TLS and the WebSocket's handshake, and is then a transport of MQTT's bytes.
 */
export class Listener {
  readonly #spec: ListenerSpec;
  readonly #options: ListenerOptions;
  readonly #handshakes: Handshakes;
  readonly #server: Server;
  readonly #tls: TlsServer | undefined;
  readonly #http: HttpServer | undefined;
  /** By the ends of the connection: which socket a TLS socket stands upon. */
  readonly #underTls = new Map<string, Socket>();
  #cancelWatch: Cancel = () => {};

  /** @throws {SluiceError} LISTENER_TLS_FILE, LISTENER_TLS_INVALID */
  constructor(spec: ListenerSpec, options: ListenerOptions) {
    this.#spec = spec;
    this.#options = options;
    const { clock, logger, connectTimeoutMs, maxConnections, handshakeFailed } = options;
    this.#handshakes = new Handshakes({
      clock,
      timeoutMs: connectTimeoutMs,
      max: maxConnections,
      failed: handshakeFailed,
    });
    const { isTls, path } = LISTENER_TYPES[spec.type];
    this.#tls = isTls ? this.#tlsServer() : undefined;
    this.#http = path === 'url' ? this.#httpServer() : undefined;
    this.#server = createServer(
      // A dead peer of a connection without keepalive is found by TCP's own.
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000, highWaterMark: HIGH_WATER_MARK },
      (socket) => this.#connected(socket),
    );
    this.#server.on('error', (error) =>
      logger.error({ listener: listenerName(spec), reason: error.message }, 'an MQTT listener failed'),
    );
  }

  /**
   * @throws {SluiceError} LISTENER_PORT_IN_USE, LISTENER_NOT_PERMITTED, LISTENER_ADDRESS_UNKNOWN,
   * LISTENER_FAILED
   */
  async listen(): Promise<void> {
    const spec = this.#spec;
    try {
      if (spec.type === 'unix') await this.#listenOnFile(spec.path);
      else await this.#listenOn({ host: spec.host, port: spec.port });
    } catch (error) {
      throw listenError(error as NodeJS.ErrnoException, listenerName(spec));
    }
  }

  #listenOn(where: { path: string } | { host: string; port: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ ...where, backlog: 4_096 }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  /** A socket's file that nobody listens at was left by a gateway that was killed. */
  async #listenOnFile(path: string): Promise<void> {
    try {
      await this.#listenOn({ path });
    } catch (error) {
      const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!inUse || !(await isAbandoned(path))) throw error;
      unlinkSync(path);
      await this.#listenOn({ path });
    }
  }

  address(): ListenerAddress {
    const spec = this.#spec;
    if (spec.type === 'unix') return { spec, host: spec.path, port: 0, url: listenerUrl(spec) };
    const { port } = this.#server.address() as AddressInfo;
    return { spec: { ...spec, port }, host: spec.host, port, url: listenerUrl({ ...spec, port }) };
  }

  /** Takes no further connections; the open ones stay, those that are not MQTT yet end. */
  close(): void {
    this.#cancelWatch();
    if (this.#server.listening) this.#server.close();
    this.#handshakes.clear();
  }

  // The way of a connection.

  #connected(socket: Socket): void {
    const spec = this.#spec;
    const remote =
      spec.type === 'unix'
        ? `unix:${spec.path}`
        : `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
    const isPlain = spec.type === 'tcp' || spec.type === 'unix';
    if (isPlain && spec.proxyProtocol !== true) {
      socket.on('data', this.#options.accept(socket, remote));
      return;
    }
    if (!this.#handshakes.begin(socket, remote)) return;
    if (spec.proxyProtocol === true) this.#readProxyHeader(socket);
    else this.#passOn(socket);
  }

  #readProxyHeader(socket: Socket): void {
    let received: Buffer = Buffer.alloc(0);
    const onData = (bytes: Buffer): void => {
      received = received.length === 0 ? bytes : Buffer.concat([received, bytes]);
      const header = readProxyHeader(received);
      if (header.kind === 'unfinished' && received.length <= MAX_PROXY_HEADER_BYTES) return;
      socket.off('data', onData);
      socket.pause();
      if (header.kind !== 'header') {
        const detail = header.kind === 'problem' ? header.detail : 'a PROXY header without end';
        this.#handshakes.explain(socket, detail);
        socket.destroy();
        return;
      }
      if (header.client !== undefined) this.#handshakes.identify(socket, header.client);
      if (header.end < received.length) socket.unshift(received.subarray(header.end));
      this.#passOn(socket);
    };
    socket.on('data', onData);
  }

  #passOn(socket: Socket): void {
    if (this.#tls !== undefined) {
      const ends = endsOf(socket);
      this.#underTls.set(ends, socket);
      socket.once('close', () => this.#underTls.delete(ends));
      this.#tls.emit('connection', socket);
    } else if (this.#http !== undefined) {
      this.#http.emit('connection', socket);
      socket.resume();
    } else {
      const remote = this.#handshakes.finish(socket);
      if (remote === undefined) return;
      socket.on('data', this.#options.accept(socket, remote));
      socket.resume();
    }
  }

  // TLS.

  #tlsServer(): TlsServer {
    const spec = this.#spec;
    const { clock, logger } = this.#options;
    const files = 'tls' in spec ? spec.tls : undefined;
    if (files === undefined) throw new TypeError(`a listener of type ${spec.type} without certificate`);
    const wantsCertificate = files.clientCa !== undefined;
    const server = createTlsServer({
      ...readTlsFiles(files),
      minVersion: 'TLSv1.2',
      requestCert: wantsCertificate,
      // Looked at in #secured, which says what is wrong with it.
      rejectUnauthorized: false,
    });
    server.on('secureConnection', (secured: TLSSocket) => this.#secured(secured, wantsCertificate));
    server.on('tlsClientError', (error: Error, secured: TLSSocket) => {
      const socket = this.#underTls.get(endsOf(secured));
      // Node ends the connection. To end what is beneath while TLS is at work on it crashes the process.
      if (socket !== undefined) this.#handshakes.explain(socket, `TLS: ${tlsProblem(error)}`);
    });
    this.#cancelWatch = watchTlsFiles(
      files,
      clock,
      (credentials) => {
        server.setSecureContext({ ...credentials, minVersion: 'TLSv1.2' });
        logger.info({ listener: listenerName(spec), cert: files.cert }, 'a TLS certificate was reloaded');
      },
      (error) => {
        const fields = { listener: listenerName(spec), reason: errorMessage(error) };
        logger.error(fields, 'a changed TLS certificate is not sound; the one from before stays');
      },
    );
    return server;
  }

  #secured(secured: TLSSocket, wantsCertificate: boolean): void {
    const socket = this.#underTls.get(endsOf(secured));
    if (socket === undefined) {
      secured.destroy();
      return;
    }
    if (wantsCertificate && !secured.authorized) {
      const why = String(secured.authorizationError);
      this.#handshakes.explain(socket, `TLS: the client's certificate is not accepted: ${why}`);
      secured.destroy();
      return;
    }
    if (this.#http !== undefined) {
      this.#http.emit('connection', secured);
      return;
    }
    const remote = this.#handshakes.finish(socket);
    if (remote !== undefined) secured.on('data', this.#options.accept(secured, remote));
  }

  // WebSocket.

  #httpServer(): HttpServer {
    const server = createHttpServer({ maxHeaderSize: MAX_HTTP_HEADER_BYTES });
    const refuse = (request: IncomingMessage, socket: Duplex): void =>
      this.#upgrade(request, socket, Buffer.alloc(0));
    server.on('request', (request) => refuse(request, request.socket));
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    server.on('clientError', (error, socket) => {
      const beneath = this.#beneath(socket);
      if (beneath !== undefined) this.#handshakes.explain(beneath, `HTTP: ${error.message}`);
      socket.destroy();
    });
    return server;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const spec = this.#spec;
    const path = spec.type === 'ws' || spec.type === 'wss' ? spec.path : undefined;
    const answer = answerUpgrade(request, path);
    const beneath = this.#beneath(socket);
    if (beneath === undefined) {
      socket.destroy();
      return;
    }
    if (typeof answer !== 'string') {
      this.#handshakes.explain(beneath, `WebSocket: ${answer.detail}`);
      socket.end(refusalResponse(answer), () => socket.destroy());
      return;
    }
    const remote = this.#handshakes.finish(beneath);
    if (remote === undefined) return;
    socket.write(answer);
    const transport = new WebSocketTransport(socket);
    transport.start(this.#options.accept(transport, remote), head);
  }

  /** The socket that the handshake began with. */
  #beneath(socket: Duplex): Socket | undefined {
    if (!(socket instanceof Socket)) return undefined;
    return this.#underTls.get(endsOf(socket)) ?? socket;
  }
}

/** Both ends of a connection: there is no other with the same. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress ?? ''} ${remotePort ?? 0} ${localAddress ?? ''} ${localPort ?? 0}`;
}

/** The reason in OpenSSL's words, without the places in its sources. */
function tlsProblem({ message }: Error): string {
  return /^[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):/.exec(message)?.[1] ?? message;
}

/** Whether nobody listens at the file of a unix domain socket. */
function isAbandoned(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}

const CHANGE = 'change mqtt.listeners in the configuration';

/** A server's failure to listen, as a person can act upon it. */
export function listenError(error: NodeJS.ErrnoException, address: string): SluiceError {
  const [code, meaning] = meaningOf(error, address);
  return new SluiceError(code, `MQTT can't listen on ${address}: ${meaning}`, { cause: error });
}

function meaningOf(error: NodeJS.ErrnoException, address: string): [code: string, meaning: string] {
  switch (error.code) {
    case 'EADDRINUSE':
      return ['LISTENER_PORT_IN_USE', `another process has this port. Stop it, or ${CHANGE}.`];
    case 'EACCES':
    case 'EPERM': {
      const isFile = address.startsWith('/');
      const way = isFile ? 'may not write there. To fix it,' : 'may not. Choose a port above 1023:';
      return ['LISTENER_NOT_PERMITTED', `this user ${way} ${CHANGE}.`];
    }
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return ['LISTENER_ADDRESS_UNKNOWN', `this machine has no such address. To fix it, ${CHANGE}.`];
    default:
      return ['LISTENER_FAILED', errorMessage(error)];
  }
}
