import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { Mistakes } from './api/mistakes.ts';
import type { BrokerPort } from './cluster/port.ts';
import type { ProducerConfig } from './config/config-table.ts';
import type { ProducerStats } from './metrics.ts';
import type { SenderLoop } from './sending/sender-loop.ts';

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
  /** Runs the sender: soon, or within so many milliseconds. */
  readonly loop: Pick<SenderLoop, 'wakeup' | 'wakeupWithin'>;
  readonly mistakes: Mistakes;
}
