import { errorMessage } from '../../core/errors.ts';
import type { ProducerIdAndEpoch } from '../cluster/port.ts';
import type { ProducerContext } from '../context.ts';
import { ProducerError } from '../errors.ts';

/** The producer id of an idempotent producer: asked for until a broker gives one, then kept. */
export class ProducerIds {
  readonly #context: ProducerContext;
  /** undefined: there is none yet. */
  current: ProducerIdAndEpoch | undefined;
  #inProgress = false;
  #attempts = 0;
  #lastAttemptMs = 0;
  /** Why there is none; undefined when there is one, or none was asked for. */
  lastError: unknown;

  constructor(context: ProducerContext) {
    this.#context = context;
  }

  /** A partition has used up this id's epochs; partitions that can go on with it do. */
  discard(producerId: bigint): void {
    if (this.current?.producerId === producerId) this.current = undefined;
  }

  /** Asks for an id if there is none; milliseconds until the next try, Infinity while there is nothing to wait for. */
  maybeRequest(nowMs: number): number {
    if (this.current !== undefined || this.#inProgress) return Number.POSITIVE_INFINITY;
    const restMs =
      this.#attempts === 0 ? 0 : this.#lastAttemptMs + this.#context.retryBackoffMs(this.#attempts) - nowMs;
    if (restMs > 0) return restMs;
    void this.#request();
    return Number.POSITIVE_INFINITY;
  }

  async #request(): Promise<void> {
    const { port, clock, logger, loop } = this.#context;
    this.#inProgress = true;
    try {
      const id = await port.initProducerId();
      this.current = id;
      this.#attempts = 0;
      this.lastError = undefined;
      logger.debug({ producerId: String(id.producerId), epoch: id.epoch }, 'producer id received');
    } catch (error) {
      this.#attempts++;
      this.#lastAttemptMs = clock.monotonicMs();
      this.#report(error);
      this.lastError = error;
    }
    this.#inProgress = false;
    loop.wakeup();
  }

  /** What passes by itself is detail; what a person must mend is said once. */
  #report(error: unknown): void {
    const { logger } = this.#context;
    const fields = { reason: errorMessage(error) };
    const isNews = errorMessage(this.lastError) !== fields.reason;
    if (error instanceof ProducerError && !error.retriable && isNews) {
      logger.error({ ...fields, code: error.code }, 'no producer id: nothing can be sent; trying again');
    } else {
      logger.debug(fields, 'no producer id yet');
    }
  }
}
