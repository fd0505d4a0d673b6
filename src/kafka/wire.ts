import { Connection, Writer } from '@platformatic/kafka';
import { errorMessage } from '../core/errors.ts';
import { BrokerUnavailableError } from '../producer/errors.ts';

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
}

/**
 * One connection to a broker, which carries requests and responses as bytes. It wraps @platformatic/kafka's
 * Connection: framing, correlation, timeouts, and later TLS and SASL, with TCP_NODELAY on. What is in the
 * bytes is ours.
 */
export class Wire {
  readonly #connection: Connection;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Connects. `onClose` is called once when the connection is gone, by whatever cause. */
  static async open(host: string, port: number, options: WireOptions, onClose: () => void): Promise<Wire> {
    const connection = new Connection(options.clientId, {
      connectTimeout: options.connectTimeoutMs,
      requestTimeout: options.requestTimeoutMs,
      // How many requests are in flight is the sender's decision; none of ours may queue behind another here.
      maxInflights: 1_000,
    });
    // Failures reach us through the requests and through 'close'; without a listener the event would throw.
    connection.on('error', () => {});
    try {
      await connection.connect(host, port);
    } catch (error) {
      connection.close().catch(() => {});
      throw new BrokerUnavailableError(`${host}:${port} can't be reached: ${rootMessage(error)}`, {
        cause: error,
      });
    }
    connection.once('close', onClose);
    return new Wire(connection);
  }

  get isConnected(): boolean {
    return this.#connection.isConnected();
  }

  /**
   * Sends one request; requests leave in the order of the calls.
   * @returns the response's body, behind its header
   * @throws BrokerUnavailableError when none came
   */
  request(api: ApiVersion, body: readonly Uint8Array[]): Promise<Buffer> {
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
  notify(api: ApiVersion, body: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
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

  #unavailable(error: unknown): BrokerUnavailableError {
    const { host = 'the broker', port = '' } = this.#connection;
    return new BrokerUnavailableError(`no answer from ${host}:${port}: ${rootMessage(error)}`, {
      cause: error,
    });
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
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
