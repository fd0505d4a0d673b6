import { join } from 'node:path';

import { simulatedTypes } from '../../src/testbed/fleet/simulated-types.ts';
import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { Fleet } from '../../src/testbed/fleet/fleet.ts';
import type { FleetOptions } from '../../src/testbed/fleet/fleet.ts';
import type { TestGateway } from './gateway.ts';
import { WatchedLedger } from './watched-ledger.ts';

/** A fleet in front of a gateway, and the ledger on the devices' side. */
export interface WatchedFleet {
  readonly fleet: Fleet;
  readonly ledger: WatchedLedger;
}

/** Starts devices of shipped profiles, environment sensors if none are named; the ledger remembers what was acknowledged. */
export function startFleet(
  gateway: TestGateway,
  options: Pick<FleetOptions, 'devices' | 'rate' | 'qos'> & Partial<FleetOptions>,
  types: readonly string[] = ['env-sensor'],
): WatchedFleet {
  const ledger = new WatchedLedger();
  const { profiles } = loadConfig(join(gateway.folder, 'sluice.yaml'), {});
  const fleet = new Fleet({
    url: gateway.mqttUrl,
    seed: 1,
    types: simulatedTypes(profiles, types),
    clock: systemClock,
    logger: silentLogger,
    observer: ledger,
    ...options,
  });
  fleet.start();
  return { fleet, ledger };
}
