import * as http from 'node:http';
import * as https from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import type { Cancel, Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { ProducerError } from '../errors.ts';
import { exponentialBackoff } from '../sending/backoff.ts';

export interface RequesterOptions {
  readonly http: RegistryHttp;
  /** Base URLs of one registry's instances, at least one. */
  readonly urls: readonly URL[];
  readonly retries: number;
  readonly retryBackoffMs: number;
  readonly retryBackoffMaxMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

export interface RegistryRequest {
  /** What is wanted, to follow "can't": `register a schema under 'orders-value'`. */
  readonly purpose: string;
  readonly method: 'GET' | 'POST';
  /** Path and query below the base URL, with its leading slash. */
  readonly path: string;
  readonly body?: object;
}

/**
 * Brings a request to an answer: every instance is tried, starting with the one that answered last, then all of
 * them again after a pause. Safe because each request of the API may be repeated: registering a schema that is
 * registered gives its id.
 */
export class Requester {
  readonly #options: RequesterOptions;
  readonly #backoffMs: (attempts: number) => number;
  /** Pauses under way: how to end each. */
  readonly #pauses = new Set<() => void>();
  #preferred = 0;
  #closed = false;

  constructor(options: RequesterOptions) {
    this.#options = options;
    this.#backoffMs = exponentialBackoff(options.retryBackoffMs, options.retryBackoffMaxMs, options.random);
  }

  /**
   * @returns the answer's body, of a status of 2xx
   * @throws SchemaRegistryError
   */
  async send(request: RegistryRequest): Promise<unknown> {
    const { retries, logger, retryBackoffMaxMs } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#tryAll(request);
      if ('body' in answer) return answer.body;
      if (attempt > retries) throw answer.error;
      const asked = Math.min(answer.retryAfterMs ?? 0, retryBackoffMaxMs);
      const pauseMs = Math.max(this.#backoffMs(attempt), asked);
      logger.warn({ err: answer.error, attempt, pauseMs }, 'schema registry request failed, will be retried');
      await this.#pause(pauseMs);
    }
  }

  /** One round: the body, or the last instance's retriable failure. Other failures are thrown at once. */
  async #tryAll(
    request: RegistryRequest,
  ): Promise<{ body: unknown } | { error: SchemaRegistryError; retryAfterMs: number | undefined }> {
    const { urls } = this.#options;
    let failure: { error: SchemaRegistryError; retryAfterMs: number | undefined } | undefined;
    for (let i = 0; i < urls.length; i++) {
      this.#throwIfClosed();
      const index = (this.#preferred + i) % urls.length;
      const base = urls[index] as URL;
      try {
        const answer = await this.#options.http.request(
          resolve(base, request.path),
          request.method,
          request.body,
        );
        if (answer.status >= 200 && answer.status < 300) {
          this.#preferred = index;
          return { body: answer.body };
        }
        const error = refusal(request.purpose, publicUrl(base), answer.status, answer.body);
        if (!isRetriableStatus(answer.status)) throw error;
        failure = { error, retryAfterMs: answer.retryAfterMs };
      } catch (error) {
        this.#throwIfClosed();
        if (!(error instanceof SchemaRegistryError && error.retriable)) throw error;
        failure = { error, retryAfterMs: undefined };
      }
    }
    if (failure === undefined) throw new TypeError('a schema registry needs at least one URL');
    return failure;
  }

  #throwIfClosed(): void {
    if (this.#closed)
      throw new SchemaRegistryError('SCHEMA_REGISTRY_CLOSED', 'the schema registry client is closed');
  }

  #pause(pauseMs: number): Promise<void> {
    this.#throwIfClosed();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const end = () => {
      this.#pauses.delete(end);
      cancel();
      resolve(undefined);
    };
    const cancel: Cancel = this.#options.clock.schedule(end, pauseMs);
    this.#pauses.add(end);
    return promise;
  }

  /** Requests under way, and those that pause, fail with SCHEMA_REGISTRY_CLOSED. */
  close(): void {
    this.#closed = true;
    this.#options.http.close();
    for (const end of this.#pauses) end();
  }
}

/** The registry may live below a path, e.g. `https://host/apis/ccompat/v7`. */
function resolve(base: URL, path: string): URL {
  const url = new URL(base);
  const [pathname, query = ''] = path.split('?') as [string, string?];
  url.pathname = `${base.pathname.replace(/\/+$/, '')}${pathname}`;
  url.search = query;
  return url;
}

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

/**
 * The registry did not do what was asked. The codes:
 * SCHEMA_REGISTRY_UNAVAILABLE (no connection, no answer in time, 408, 429 or 5xx, after all retries; retriable),
 * SCHEMA_REGISTRY_UNAUTHORIZED (401, 403), SCHEMA_NOT_FOUND (404), SCHEMA_INCOMPATIBLE (409), SCHEMA_INVALID (422),
 * SCHEMA_REGISTRY_REFUSED (any other status), SCHEMA_REGISTRY_BAD_ANSWER (an answer that is not the registry's API),
 * SCHEMA_REGISTRY_CLOSED.
 */
export class SchemaRegistryError extends ProducerError {
  /** HTTP status of the answer, if there was one. */
  readonly status: number | undefined;
  /** The registry's own `error_code`, e.g. 40403; undefined if it gave none. */
  readonly registryCode: number | undefined;

  constructor(
    code: string,
    message: string,
    options?: ErrorOptions & { readonly status?: number; readonly registryCode?: number | undefined },
  ) {
    super(code, message, { ...options, retriable: code === 'SCHEMA_REGISTRY_UNAVAILABLE' });
    this.status = options?.status;
    this.registryCode = options?.registryCode;
  }
}

/** Statuses after which the same request may succeed later. */
export function isRetriableStatus(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/** The error for an answer that is no success. `request` is e.g. `register a schema under 'orders-value'`. */
export function refusal(request: string, url: string, status: number, body: unknown): SchemaRegistryError {
  const { error_code: registryCode, message } = (body ?? {}) as { error_code?: unknown; message?: unknown };
  const said = typeof message === 'string' ? `: ${message}` : '';
  return new SchemaRegistryError(
    codeOf(status),
    `can't ${request}: the schema registry at ${url} answered ${status}${said}${advice(status)}`,
    { status, registryCode: typeof registryCode === 'number' ? registryCode : undefined },
  );
}

function codeOf(status: number): string {
  if (isRetriableStatus(status)) return 'SCHEMA_REGISTRY_UNAVAILABLE';
  switch (status) {
    case 401:
    case 403:
      return 'SCHEMA_REGISTRY_UNAUTHORIZED';
    case 404:
      return 'SCHEMA_NOT_FOUND';
    case 409:
      return 'SCHEMA_INCOMPATIBLE';
    case 422:
      return 'SCHEMA_INVALID';
    default:
      return 'SCHEMA_REGISTRY_REFUSED';
  }
}

function advice(status: number): string {
  if (status === 401) return ' (check the credentials)';
  if (status === 409) return " (change the schema, or the subject's compatibility level)";
  return '';
}
