import { errorMessage } from '../../core/errors.ts';
import { exponentialBackoff } from '../../producer/sending/backoff.ts';
import { BrokerUnavailableError, ProducerError } from '../../producer/errors.ts';
import type {
  BrokerPort,
  ClusterMetadata,
  ConnectionState,
  ProduceOptions,
  ProduceResponse,
  ProducerIdAndEpoch,
} from '../../producer/cluster/port.ts';
import type { ProducerBatch } from '../../producer/batches/producer-batch.ts';
import { KafkaJsSession } from './kafkajs-session.ts';
import { BrokerSecurityError } from '../security/failure.ts';
import {
  SECURITY_BACKOFF_MAX_MS,
  SECURITY_BACKOFF_MS,
  type PortOptions,
} from '../connection/port-options.ts';
import { requireSecurity, type ClientSecurity } from '../security/security.ts';

/** So many requests in a row without an answer, and the client is replaced by a new one. */
const GIVE_UP_AFTER = 3;
const CLOSE_TIMEOUT_MS = 2_000;

/**
 * The producer's way to a cluster over kafkajs, for those who must use it. kafkajs finds leaders and keeps
 * connections by itself; retries, batches and order are the producer's. What it can't do is not hidden: it is
 * not idempotent, so that a batch whose answer was lost is written twice.
 */
export class KafkaJsPort implements BrokerPort {
  readonly guarantees = { idempotent: false };
  /** It compresses as it sends. */
  readonly isBehind = false;
  onReadinessChange: (() => void) | undefined;

  readonly #options: PortOptions;
  readonly #security: ClientSecurity;
  readonly #backoffMs: (failures: number) => number;
  readonly #securityBackoffMs: (failures: number) => number;
  #session: KafkaJsSession | undefined;
  #opening: Promise<KafkaJsSession> | undefined;
  readonly #ending = new Set<Promise<void>>();
  #failures = 0;
  #unansweredInRow = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #lastFailure: ProducerError | undefined;
  #unreachableSinceMs: number | undefined;
  #cancelRetry = () => {};
  #closed = false;

  constructor(options: PortOptions) {
    const { config, clock, random = Math.random } = options;
    this.#options = options;
    this.#security = options.security ?? requireSecurity(config);
    this.#backoffMs = exponentialBackoff(config.reconnectBackoffMs, config.reconnectBackoffMaxMs, random);
    this.#securityBackoffMs = exponentialBackoff(SECURITY_BACKOFF_MS, SECURITY_BACKOFF_MAX_MS, random);
    this.#unreachableSinceMs = clock.monotonicMs();
  }

  /** kafkajs learns brokers' addresses by itself. */
  setBrokers(): void {}

  isReady(): boolean {
    if (this.#session !== undefined) return true;
    if (this.#options.clock.monotonicMs() >= this.#notBeforeMs) this.#connect().catch(() => {});
    return false;
  }

  async fetchMetadata(topics: readonly string[]): Promise<ClusterMetadata> {
    const session = await this.#connect();
    return this.#watched(session, () => session.metadata(topics));
  }

  initProducerId(): Promise<ProducerIdAndEpoch> {
    return Promise.reject(new ProducerError('NOT_IDEMPOTENT', 'the kafkajs adapter is not idempotent'));
  }

  /**
   * One kafkajs send a batch, that is, a partition: a send over several may lose some of them without a word.
   * The broker is kafkajs's choice; if it differs from ours, one of us has old metadata and is told so.
   */
  async produce(
    _brokerId: number,
    batches: readonly ProducerBatch[],
    options: ProduceOptions,
  ): Promise<ProduceResponse> {
    const session = this.#session;
    if (session === undefined) throw this.#unavailable();
    const results = await Promise.allSettled(
      batches.map((batch) => this.#watched(session, () => session.send(batch, options))),
    );
    // With one batch the reason can be passed on; else what has no answer is left out, and the others count.
    const [first] = results;
    if (results.length === 1 && first?.status === 'rejected') throw first.reason;
    return {
      partitions: results.map((result) => (result.status === 'fulfilled' ? result.value : undefined)),
      endpoints: [],
      throttleTimeMs: 0,
    };
  }

  /** Runs a request, and replaces a client whose requests go without answers again and again. */
  async #watched<T>(session: KafkaJsSession, request: () => Promise<T>): Promise<T> {
    try {
      const answer = await request();
      if (session === this.#session) {
        this.#unansweredInRow = 0;
        this.#reachable();
      }
      return answer;
    } catch (error) {
      if (session === this.#session && error instanceof ProducerError) {
        this.#unansweredInRow++;
        this.#unreachable(error);
        if (this.#unansweredInRow >= GIVE_UP_AFTER || error instanceof BrokerSecurityError)
          this.#lose(session, error);
      }
      throw error;
    }
  }

  #connect(): Promise<KafkaJsSession> {
    if (this.#session !== undefined) return Promise.resolve(this.#session);
    if (this.#opening !== undefined) return this.#opening;
    if (this.#closed || this.#options.clock.monotonicMs() < this.#notBeforeMs) {
      return Promise.reject(this.#unavailable());
    }
    this.#opening = this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #open(): Promise<KafkaJsSession> {
    const { config, logger } = this.#options;
    const session = new KafkaJsSession(config, this.#security, logger);
    try {
      await session.connect();
    } catch (error) {
      this.#end(session);
      const failure =
        error instanceof ProducerError
          ? error
          : new BrokerUnavailableError(errorMessage(error), { cause: error });
      this.#unreachable(failure);
      this.#pause(failure);
      throw failure;
    }
    if (this.#closed) {
      this.#end(session);
      throw this.#unavailable();
    }
    this.#session = session;
    this.#failures = 0;
    this.#unansweredInRow = 0;
    this.#reachable();
    this.onReadinessChange?.();
    return session;
  }

  #lose(session: KafkaJsSession, error: ProducerError): void {
    this.#session = undefined;
    this.#end(session);
    this.#pause(error);
  }

  #end(session: KafkaJsSession): void {
    const ended = session.disconnect().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  #pause(failure: ProducerError): void {
    const { clock } = this.#options;
    this.#failures++;
    const isSecurity = failure instanceof BrokerSecurityError;
    const pauseMs = isSecurity ? this.#securityBackoffMs(this.#failures) : this.#backoffMs(this.#failures);
    this.#notBeforeMs = clock.monotonicMs() + pauseMs;
    this.#cancelRetry();
    if (!this.#closed) {
      this.#cancelRetry = clock.schedule(() => this.onReadinessChange?.(), Math.ceil(pauseMs) + 1);
    }
  }

  #reachable(): void {
    if (this.#unreachableSinceMs !== undefined) this.#options.logger.info({}, 'connected to Kafka');
    this.#unreachableSinceMs = undefined;
    this.#lastFailure = undefined;
  }

  #unreachable(error: ProducerError): void {
    const { clock, logger } = this.#options;
    this.#unreachableSinceMs ??= clock.monotonicMs();
    if (this.#lastFailure?.code !== error.code) {
      logger.warn({ reason: error.message }, 'no Kafka broker can be reached; trying again and again');
    }
    this.#lastFailure = error;
  }

  #unavailable(): ProducerError {
    if (this.#closed) return new BrokerUnavailableError('the producer is closed');
    return this.#lastFailure ?? new BrokerUnavailableError('not connected to Kafka');
  }

  connectionState(): ConnectionState {
    const failure = this.#lastFailure;
    return {
      connectedBrokers: this.#unreachableSinceMs === undefined ? 1 : 0,
      lastFailure: failure?.message,
      securityFailures: failure instanceof BrokerSecurityError ? [failure.message] : [],
      unreachableSinceMs: this.#unreachableSinceMs,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRetry();
    if (this.#session !== undefined) this.#end(this.#session);
    this.#session = undefined;
    const { promise: timeUp, resolve } = Promise.withResolvers<undefined>();
    const cancel = this.#options.clock.schedule(() => {
      resolve(undefined);
    }, CLOSE_TIMEOUT_MS);
    await Promise.race([Promise.allSettled(this.#ending), timeUp]);
    cancel();
  }
}
