import { exponentialBackoff, type Cancel, type Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { BatchCompressor } from '../../producer/batches/batch-compressor.ts';
import type { ProducerBatch } from '../../producer/batches/producer-batch.ts';
import type {
  BrokerEndpoint,
  BrokerPort,
  ClusterMetadata,
  ConnectionState,
  ProduceResponse,
  ProducerIdAndEpoch,
} from '../../producer/cluster/port.ts';
import type { ProducerConfig } from '../../producer/config/config-table.ts';
import { BrokerUnavailableError } from '../../producer/errors.ts';
import { encodeProduceRequest, parseProduceResponse, unacknowledged } from '../protocol/produce.ts';
import { fetchMetadata, initProducerId } from '../protocol/requests.ts';
import { requireSecurity, type ClientSecurity } from '../security/security.ts';
import type { AuthenticatedChannel } from './authenticated-channel.ts';
import { BrokerConnection, type BrokerConnectionOptions } from './broker-connection.ts';

export interface PortOptions {
  readonly config: ProducerConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: () => number;
  /** Left out, what `config` says; a SecurityConfigError is thrown if that can't be used. */
  readonly security?: ClientSecurity;
}

/** Who is not let in once is not let in a moment later; and brokers that count failed logins may lock the account. */
const SECURITY_BACKOFF_MS = 5_000;
const SECURITY_BACKOFF_MAX_MS = 60_000;

/** How long a broker may take to answer what any other could answer too, before another one is asked. */
const PATIENCE_MS = 1_500;

/**
 * The producer's way to a cluster over the wire protocol: one connection a broker, and another one to a
 * bootstrap server while no broker is known or reachable.
 */
export class ClusterPort implements BrokerPort {
  onReadinessChange: (() => void) | undefined;

  readonly #options: PortOptions;
  readonly #compressor: BatchCompressor;
  /** What all connections have in common. */
  readonly #shared: Omit<BrokerConnectionOptions, 'host' | 'port'>;
  readonly #brokers = new Map<number, BrokerConnection>();
  readonly #bootstrap: readonly BrokerConnection[];
  /** By broker: settles when the last request so far has been handed to the socket. */
  readonly #handover = new Map<number, Promise<void>>();
  #turn = 0;
  #unreachableSinceMs: number | undefined;
  #lastFailure: string | undefined;

  constructor(options: PortOptions) {
    const { config, clock, logger, random = Math.random } = options;
    this.#options = options;
    this.#compressor = new BatchCompressor({
      type: config.compressionType,
      levels: { gzip: config.compressionGzipLevel, zstd: config.compressionZstdLevel },
      nowMs: () => clock.monotonicMs(),
      logger,
    });
    this.#shared = {
      channel: {
        clientId: config.clientId,
        connectTimeoutMs: config.connectionSetupTimeoutMs,
        requestTimeoutMs: config.requestTimeoutMs,
        security: options.security ?? requireSecurity(config),
        clock,
      },
      logger,
      maxIdleMs: config.connectionsMaxIdleMs,
      backoffMs: exponentialBackoff(config.reconnectBackoffMs, config.reconnectBackoffMaxMs, random),
      securityBackoffMs: exponentialBackoff(SECURITY_BACKOFF_MS, SECURITY_BACKOFF_MAX_MS, random),
      onChange: () => {
        this.#noteReachability();
        this.onReadinessChange?.();
      },
    };
    this.#bootstrap = config.bootstrapServers.map((server) => {
      const colon = server.lastIndexOf(':');
      const host = server.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
      return this.#connection(host, Number(server.slice(colon + 1)));
    });
    this.#unreachableSinceMs = clock.monotonicMs();
  }

  #connection(host: string, port: number): BrokerConnection {
    return new BrokerConnection({ ...this.#shared, host, port });
  }

  setBrokers(endpoints: readonly BrokerEndpoint[]): void {
    const addresses = new Map(endpoints.map(({ nodeId, host, port }) => [nodeId, `${host}:${port}`]));
    for (const [nodeId, connection] of this.#brokers) {
      if (connection.address === addresses.get(nodeId)) continue;
      this.#brokers.delete(nodeId);
      connection.close().catch(() => {});
    }
    for (const { nodeId, host, port } of endpoints) {
      if (!this.#brokers.has(nodeId)) this.#brokers.set(nodeId, this.#connection(host, port));
    }
  }

  isReady(brokerId: number): boolean {
    return this.#brokers.get(brokerId)?.current() !== undefined;
  }

  fetchMetadata(topics: readonly string[]): Promise<ClusterMetadata> {
    return this.#askAny((channel) => fetchMetadata(channel, topics));
  }

  initProducerId(): Promise<ProducerIdAndEpoch> {
    return this.#askAny((channel) => initProducerId(channel));
  }

  /** Has one broker answer, of those that {@link setBrokers} named. */
  async ask<T>(brokerId: number, ask: (channel: AuthenticatedChannel) => Promise<T>): Promise<T> {
    const connection = this.#brokers.get(brokerId);
    if (connection === undefined) throw new BrokerUnavailableError(`broker ${brokerId} is not known`);
    return ask(await connection.connect());
  }

  /**
   * Has any broker answer: first those that are connected, the least busy ones in front, then those that may be,
   * bootstrap servers last.
   */
  #askAny<T>(ask: (channel: AuthenticatedChannel) => Promise<T>): Promise<T> {
    const turn = this.#turn++;
    const rotate = (list: readonly BrokerConnection[]) =>
      list.map((_, i) => list[(i + turn) % list.length] as BrokerConnection);
    const all = [...rotate([...this.#brokers.values()]), ...rotate(this.#bootstrap)];
    const connected = all.filter(({ isConnected }) => isConnected);
    connected.sort((a, b) => a.unanswered - b.unanswered);
    const candidates = [...connected, ...all.filter(({ isConnected }) => !isConnected)];
    if (candidates.length === 0) return Promise.reject(new BrokerUnavailableError('no broker is known'));
    const { clock, config } = this.#options;
    const patienceMs = Math.min(PATIENCE_MS, config.requestTimeoutMs / 3);
    const askOne = async (candidate: BrokerConnection): Promise<T> => ask(await candidate.connect());
    return firstAnswer(candidates, askOne, patienceMs, clock);
  }

  async produce(brokerId: number, batches: readonly ProducerBatch[]): Promise<ProduceResponse> {
    // A partition's batches must reach the wire in the order of these calls, however long each one's
    // compression takes: each request waits until the one before has been handed over.
    const pending: Promise<void>[] = [];
    const before = this.#handover.get(brokerId);
    if (before !== undefined) pending.push(before);
    for (const batch of batches) {
      const compression = this.#compressor.compress(batch);
      if (compression !== undefined) pending.push(compression);
    }
    if (pending.length > 0) {
      const turn = Promise.all(pending).then(() => {});
      this.#handover.set(brokerId, turn);
      await turn;
      if (this.#handover.get(brokerId) === turn) this.#handover.delete(brokerId);
    }
    return this.#send(brokerId, batches);
  }

  async #send(brokerId: number, batches: readonly ProducerBatch[]): Promise<ProduceResponse> {
    const { acks, requestTimeoutMs } = this.#options.config;
    const channel = this.#brokers.get(brokerId)?.current();
    if (channel === undefined) throw new BrokerUnavailableError(`broker ${brokerId} is not connected`);
    const api = channel.versions.of('produce');
    const body = encodeProduceRequest(api, batches, { acks, timeoutMs: requestTimeoutMs });
    if (acks === 0) {
      await channel.notify(api, body);
      return unacknowledged(batches);
    }
    return parseProduceResponse(api, await channel.request(api, body), batches);
  }

  get isBehind(): boolean {
    return this.#compressor.isBehind;
  }

  connectionState(): ConnectionState {
    return {
      connectedBrokers: [...this.#connections()].filter((connection) => connection.isReachable).length,
      lastFailure: this.#lastFailure,
      securityFailures: this.#securityFailures(),
      unreachableSinceMs: this.#unreachableSinceMs,
    };
  }

  /** Keeps the moment at which the last connection was lost, and tells a person of both changes. */
  #noteReachability(): void {
    const { clock, logger } = this.#options;
    const connections = [...this.#connections()];
    if (connections.some((connection) => connection.isReachable)) {
      if (this.#unreachableSinceMs !== undefined) logger.info({}, 'connected to Kafka');
      this.#unreachableSinceMs = undefined;
      this.#lastFailure = undefined;
      return;
    }
    const failure =
      this.#securityFailures()[0] ??
      connections.findLast(({ lastFailure }) => lastFailure !== undefined)?.lastFailure;
    if (failure === undefined) return;
    const isNews = this.#lastFailure === undefined;
    this.#lastFailure = failure;
    this.#unreachableSinceMs ??= clock.monotonicMs();
    if (isNews) logger.warn({ reason: failure }, 'no Kafka broker can be reached; trying again and again');
  }

  #securityFailures(): string[] {
    const brokers = [...this.#brokers.values()];
    // A bootstrap server is of no interest while brokers are connected.
    const isConnected = brokers.some((connection) => connection.isConnected);
    const concerned = isConnected ? brokers : [...this.#connections()];
    const failures = concerned.flatMap(({ securityFailure }) => securityFailure?.message ?? []);
    return [...new Set(failures)];
  }

  *#connections(): Generator<BrokerConnection> {
    yield* this.#bootstrap;
    yield* this.#brokers.values();
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#connections()].map((connection) => connection.close()));
  }
}

/**
 * Asks one candidate after the other, the next one as soon as one fails, or has kept us waiting for `patienceMs`;
 * the first answer counts. So a broker that hangs costs a moment, and not its whole request timeout.
 *
 * @throws the last failure, when all have failed
 */
export function firstAnswer<C, A>(
  candidates: readonly C[],
  ask: (candidate: C) => Promise<A>,
  patienceMs: number,
  clock: Clock,
): Promise<A> {
  return new Promise((resolve, reject) => {
    let asked = 0;
    let failed = 0;
    let done = false;
    let cancel: Cancel = () => {};
    const askNext = (): void => {
      cancel();
      const candidate = candidates[asked];
      if (done || candidate === undefined) return;
      asked++;
      if (asked < candidates.length) cancel = clock.schedule(askNext, patienceMs);
      ask(candidate).then(
        (answer) => {
          done = true;
          cancel();
          resolve(answer);
        },
        (error: unknown) => {
          failed++;
          if (failed === candidates.length)
            reject(error instanceof Error ? error : new Error(errorMessage(error)));
          else askNext();
        },
      );
    };
    askNext();
  });
}
