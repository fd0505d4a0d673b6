import { z } from 'zod';

/**
 * The keys below `kafka:` that say how connections are secured: Kafka's own names, whose values the Kafka
 * stage knows and validates. (A test holds them against its table.)
 */
export const KAFKA_SECURITY_KEYS = [
  'security.protocol',
  'sasl.mechanism',
  'sasl.jaas.config',
  'sasl.username',
  'sasl.password',
  'sasl.oauthbearer.token.endpoint.url',
  'sasl.oauthbearer.client.credentials.client.id',
  'sasl.oauthbearer.client.credentials.client.secret',
  'sasl.oauthbearer.scope',
  'sasl.login.callback.handler.class',
  'ssl.truststore.type',
  'ssl.truststore.location',
  'ssl.truststore.certificates',
  'ssl.keystore.type',
  'ssl.keystore.location',
  'ssl.keystore.password',
  'ssl.keystore.certificate.chain',
  'ssl.keystore.key',
  'ssl.key.password',
  'ssl.endpoint.identification.algorithm',
  'ssl.enabled.protocols',
] as const;

export type KafkaSecurityKey = (typeof KAFKA_SECURITY_KEYS)[number];

/** Text and nothing else: the password 007 must not become the number 7. */
const securityText = z.string({ error: 'a text, in quotes if it looks like a number' }).optional();

export const kafkaSecurityShape = Object.fromEntries(
  KAFKA_SECURITY_KEYS.map((key) => [key, securityText]),
) as Record<KafkaSecurityKey, typeof securityText>;
