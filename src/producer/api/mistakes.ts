import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import type { ProducerConfig } from '../config/config-table.ts';
import type { ProducerError } from '../errors.ts';

/** Mistakes in the code around a producer, as it can notice them while it runs. The codes are stable. */
export const Mistake = {
  /** A send failed, and nobody looked at its promise. */
  UnobservedFailure: 'SEND_FAILED_UNOBSERVED',
  /** Each send is awaited before the next one is made, so that each waits for linger.ms alone. */
  AwaitedOneByOne: 'SENDS_AWAITED_ONE_BY_ONE',
  /** Most batches hold a record or two. */
  SmallBatches: 'BATCHES_TOO_SMALL',
  /** The process ends with records that were not delivered. */
  NotClosed: 'PRODUCER_NOT_CLOSED',
} as const;
export type Mistake = (typeof Mistake)[keyof typeof Mistake];

interface MistakesContext {
  readonly config: Pick<ProducerConfig, 'lingerMs' | 'batchSizeBytes'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A mistake is said once in this time, with how often it was made since. */
const SAY_EVERY_MS = 60_000;
/** So many sends in a row that waited for the one before are no coincidence. */
const LONELY_SENDS = 50;
/** Batches are looked at by so many at a time. */
const BATCHES_AT_A_TIME = 1_000;
/** Fewer batches than these don't cost anybody anything. */
const MANY_BATCHES_A_SECOND = 250;
const FEW_RECORDS_A_BATCH = 2;

/**
 * Notices the mistakes that are most often made with a Kafka producer, counts them, and says so now and then,
 * with what to do instead. Nothing of it changes what the producer does.
 */
export class Mistakes {
  readonly #context: MistakesContext;
  readonly #counts = new Map<Mistake, number>();
  readonly #said = new Map<Mistake, { readonly atMs: number; readonly count: number }>();
  #lonelySends = 0;
  #awaited = 0;
  #lastEndMs = Number.NEGATIVE_INFINITY;
  #batches = 0;
  #records = 0;
  #countingSinceMs: number | undefined;

  constructor(context: MistakesContext) {
    this.#context = context;
  }

  /** How often each was noticed. */
  get counts(): ReadonlyMap<Mistake, number> {
    return this.#counts;
  }

  unobservedFailure(error: ProducerError): void {
    this.#notice(
      Mistake.UnobservedFailure,
      'a send failed and nobody looked: await send(), or give it a callback, and handle its error',
      { reason: error.code, detail: error.message },
    );
  }

  /** A send whose promise somebody may await was made. */
  sendBegun(nowMs: number): void {
    const { lingerMs } = this.#context.config;
    const isLonely = this.#awaited === 0 && nowMs - this.#lastEndMs < Math.max(1, lingerMs / 2);
    this.#awaited++;
    this.#lonelySends = isLonely && lingerMs > 0 ? this.#lonelySends + 1 : 0;
    if (this.#lonelySends < LONELY_SENDS) return;
    this.#lonelySends = 0;
    this.#notice(
      Mistake.AwaitedOneByOne,
      'each send is awaited before the next one, so that each waits for linger.ms alone: send several and await ' +
        'them together, use a callback, or set linger.ms to 0',
      { lingerMs },
    );
  }

  /** The promise of such a send is about to be settled. */
  sendEnded(nowMs: number): void {
    this.#awaited--;
    this.#lastEndMs = nowMs;
  }

  /** A batch is sent for the first time. */
  batchSent(recordCount: number, nowMs: number): void {
    this.#countingSinceMs ??= nowMs;
    this.#batches++;
    this.#records += recordCount;
    if (this.#batches < BATCHES_AT_A_TIME) return;
    const seconds = (nowMs - this.#countingSinceMs) / 1_000;
    const recordsPerBatch = this.#records / this.#batches;
    const batchesPerSecond = this.#batches / seconds;
    this.#countingSinceMs = nowMs;
    this.#batches = 0;
    this.#records = 0;
    if (batchesPerSecond < MANY_BATCHES_A_SECOND || recordsPerBatch >= FEW_RECORDS_A_BATCH) return;
    const { lingerMs, batchSizeBytes } = this.#context.config;
    this.#notice(
      Mistake.SmallBatches,
      'batches hold hardly more than a record each: raise linger.ms or batch.size, flush less often, or use fewer ' +
        'partitions',
      { recordsPerBatch: Math.round(recordsPerBatch * 10) / 10, lingerMs, batchSizeBytes },
    );
  }

  notClosed(records: number): void {
    this.#notice(
      Mistake.NotClosed,
      'the process ends with records that were not delivered: await producer.close() before it does',
      { records },
    );
  }

  #notice(mistake: Mistake, message: string, fields: object): void {
    const { clock, logger } = this.#context;
    const count = (this.#counts.get(mistake) ?? 0) + 1;
    this.#counts.set(mistake, count);
    const said = this.#said.get(mistake);
    const nowMs = clock.monotonicMs();
    if (said !== undefined && nowMs - said.atMs < SAY_EVERY_MS) return;
    this.#said.set(mistake, { atMs: nowMs, count });
    logger.warn({ code: mistake, times: count - (said?.count ?? 0), ...fields }, message);
  }
}
