import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import { SchemaRegistry } from '../producer/schema-registry/schema-registry.ts';
import type { Blueprint } from './blueprint.ts';

/** Connects the frames of values with the Schema Registry, where there is one. */
export function connectSchemaRegistry(
  { config, services }: Pick<Blueprint, 'config' | 'services'>,
  clock: Clock,
  logger: Logger,
): void {
  if (config.kafka.schemaRegistry === undefined) return;
  const { url, userInfo } = config.kafka.schemaRegistry;
  const [username = '', ...password] = userInfo?.split(':') ?? [];
  const auth = userInfo === undefined ? {} : { auth: { username, password: password.join(':') } };
  services.framings.connect({ registry: new SchemaRegistry({ url, ...auth, logger, clock }), clock, logger });
}
