import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import type { QoS } from '../../core/publication.ts';
import type { SimulatedType } from './device.ts';
import type { FleetObserver } from './ledger.ts';
import type { OpenLink } from './link.ts';

export interface FleetOptions {
  /** The MQTT listener, e.g. `mqtt://127.0.0.1:1883`; user and password as in any URL. */
  readonly url: string;
  /** How many devices, spread evenly over `types`. */
  readonly devices: number;
  /** Messages a second of all devices together; 0: as fast as the windows allow. */
  readonly rate: number;
  readonly qos: QoS;
  /** Ends after so many messages of all devices together; each sends its even share. */
  readonly count?: number;
  /** Ends after so many milliseconds of publishing. */
  readonly durationMs?: number;
  /** The same seed gives the same devices with the same readings. */
  readonly seed: number;
  readonly types: readonly SimulatedType[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Most messages of one device that are not yet acknowledged; 20. */
  readonly window?: number;
  /** Most messages that a device keeps in its own memory until its window has room; as many as the window. */
  readonly backlog?: number;
  /** Put before every device's name, so that two fleets are different devices. */
  readonly prefix?: string;
  /** How long the end of `count` or `durationMs` waits for acknowledgements that are missing; 60 s. */
  readonly drainTimeoutMs?: number;
  readonly observer?: FleetObserver;
  /** How long a device may be silent before its connection counts as broken, at either end; 60 s. */
  readonly keepaliveSeconds?: number;
  /** The `mqtt` package by default. */
  readonly openLink?: OpenLink;
}
