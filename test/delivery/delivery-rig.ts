import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import type { Topic } from '../../src/core/publication.ts';
import type { Route } from '../../src/core/route.ts';
import type { DeviceTypes } from '../../src/delivery/dead-letter.ts';
import { Delivery, type DeliveryOptions } from '../../src/delivery/delivery.ts';
import { Ledger, withAccount } from '../../src/delivery/ledger/ledger.ts';

/** Device types of which nothing is known by name. */
export const unknownTypes: DeviceTypes = { deadLetterTopic: () => undefined, pattern: () => undefined };

/** Delivery with a ledger of its own, on whose accounts the routes are counted. */
export function newDelivery({
  resolve,
  ...options
}: Partial<Omit<DeliveryOptions, 'resolve'>> &
  Pick<DeliveryOptions, 'records'> & { readonly resolve: (topic: Topic) => readonly Route[] }): Delivery {
  const ledger = new Ledger();
  return new Delivery({
    ledger,
    types: unknownTypes,
    unrouted: { policy: 'local', deadLetterTopic: 'unrouted.dlq' },
    clock: systemClock,
    logger: silentLogger,
    ...options,
    resolve: (topic) => resolve(topic).map((route) => withAccount(route, ledger)),
  });
}
