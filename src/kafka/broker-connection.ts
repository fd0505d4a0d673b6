import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import { errorMessage } from '../core/errors.ts';
import { BrokerUnavailableError } from '../producer/errors.ts';
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
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #cancelRetry = () => {};
  #closed = false;
  /** Why the last attempt failed; undefined while connected, or before the first. */
  lastFailure: string | undefined;

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
      throw new BrokerUnavailableError(this.lastFailure ?? `${this.address} has just closed the connection`);
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
      this.#failures = 0;
      this.lastFailure = undefined;
      logger.debug({ broker: this.address }, 'connected to the broker');
      onChange();
      return this.#open;
    } catch (error) {
      wire?.close().catch(() => {});
      this.#pause(errorMessage(error));
      throw error;
    }
  }

  #onClose(): void {
    if (this.#open === undefined) return;
    this.#open = undefined;
    this.#options.logger.debug({ broker: this.address }, 'the connection to the broker is gone');
    // No failure yet: brokers close what is idle. The next attempt will tell.
    this.#pause(undefined);
  }

  #pause(failure: string | undefined): void {
    const { clock, backoffMs, onChange } = this.#options;
    this.lastFailure = failure;
    this.#failures++;
    const pauseMs = backoffMs(this.#failures);
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
