import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { BrokerPort } from './cluster/port.ts';
import type { ProducerConfig } from './config/config-table.ts';
import type { ProducerStats } from './metrics.ts';

/** What all parts of one producer share. */
export interface ProducerContext {
  readonly config: ProducerConfig;
  readonly port: BrokerPort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stats: ProducerStats;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Pause before the `attempts`-th repetition of anything, milliseconds. */
  readonly retryBackoffMs: (attempts: number) => number;
  /** Something happened: the sender runs soon. */
  readonly wakeup: () => void;
  /** The sender runs within so many milliseconds. */
  readonly wakeupWithin: (delayMs: number) => void;
}
