import * as http from 'node:http';
import * as https from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import { SchemaRegistryError } from './errors.ts';

/** How the client proves who it is. Credentials may stand in the URL instead (`https://user:password@host`). */
export type RegistryAuth =
  { readonly username: string; readonly password: string } | { readonly token: string };

export interface HttpAnswer {
  readonly status: number;
  /** The parsed body; undefined if it is empty or no JSON. */
  readonly body: unknown;
  /** Pause that the server asks for (Retry-After in seconds), milliseconds. */
  readonly retryAfterMs: number | undefined;
}

export interface RegistryHttpOptions {
  readonly auth: RegistryAuth | undefined;
  /** Node's TLS options for https URLs: ca, cert, key, passphrase, servername, ... */
  readonly tls: ConnectionOptions | undefined;
  readonly requestTimeoutMs: number;
  readonly clock: Clock;
}

interface Attempt {
  readonly request: http.ClientRequest;
  readonly answer: Promise<HttpAnswer>;
}

const CONTENT_TYPE = 'application/vnd.schemaregistry.v1+json';
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/**
 * Requests to a schema registry over connections that are kept. On node:https rather than fetch: private
 * certificate authorities and client certificates need no further package there. Redirects are not followed, so
 * that credentials go to no other host.
 */
export class RegistryHttp {
  readonly #options: RegistryHttpOptions;
  readonly #plain = new http.Agent({ keepAlive: true });
  readonly #secure: https.Agent;

  constructor(options: RegistryHttpOptions) {
    this.#options = options;
    this.#secure = new https.Agent({ keepAlive: true, ...options.tls });
  }

  /** @throws SchemaRegistryError SCHEMA_REGISTRY_UNAVAILABLE if there is no answer */
  async request(url: URL, method: 'GET' | 'POST', body?: object): Promise<HttpAnswer> {
    for (;;) {
      const attempt = this.#attempt(url, method, body);
      try {
        return await attempt.answer;
      } catch (cause) {
        // The server ended a kept connection just as we took it up again: the next one will be new.
        if (attempt.request.reusedSocket && isReset(cause)) continue;
        throw unavailable(url, cause);
      }
    }
  }

  #attempt(url: URL, method: 'GET' | 'POST', body: object | undefined): Attempt {
    const { promise: answer, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    const { requestTimeoutMs, clock } = this.#options;
    const send = url.protocol === 'https:' ? https.request : http.request;
    const request = send(url, {
      method,
      agent: url.protocol === 'https:' ? this.#secure : this.#plain,
      headers: this.#headers(body !== undefined),
    });
    const cancelTimeout = clock.schedule(() => {
      fail(new Error(`no answer within ${requestTimeoutMs} ms`));
      request.destroy();
    }, requestTimeoutMs);
    const fail = (cause: unknown) => {
      cancelTimeout();

      reject(cause);
    };
    request.on('error', fail);
    request.on('response', (response) => {
      read(response).then((text) => {
        cancelTimeout();
        resolve({
          status: response.statusCode ?? 0,
          body: parse(text),
          retryAfterMs: retryAfterMs(response),
        });
      }, fail);
    });
    request.end(body === undefined ? undefined : JSON.stringify(body));
    return { request, answer };
  }

  #headers(hasBody: boolean): http.OutgoingHttpHeaders {
    const headers: http.OutgoingHttpHeaders = { accept: `${CONTENT_TYPE}, application/json` };
    if (hasBody) headers['content-type'] = CONTENT_TYPE;
    const { auth } = this.#options;
    if (auth !== undefined) {
      headers.authorization =
        'token' in auth
          ? `Bearer ${auth.token}`
          : `Basic ${Buffer.from(`${auth.username}:${auth.password}`, 'utf8').toString('base64')}`;
    }
    return headers;
  }

  /** Ends all connections; requests under way fail. */
  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}

/** A URL without credentials, for messages. */
export function publicUrl(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

function unavailable(url: URL, cause: unknown): SchemaRegistryError {
  return new SchemaRegistryError(
    'SCHEMA_REGISTRY_UNAVAILABLE',
    `no answer from the schema registry at ${publicUrl(url)}: ${reason(cause)}`,
    { cause },
  );
}

function isReset(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'ECONNRESET' || cause.code === 'EPIPE');
}

/** A refused connection to a name with several addresses is an AggregateError without a message of its own. */
function reason(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(errorMessage).join('; ');
  return errorMessage(cause);
}

async function read(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`an answer of more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function retryAfterMs(response: http.IncomingMessage): number | undefined {
  const seconds = Number(response.headers['retry-after']);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}
