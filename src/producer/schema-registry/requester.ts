import type { Cancel, Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import { exponentialBackoff } from '../sending/backoff.ts';
import { isRetriableStatus, refusal, SchemaRegistryError } from './errors.ts';
import { publicUrl, type RegistryHttp } from './http.ts';

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
