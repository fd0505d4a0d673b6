import { Connection, Writer, type ConnectionOptions, type SASLOptions } from '@platformatic/kafka';
import { errorMessage } from '../core/errors.ts';
import { BrokerUnavailableError, type ProducerError } from '../producer/errors.ts';
import { securityFailure } from './security/failure.ts';
import { rejectedTokenReason } from './security/oauth.ts';
import type { Sasl } from './security/sasl.ts';
import type { ClientSecurity } from './security/security.ts';

/** A Kafka API in the version that is spoken, as the request's header names it. */
export interface ApiVersion {
  readonly key: number;
  readonly version: number;
  /** Whether request and response headers end with tagged fields (KIP-482). */
  readonly requestTags: boolean;
  readonly responseTags: boolean;
}

export interface WireOptions {
  readonly clientId: string;
  readonly connectTimeoutMs: number;
  /** A request without an answer after this time ends the connection. */
  readonly requestTimeoutMs: number;
  readonly security: ClientSecurity;
}

/**
 * One connection to a broker, which carries requests and responses as bytes. It wraps @platformatic/kafka's
 * Connection: framing, correlation, timeouts, TLS and SASL, with TCP_NODELAY on. What is in the bytes is ours.
 */
export class Wire {
  readonly #connection: Connection;
  readonly #security: ClientSecurity;
  readonly #address: string;
  /** The last thing that the socket complained of, which says more than "closed". */
  #lastError: unknown;
  #answers = 0;
  #unanswered = 0;

  private constructor(connection: Connection, security: ClientSecurity, address: string) {
    this.#connection = connection;
    this.#security = security;
    this.#address = address;
    // Failures reach us through the requests and through 'close'; without a listener the event would throw.
    connection.on('error', (error) => {
      this.#lastError = error;
    });
  }

  /**
   * Connects, and logs in. `onClose` is called once when the connection is gone, by whatever cause.
   * @throws BrokerSecurityError the broker and we don't trust each other
   * @throws BrokerUnavailableError it can't be reached
   */
  static async open(host: string, port: number, options: WireOptions, onClose: () => void): Promise<Wire> {
    const { security } = options;
    const address = `${host}:${port}`;
    let connection: Connection | undefined;
    try {
      connection = new Connection(options.clientId, {
        connectTimeout: options.connectTimeoutMs,
        requestTimeout: options.requestTimeoutMs,
        // How many requests are in flight is the sender's decision; none of ours may queue behind another here.
        maxInflights: 1_000,
        ...securityOptions(security, host),
      });
      const wire = new Wire(connection, security, address);
      await connection.connect(host, port);
      connection.once('close', onClose);
      return wire;
    } catch (error) {
      connection?.close().catch(() => {});
      // After a failed handshake it would only be half closed.
      connection?.socket.destroy();
      throw (
        securityFailure(error, address, security.protocol) ??
        new BrokerUnavailableError(`${address} can't be reached: ${rootMessage(error)}`, { cause: error })
      );
    }
  }

  get isConnected(): boolean {
    return this.#connection.isConnected() || this.#isLoggingInAgain;
  }

  /** Whether the broker has answered anything but the first question, which it also answers to strangers. */
  get hasServed(): boolean {
    return this.#answers > 1;
  }

  /** Requests that wait for their answers. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /**
   * Logins have an end (connections.max.reauth.ms, KIP-368), and are renewed in good time by Connection. Until
   * that is done the broker takes no other request: it would close the connection.
   */
  get #isLoggingInAgain(): boolean {
    return this.#connection.status === 'reauthenticating';
  }

  /**
   * Sends one request; requests leave in the order of the calls.
   * @returns the response's body, behind its header
   * @throws BrokerUnavailableError when none came
   */
  async request(api: ApiVersion, body: readonly Uint8Array[]): Promise<Buffer> {
    this.#unanswered++;
    try {
      const answer = await (this.#isLoggingInAgain
        ? this.#loggedIn().then(() => this.#send(api, body))
        : this.#send(api, body));
      this.#answers++;
      return answer;
    } finally {
      this.#unanswered--;
    }
  }

  #send(api: ApiVersion, body: readonly Uint8Array[]): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#connection.send<Buffer>(
        api.key,
        api.version,
        () => writerOf(body),
        (_correlationId, _apiKey, _apiVersion, reader) => reader.buffer.slice(reader.position),
        api.requestTags,
        api.responseTags,
        (error, response) => {
          if (error === null && response !== undefined) resolve(response);
          else reject(this.#unavailable(error));
        },
      );
    });
  }

  /** Sends a request that the broker does not answer: Produce with acks=0. Resolves when it was handed to the socket. */
  async notify(api: ApiVersion, body: readonly Uint8Array[]): Promise<void> {
    if (this.#isLoggingInAgain) await this.#loggedIn();
    await new Promise<void>((resolve, reject) => {
      this.#connection.send<boolean>(
        api.key,
        api.version,
        () => {
          const writer = writerOf(body);
          writer.context.noResponse = true;
          return writer;
        },
        () => true,
        api.requestTags,
        api.responseTags,
        (error) => {
          if (error === null) resolve();
          else reject(this.#unavailable(error));
        },
      );
    });
  }

  /** Resolves when the login is renewed, or the connection gone; callers go on in the order in which they came. */
  #loggedIn(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#connection.off('connect', done);
        this.#connection.off('close', done);
        resolve();
      };
      this.#connection.on('connect', done);
      this.#connection.on('close', done);
    });
  }

  #unavailable(error: unknown): ProducerError {
    const { protocol } = this.#security;
    // What a broker holds against a certificate or a login may come after the connection was made.
    const failure =
      securityFailure(error, this.#address, protocol) ??
      securityFailure(this.#lastError, this.#address, protocol);
    if (failure !== undefined) return failure;
    return new BrokerUnavailableError(`no answer from ${this.#address}: ${rootMessage(error)}`, {
      cause: error,
    });
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
}

function securityOptions({ tls, sasl }: ClientSecurity, host: string): ConnectionOptions {
  return {
    ...(tls === undefined ? {} : { tls: tls(host) }),
    ...(sasl === undefined ? {} : { sasl: saslOptions(sasl) }),
  };
}

function saslOptions(sasl: Sasl): SASLOptions {
  const { mechanism } = sasl;
  if (mechanism !== 'OAUTHBEARER') {
    return {
      mechanism,
      username: () => sasl.credentials().username,
      password: () => sasl.credentials().password,
    };
  }
  return {
    mechanism,
    token: async () => (await sasl.token()).value,
    oauthBearerExtensions: async () => ({ ...(await sasl.token()).extensions }),
    authBytesValidator(bytes, callback) {
      const reason = rejectedTokenReason(bytes);
      if (reason === undefined) callback(null, bytes);
      else callback(new Error(`authentication failed: ${reason}`), bytes);
    },
  };
}

function writerOf(body: readonly Uint8Array[]): Writer {
  const writer = Writer.create();
  for (const piece of body) {
    // An empty piece would corrupt the writer's buffer list (platformatic/dynamic-buffer#12).
    if (piece.length > 0) writer.append(Buffer.from(piece.buffer, piece.byteOffset, piece.length));
  }
  return writer;
}

/** The message of the first cause: "connect ECONNREFUSED ..." says more than "Connection failed". */
function rootMessage(error: unknown): string {
  let root = error;
  while (root instanceof Error && root.cause !== undefined) root = root.cause;
  const message = errorMessage(root);
  return message === '' && root instanceof Error && 'code' in root ? String(root.code) : message;
}
