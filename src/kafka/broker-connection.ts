import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import { errorMessage } from '../core/errors.ts';
import { BrokerUnavailableError } from '../producer/errors.ts';
import { BrokerSecurityError } from './security/failure.ts';
import { fetchApiVersions, type NegotiatedVersions } from './requests.ts';
import { Wire, type WireOptions } from './wire.ts';

/** A connection that is up, and what the broker speaks. */
export interface OpenWire {
  readonly wire: Wire;
  readonly versions: NegotiatedVersions;
}

export interface BrokerConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly wire: WireOptions;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Pause before the next attempt after `failures` in a row, milliseconds. */
  readonly backoffMs: (failures: number) => number;
  /** The same after failures that only a person can mend. */
  readonly securityBackoffMs: (failures: number) => number;
  /** The connection came up, went down, could not be made, or may be tried again. */
  readonly onChange: () => void;
}

/** One broker's connection: made when first needed, made anew after it broke, with a growing pause in between. */
export class BrokerConnection {
  readonly address: string;
  readonly #options: BrokerConnectionOptions;
  #open: OpenWire | undefined;
  #opening: Promise<OpenWire> | undefined;
  #failures = 0;
  #refusals = 0;
  /** Connections in a row that the broker closed instead of answering the first real request. */
  #turnedAway = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #cancelRetry = () => {};
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
    return this.#open !== undefined;
  }

  /** The connection, if it is up. If not, it is made as soon as its pause allows. */
  current(): OpenWire | undefined {
    if (this.#open !== undefined) return this.#open;
    const restMs = this.#notBeforeMs - this.#options.clock.monotonicMs();
    if (restMs <= 0) {
      this.connect().catch(() => {});
    }
    return undefined;
  }

  /** The connection; rejects at once while its pause lasts. */
  async connect(): Promise<OpenWire> {
    if (this.#open !== undefined) return this.#open;
    if (this.#opening !== undefined) return this.#opening;
    if (this.#closed) throw new BrokerUnavailableError('the producer is closed');
    if (this.#options.clock.monotonicMs() < this.#notBeforeMs) {
      throw (
        this.securityFailure ??
        new BrokerUnavailableError(this.lastFailure ?? `${this.address} has just closed the connection`)
      );
    }
    this.#opening = this.#connect();
    try {
      return await this.#opening;
    } finally {
      this.#opening = undefined;
    }
  }

  async #connect(): Promise<OpenWire> {
    const { host, port, wire: wireOptions, logger, onChange } = this.#options;
    let wire: Wire | undefined;
    try {
      wire = await Wire.open(host, port, wireOptions, () => {
        this.#onClose();
      });
      const versions = await fetchApiVersions(wire, this.address);
      if (this.#closed || !wire.isConnected) {
        throw new BrokerUnavailableError(`${this.address} closed the connection`);
      }
      this.#open = { wire, versions };
      this.lastFailure = undefined;
      this.securityFailure = undefined;
      this.#refusals = 0;
      logger.debug({ broker: this.address }, 'connected to the broker');
      onChange();
      return this.#open;
    } catch (error) {
      wire?.close().catch(() => {});
      this.#pause(error);
      throw error;
    }
  }

  #onClose(): void {
    if (this.#open === undefined) return;
    const { wire } = this.#open;
    this.#open = undefined;
    this.#options.logger.debug({ broker: this.address }, 'the connection to the broker is gone');
    if (wire.hasServed || wire.unanswered === 0) {
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
    if (this.#options.wire.security.sasl !== undefined) return undefined;
    return new BrokerSecurityError(
      'KAFKA_SASL_REQUIRED',
      this.address,
      'closes the connection at the first request: if it wants a login, set security.protocol to SASL_SSL or SASL_PLAINTEXT, and sasl.mechanism',
    );
  }

  /** Waits before the next attempt: the longer, the more have failed, and longer still if only a person can help. */
  #pause(failure: unknown): void {
    const { clock, logger, backoffMs, securityBackoffMs, onChange } = this.#options;
    this.lastFailure = failure === undefined ? undefined : errorMessage(failure);
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
    this.#notBeforeMs = clock.monotonicMs() + pauseMs;
    this.#cancelRetry();
    if (!this.#closed) this.#cancelRetry = clock.schedule(onChange, Math.ceil(pauseMs) + 1);
    onChange();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRetry();
    await this.#open?.wire.close();
  }
}
