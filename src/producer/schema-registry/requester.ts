import { setMaxListeners } from 'node:events';
import * as http from 'node:http';
import * as https from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import { exponentialBackoff, pause, systemClock, type Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import { silentLogger, type Logger } from '../../core/logger.ts';
import { ProducerError } from '../errors.ts';

/** How the client proves who it is. Credentials may stand in the URL instead (`https://user:password@host`). */
export type RegistryAuth =
  { readonly username: string; readonly password: string } | { readonly token: string };

export interface RequesterOptions {
  /** Base URL, or those of several instances of one registry, with or without a path. */
  readonly url: string | readonly string[];
  readonly auth?: RegistryAuth;
  /** Node's TLS options for https URLs: ca, cert, key, passphrase, servername, ... */
  readonly tls?: ConnectionOptions;
  /** For one request to one instance. Default 10,000. */
  readonly requestTimeoutMs?: number;
  /** Further rounds over the instances after a connection error, 408, 429 or 5xx. Default 3. */
  readonly retries?: number;
  /** First pause between rounds; it doubles. Default 1000. */
  readonly retryBackoffMs?: number;
  /** Longest pause. Default 20,000. */
  readonly retryBackoffMaxMs?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** From 0 to 1, for jitter. */
  readonly random?: () => number;
}

const DEFAULTS = {
  requestTimeoutMs: 10_000,
  retries: 3,
  retryBackoffMs: 1_000,
  retryBackoffMaxMs: 20_000,
  logger: silentLogger,
  clock: systemClock,
  random: Math.random,
};

export interface RegistryRequest {
  /** What is wanted, to follow "can't": `register a schema under 'orders-value'`. */
  readonly purpose: string;
  /** Path and query below the base URL, with its leading slash. */
  readonly path: string;
  /** Of a POST; without one it is a GET. */
  readonly body: object | undefined;
}

interface HttpAnswer {
  readonly status: number;
  /** The parsed body; undefined if it is empty or no JSON. */
  readonly body: unknown;
  /** Pause that the server asks for (Retry-After in seconds), milliseconds. */
  readonly retryAfterMs: number | undefined;
}

interface Failure {
  readonly error: SchemaRegistryError;
  readonly retryAfterMs: number | undefined;
}

const CONTENT_TYPE = 'application/vnd.schemaregistry.v1+json';
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/**
 * Brings a request to an answer: every instance is tried, starting with the one that answered last, then all of
 * them again after a pause. Safe because each request of the API may be repeated: registering a schema that is
 * registered gives its id.
 *
 * Connections are kept. They are node:https rather than fetch: private certificate authorities and client
 * certificates need no further package there. Redirects are not followed, so that credentials go to no other host.
 */
export class Requester {
  readonly #options: RequesterOptions & typeof DEFAULTS;
  readonly #urls: readonly URL[];
  readonly #backoffMs: (attempts: number) => number;
  readonly #plain = new http.Agent({ keepAlive: true });
  readonly #secure: https.Agent;
  readonly #closing = new AbortController();
  #preferred = 0;

  /** @throws TypeError if there is no URL, or one is not http or https */
  constructor(given: RequesterOptions) {
    const options = { ...DEFAULTS, ...given };
    this.#options = options;
    this.#urls = parseUrls(options.url);
    this.#backoffMs = exponentialBackoff(options.retryBackoffMs, options.retryBackoffMaxMs, options.random);
    this.#secure = new https.Agent({ keepAlive: true, ...options.tls });
    // Every request that pauses listens.
    setMaxListeners(0, this.#closing.signal);
  }

  /**
   * @returns the answer's body, of a status of 2xx
   * @throws SchemaRegistryError
   */
  async send(request: RegistryRequest): Promise<unknown> {
    const { retries, logger, clock, retryBackoffMaxMs } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#tryAll(request);
      if ('body' in answer) return answer.body;
      if (attempt > retries) throw answer.error;
      const asked = Math.min(answer.retryAfterMs ?? 0, retryBackoffMaxMs);
      const pauseMs = Math.max(this.#backoffMs(attempt), asked);
      logger.warn({ err: answer.error, attempt, pauseMs }, 'schema registry request failed, will be retried');
      await pause(clock, pauseMs, this.#closing.signal);
    }
  }

  /** One round: the body, or the last instance's retriable failure. Other failures are thrown at once. */
  async #tryAll({ purpose, path, body }: RegistryRequest): Promise<{ readonly body: unknown } | Failure> {
    let failure: Failure | undefined;
    for (const index of this.#urls.keys()) {
      const instance = (this.#preferred + index) % this.#urls.length;
      const base = this.#urls[instance] as URL;
      const url = resolve(base, path);
      this.#throwIfClosed();
      try {
        const answer = await this.#request(url, body);
        if (answer.status >= 200 && answer.status < 300) {
          this.#preferred = instance;
          return answer;
        }
        failure = { error: refusal(purpose, base, answer), retryAfterMs: answer.retryAfterMs };
      } catch (cause) {
        this.#throwIfClosed();
        failure = { error: unavailable(url, cause), retryAfterMs: undefined };
      }
      if (!failure.error.retriable) throw failure.error;
    }
    return failure as Failure;
  }

  async #request(url: URL, body: object | undefined): Promise<HttpAnswer> {
    const { clock, requestTimeoutMs } = this.#options;
    const isSecure = url.protocol === 'https:';
    for (;;) {
      const { promise: answer, resolve: answered, reject: failed } = Promise.withResolvers<HttpAnswer>();
      const request = (isSecure ? https : http).request(url, {
        method: body === undefined ? 'GET' : 'POST',
        agent: isSecure ? this.#secure : this.#plain,
        headers: this.#headers(body !== undefined),
      });
      const cancelTimeout = clock.schedule(() => {
        failed(new Error(`no answer within ${requestTimeoutMs} ms`));
        request.destroy();
      }, requestTimeoutMs);
      request.on('error', failed);
      request.on('response', (response) => {
        read(response).then(answered, failed);
      });
      request.end(body === undefined ? undefined : JSON.stringify(body));
      try {
        return await answer;
      } catch (cause) {
        // The server ended a kept connection just as we took it up again: the next one will be new.
        if (!(request.reusedSocket && isReset(cause))) throw cause;
      } finally {
        cancelTimeout();
      }
    }
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

  #throwIfClosed(): void {
    if (this.#closing.signal.aborted)
      throw new SchemaRegistryError('SCHEMA_REGISTRY_CLOSED', 'the schema registry client is closed');
  }

  /** Ends all connections. Requests under way, and those that pause, fail with SCHEMA_REGISTRY_CLOSED. */
  close(): void {
    this.#closing.abort();
    this.#plain.destroy();
    this.#secure.destroy();
  }
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
    super(code, message, { ...options, retriable: code === UNAVAILABLE });
    this.status = options?.status;
    this.registryCode = options?.registryCode;
  }
}

const UNAVAILABLE = 'SCHEMA_REGISTRY_UNAVAILABLE';

/** Statuses that mean something of their own. */
const CODES: Readonly<Record<number, string>> = {
  401: 'SCHEMA_REGISTRY_UNAUTHORIZED',
  403: 'SCHEMA_REGISTRY_UNAUTHORIZED',
  404: 'SCHEMA_NOT_FOUND',
  408: UNAVAILABLE,
  409: 'SCHEMA_INCOMPATIBLE',
  422: 'SCHEMA_INVALID',
  429: UNAVAILABLE,
};

const ADVICE: Readonly<Record<number, string>> = {
  401: ' (check the credentials)',
  409: " (change the schema, or the subject's compatibility level)",
};

/** The error for an answer that is no success. */
function refusal(purpose: string, base: URL, { status, body }: HttpAnswer): SchemaRegistryError {
  const { error_code: registryCode, message } = (body ?? {}) as { error_code?: unknown; message?: unknown };
  const said = typeof message === 'string' ? `: ${message}` : '';
  return new SchemaRegistryError(
    CODES[status] ?? (status >= 500 ? UNAVAILABLE : 'SCHEMA_REGISTRY_REFUSED'),
    `can't ${purpose}: the schema registry at ${publicUrl(base)} answered ${status}${said}${ADVICE[status] ?? ''}`,
    { status, registryCode: typeof registryCode === 'number' ? registryCode : undefined },
  );
}

function unavailable(url: URL, cause: unknown): SchemaRegistryError {
  const reason =
    // A refused connection to a name with several addresses has no message of its own.
    cause instanceof AggregateError ? cause.errors.map(errorMessage).join('; ') : errorMessage(cause);
  return new SchemaRegistryError(
    UNAVAILABLE,
    `no answer from the schema registry at ${publicUrl(url)}: ${reason}`,
    { cause },
  );
}

function isReset(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'ECONNRESET' || cause.code === 'EPIPE');
}

async function read(response: http.IncomingMessage): Promise<HttpAnswer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`an answer of more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  const seconds = Number(response.headers['retry-after']);
  return {
    status: response.statusCode ?? 0,
    body: parse(Buffer.concat(chunks).toString('utf8')),
    retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function parseUrls(url: string | readonly string[]): URL[] {
  const urls = (typeof url === 'string' ? [url] : url).map((text) => {
    const parsed = URL.parse(text);
    if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
      throw new TypeError(`'${text}' is not the http or https URL of a schema registry`);
    }
    return parsed;
  });
  if (urls.length === 0) throw new TypeError('a schema registry needs at least one URL');
  return urls;
}

/** The registry may live below a path, e.g. `https://host/apis/ccompat/v7`. */
function resolve(base: URL, path: string): URL {
  const url = new URL(base);
  const [pathname, query = ''] = path.split('?') as [string, string?];
  url.pathname = `${base.pathname.replace(/\/+$/, '')}${pathname}`;
  url.search = query;
  return url;
}

/** A URL without credentials, for messages. */
function publicUrl(url: URL): string {
  return `${url.origin}${url.pathname}`;
}
