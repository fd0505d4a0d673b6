import type { Logger } from '../../core/logger.ts';
import { errorMessage } from '../../core/errors.ts';
import { BrokerUnavailableError } from '../../producer/errors.ts';
import { BrokerSecurityError } from '../security/failure.ts';
import { AuthenticatedChannel, type ChannelOptions } from './authenticated-channel.ts';

export interface BrokerConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly channel: ChannelOptions;
  readonly logger: Logger;
  /** A connection that has carried nothing for this long is ended (connections.max.idle.ms). */
  readonly maxIdleMs: number;
  /** Pause before the next attempt after `failures` in a row, milliseconds. */
  readonly backoffMs: (failures: number) => number;
  /** The same after failures that only a person can mend. */
  readonly securityBackoffMs: (failures: number) => number;
  /** The connection came up, went down, could not be made, or may be tried again. */
  readonly onChange: () => void;
}

/** A connection that waits for an answer is not idle; it is looked at again after this time. */
const IDLE_CHECK_MS = 1_000;

/** One broker's connection: made when first needed, made anew after it broke, with a growing pause in between. */
export class BrokerConnection {
  readonly address: string;
  readonly #options: BrokerConnectionOptions;
  #channel: AuthenticatedChannel | undefined;
  #opening: Promise<AuthenticatedChannel> | undefined;
  #failures = 0;
  #refusals = 0;
  /** Connections in a row that the broker closed instead of answering the first real request. */
  #turnedAway = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #cancelRetry = () => {};
  #cancelIdleCheck = () => {};
  #lastUsedMs = 0;
  #isResting = false;
  #closed = false;
  /** Why the last attempt failed; undefined while connected, or before the first. */
  lastFailure: string | undefined;
  /** The same if security is the reason: then other brokers being reachable does not help. */
  securityFailure: BrokerSecurityError | undefined;

  constructor(options: BrokerConnectionOptions) {
    this.#options = options;
    this.address = `${options.host}:${options.port}`;
  }

  get isConnected(): boolean {
    return this.#channel !== undefined;
  }

  /** It is up, or was when it was ended for want of traffic. */
  get isReachable(): boolean {
    return this.isConnected || this.#isResting;
  }

  /** Requests that wait for their answers. */
  get unanswered(): number {
    return this.#channel?.unanswered ?? 0;
  }

  /** The connection, if it is up. If not, it is made as soon as its pause allows. */
  current(): AuthenticatedChannel | undefined {
    this.#lastUsedMs = this.#options.channel.clock.monotonicMs();
    if (this.#channel !== undefined) return this.#channel;
    if (this.#lastUsedMs >= this.#notBeforeMs) this.connect().catch(() => {});
    return undefined;
  }

  /** The connection; rejects at once while its pause lasts. */
  async connect(): Promise<AuthenticatedChannel> {
    this.#lastUsedMs = this.#options.channel.clock.monotonicMs();
    if (this.#channel !== undefined) return this.#channel;
    if (this.#opening !== undefined) return this.#opening;
    if (this.#closed) throw new BrokerUnavailableError('the producer is closed');
    if (this.#lastUsedMs < this.#notBeforeMs) {
      const reason = this.lastFailure ?? `${this.address} has just closed the connection`;
      throw this.securityFailure ?? new BrokerUnavailableError(reason);
    }
    this.#opening = this.#connect();
    try {
      return await this.#opening;
    } finally {
      this.#opening = undefined;
    }
  }

  async #connect(): Promise<AuthenticatedChannel> {
    const { host, port, channel: channelOptions, logger, onChange } = this.#options;
    let channel: AuthenticatedChannel | undefined;
    try {
      channel = await AuthenticatedChannel.open(host, port, channelOptions, () => this.#onClose());
      if (this.#closed || !channel.isConnected) {
        throw new BrokerUnavailableError(`${this.address} closed the connection`);
      }
      this.#channel = channel;
      this.#isResting = false;
      this.#checkIdleIn(this.#options.maxIdleMs);
      this.lastFailure = undefined;
      this.securityFailure = undefined;
      this.#refusals = 0;
      logger.debug({ broker: this.address }, 'connected to the broker');
      onChange();
      return channel;
    } catch (error) {
      channel?.close().catch(() => {});
      this.#pause(error);
      throw error;
    }
  }

  #onClose(): void {
    if (this.#channel === undefined) return;
    const channel = this.#channel;
    this.#channel = undefined;
    this.#options.logger.debug({ broker: this.address }, 'the connection to the broker is gone');
    if (channel.hasServed || channel.unanswered === 0) {
      // No failure yet: brokers close what is idle. The next attempt will tell.
      this.#failures = 0;
      this.#turnedAway = 0;
      this.#pause(undefined);
    } else {
      this.#pause(++this.#turnedAway > 1 ? this.#loginWanted() : undefined);
    }
  }

  /**
   * A broker that wants a login tells strangers its API versions and closes the connection at the next request,
   * without a word. Once may be a broker that died.
   */
  #loginWanted(): BrokerSecurityError | undefined {
    if (this.#options.channel.security.sasl !== undefined) return undefined;
    const text =
      'closes the connection at the first request: if it wants a login, set security.protocol to SASL_SSL or SASL_PLAINTEXT, and sasl.mechanism';
    return new BrokerSecurityError('KAFKA_SASL_REQUIRED', this.address, text);
  }

  /** Waits before the next attempt: the longer, the more have failed, and longer still if only a person can help. */
  #pause(failure: unknown): void {
    const { channel, logger, backoffMs, securityBackoffMs, onChange } = this.#options;
    this.lastFailure = failure === undefined ? undefined : errorMessage(failure);
    this.#isResting = false;
    this.#cancelIdleCheck();
    this.#failures++;
    let pauseMs = backoffMs(this.#failures);
    if (failure instanceof BrokerSecurityError) {
      pauseMs = securityBackoffMs(++this.#refusals);
      if (this.securityFailure?.code !== failure.code) {
        const fields = { broker: this.address, code: failure.code, reason: failure.message };
        logger.warn(fields, 'no trust between this broker and us; trying again now and then');
      }
    }
    this.securityFailure = failure instanceof BrokerSecurityError ? failure : undefined;
    this.#notBeforeMs = channel.clock.monotonicMs() + pauseMs;
    this.#cancelRetry();
    if (!this.#closed) this.#cancelRetry = channel.clock.schedule(onChange, Math.ceil(pauseMs) + 1);
    onChange();
  }

  #checkIdleIn(delayMs: number): void {
    this.#cancelIdleCheck();
    this.#cancelIdleCheck = this.#options.channel.clock.schedule(() => this.#endIfIdle(), Math.ceil(delayMs));
  }

  /** Brokers and firewalls cut idle connections, some of them without a word: better we do. */
  #endIfIdle(): void {
    const { maxIdleMs, logger, onChange } = this.#options;
    if (this.#channel === undefined) return;
    const restMs = this.#lastUsedMs + maxIdleMs - this.#options.channel.clock.monotonicMs();
    if (restMs > 0 || this.unanswered > 0) {
      this.#checkIdleIn(Math.max(restMs, IDLE_CHECK_MS));
      return;
    }
    const channel = this.#channel;
    this.#channel = undefined;
    this.#isResting = true;
    logger.debug({ broker: this.address }, 'the connection was idle and is ended');
    channel.close().catch(() => {});
    onChange();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRetry();
    this.#cancelIdleCheck();
    await this.#channel?.close();
  }
}
