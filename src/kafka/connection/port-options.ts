import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import type { ProducerConfig } from '../../producer/config/config-table.ts';
import type { ClientSecurity } from '../security/security.ts';

/** What every adapter of the producer's port is made from. */
export interface PortOptions {
  readonly config: ProducerConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: () => number;
  /** Left out, what `config` says; a SecurityConfigError is thrown if that can't be used. */
  readonly security?: ClientSecurity;
}

/** Who is not let in once is not let in a moment later; and brokers that count failed logins may lock the account. */
export const SECURITY_BACKOFF_MS = 5_000;
export const SECURITY_BACKOFF_MAX_MS = 60_000;
