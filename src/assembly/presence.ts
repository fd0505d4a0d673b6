import { hostname } from 'node:os';
import type { SluiceConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import { PresenceRecords, type PresenceOutlet } from '../presence/presence-records.ts';

/** Where the configuration wants to know which devices are here. */
export function presenceRecords(
  { presence }: SluiceConfig,
  outlet: PresenceOutlet,
  clock: Clock,
  logger: Logger,
): PresenceRecords | undefined {
  if (presence === undefined) return undefined;
  const { topic, gateway = hostname(), maxPending } = presence;
  return new PresenceRecords({ topic, gateway, maxPending, outlet, clock, logger });
}
