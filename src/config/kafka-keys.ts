import { z } from 'zod';
import { SECURITY_SETTINGS } from '../producer/config/security-table.ts';
import { keyFacts } from './key.ts';

/*
 * The keys below `kafka:` that are the producer's own, under Kafka's names: their rows stand in the producer's
 * table, which also checks their values.
 */

const SECURITY_ROWS = Object.values(SECURITY_SETTINGS);

export type KafkaSecurityKey = (typeof SECURITY_ROWS)[number]['name'];

/** The keys that say how every connection to Kafka is secured. */
export const KAFKA_SECURITY_KEYS: readonly KafkaSecurityKey[] = SECURITY_ROWS.map(({ name }) => name);

/** Text and nothing else: the password 007 must not become the number 7. */
const securityText = z.string({ error: 'a text, in quotes if it looks like a number' }).optional();

export const kafkaSecurityShape = Object.fromEntries(
  SECURITY_ROWS.map((row) => [row.name, securityText.describe(row.meaning).register(keyFacts, { row })]),
) as Record<KafkaSecurityKey, typeof securityText>;

/** Where a gateway's defaults differ from Kafka's: many small messages a second, none of them in a hurry. */
export const GATEWAY_DEFAULTS: Readonly<Record<string, string | number>> = {
  'compression.type': 'lz4',
  'linger.ms': 25,
  'batch.size': 131_072,
};

/** Settings of the producer that stand elsewhere, or that the gateway decides; and what to write instead. */
export const NO_PRODUCER_KEYS: Readonly<Record<string, string>> = {
  'bootstrap.servers': 'nothing here: brokers are set once, in kafka.bootstrap.servers',
  'client.id': 'nothing here: it is set once, in kafka.client.id',
  'delivery.timeout.ms': 'nothing: the gateway never gives up on a record that it took from a device',
  'max.block.ms': 'nothing: the gateway never blocks; devices wait for room instead',
  ...Object.fromEntries(
    KAFKA_SECURITY_KEYS.map((name) => [name, `nothing here: it is set once, in kafka.${name}`]),
  ),
};
