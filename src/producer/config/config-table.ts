import { boolean, choice, integer, secret, setting, text } from './setting.ts';
import type { SettingType, SettingValue } from './setting.ts';

const SECURITY_PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const;

const SASL_MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'] as const;

const STORE_TYPES = ['PEM', 'PKCS12', 'JKS'] as const;

const TLS_VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

const LOGIN_HANDLERS = ['OAuthBearerLoginCallbackHandler', 'OAuthBearerUnsecuredLoginCallbackHandler'];

/** How a client and its brokers know each other: the rows of the settings' table for TLS and SASL. */
export const SECURITY_SETTINGS = {
  securityProtocol: setting('security.protocol', word(SECURITY_PROTOCOLS), 'PLAINTEXT').meaning(
    'How the producer talks to brokers: in the clear or over TLS (SSL), with a login (SASL) or without.',
  ),
  saslMechanism: setting('sasl.mechanism', word(SASL_MECHANISMS)).meaning(
    "How we log in. (Kafka's default, GSSAPI, is not supported.)",
  ),
  saslJaasConfig: setting('sasl.jaas.config', secret()).meaning(
    'Login module and credentials, as any Kafka client takes them: `<class>LoginModule required username="…" password="…";`.',
  ),
  saslUsername: setting('sasl.username', text()).meaning(
    "Short for the username in sasl.jaas.config. (librdkafka's name; Java has none.)",
  ),
  saslPassword: setting('sasl.password', secret()).meaning(
    "Short for the password in sasl.jaas.config. (librdkafka's name; Java has none.)",
  ),
  saslOauthbearerTokenEndpointUrl: setting('sasl.oauthbearer.token.endpoint.url', text()).meaning(
    'The source of tokens: an https: URL (OAuth 2 client credentials), or a file: URL of a file that another program keeps fresh.',
  ),
  saslOauthbearerClientId: setting('sasl.oauthbearer.client.credentials.client.id', text()).meaning(
    'The client that asks for a token; or clientId in sasl.jaas.config.',
  ),
  saslOauthbearerClientSecret: setting('sasl.oauthbearer.client.credentials.client.secret', secret()).meaning(
    "The client's secret; or clientSecret in sasl.jaas.config.",
  ),
  saslOauthbearerScope: setting('sasl.oauthbearer.scope', text()).meaning(
    'The scope to ask for; or scope in sasl.jaas.config.',
  ),
  saslLoginCallbackHandlerClass: setting('sasl.login.callback.handler.class', loginHandler()).meaning(
    'Accepted so that settings can be pasted. It has no effect: the other settings decide.',
  ),
  sslTruststoreType: setting('ssl.truststore.type', word(STORE_TYPES), 'PEM').meaning(
    "PEM. Stores that only Java can read (Kafka's default, JKS) are refused with the command that converts them.",
  ),
  sslTruststoreLocation: setting('ssl.truststore.location', text()).meaning(
    'PEM file of the authorities (CAs) whose brokers are trusted; left out, the public ones that Node knows.',
  ),
  sslTruststoreCertificates: setting('ssl.truststore.certificates', text()).meaning(
    'The same authorities as PEM text, instead of a file.',
  ),
  sslKeystoreType: setting('ssl.keystore.type', word(STORE_TYPES), 'PEM').meaning(
    'PEM or PKCS12. JKS is refused with the command that converts it.',
  ),
  sslKeystoreLocation: setting('ssl.keystore.location', text()).meaning(
    'Our own private key and certificate chain, for brokers that want one: a PEM file with both, or PKCS12.',
  ),
  sslKeystorePassword: setting('ssl.keystore.password', secret()).meaning(
    'The password of a PKCS12 keystore.',
  ),
  sslKeystoreCertificateChain: setting('ssl.keystore.certificate.chain', text()).meaning(
    'Our own certificate, and those between it and its CA, as PEM text.',
  ),
  sslKeystoreKey: setting('ssl.keystore.key', secret()).meaning('Our own private key, as PEM text.'),
  sslKeyPassword: setting('ssl.key.password', secret()).meaning('The password of an encrypted private key.'),
  sslEndpointIdentificationAlgorithm: setting(
    'ssl.endpoint.identification.algorithm',
    {
      expected: 'https, or empty (or none) for brokers whose certificates have other names',
      json: { type: 'string', pattern: '^(https|HTTPS|none|)$' },
      parse(value) {
        if (value === '' || value === 'none') return '';
        return String(value).toLowerCase() === 'https' ? 'https' : undefined;
      },
    },
    'https',
  ).meaning(
    'https: a broker’s certificate must name the host that we connect to. Empty or none: any certificate of a trusted CA will do.',
  ),
  sslEnabledProtocols: setting('ssl.enabled.protocols', tlsVersions(), TLS_VERSIONS).meaning(
    'The versions of TLS that we speak.',
  ),
};

/**
 * What a client of Kafka says of itself and wants to be told, as it was written: paths are not resolved,
 * references to files and variables not followed. See kafka/security/ for what is made of it.
 */
export type SecurityConfig = {
  readonly [Field in keyof typeof SECURITY_SETTINGS]: SettingValue<(typeof SECURITY_SETTINGS)[Field]>;
};

/** A producer's settings, checked: a field for each row of {@link SETTINGS}, which has Kafka's names and ranges. */
export type ProducerConfig = {
  readonly [Field in keyof typeof SETTINGS]: SettingValue<(typeof SETTINGS)[Field]>;
};

export type CompressionType = ProducerConfig['compressionType'];

const MIB = 1024 * 1024;
const MAX_INT = 0x7fff_ffff;

/** Every setting of the producer. */
export const SETTINGS = {
  bootstrapServers: setting('bootstrap.servers', servers(), []).meaning(
    'Brokers to ask first, host:port, as a list or separated by commas; the others are learnt from them.',
  ),
  clientId: setting('client.id', text(0), 'sluice-producer').meaning(
    "The producer's name in the brokers' logs, metrics and quotas. (Kafka's default is empty, which helps nobody.)",
  ),
  acks: setting('acks', acks(), -1).meaning(
    'What a broker waits for before it acknowledges: all in-sync replicas, itself (1), or nothing (0).',
  ),
  enableIdempotence: setting('enable.idempotence', boolean(), true).meaning(
    'Each record is written once and in order, even if its batch is repeated. Needs acks=all.',
  ),
  batchSizeBytes: setting('batch.size', integer(1_024, 64 * MIB), 16_384).meaning(
    'Bytes of records that are gathered for one partition. A larger record gets a batch of its own.',
  ),
  lingerMs: setting('linger.ms', integer(0, 3_600_000), 5).meaning(
    'How long a batch that is not full waits for more records.',
  ),
  bufferMemoryBytes: setting('buffer.memory', integer(65_536, 64 * 1024 * MIB), 32 * MIB).meaning(
    'Bytes of records that may wait for delivery; no partition may take more than a quarter of them.',
  ),
  maxRequestSizeBytes: setting('max.request.size', integer(1_024, 1024 * MIB), MIB).meaning(
    'The largest record, before compression, and the most that goes into one request.',
  ),
  maxBlockMs: setting('max.block.ms', integer(0, MAX_INT), 60_000).meaning(
    'How long send() waits for metadata or memory. tryAppend() never waits.',
  ),
  compressionType: setting(
    'compression.type',
    choice('none', 'gzip', 'snappy', 'lz4', 'zstd'),
    'none',
  ).meaning('How batches are compressed.'),
  compressionGzipLevel: setting('compression.gzip.level', integer(-1, 9), -1).meaning(
    'From 1 (fast) to 9 (small); -1 is the library’s choice.',
  ),
  compressionZstdLevel: setting('compression.zstd.level', integer(-131_072, 22), 3).meaning(
    'From 1 (fast) to 22 (small); below 0 faster still.',
  ),
  maxInFlightRequestsPerConnection: setting(
    'max.in.flight.requests.per.connection',
    integer(1, 5),
    5,
  ).meaning(
    'Requests to one broker that wait for their answers. More than 5 would defeat idempotence; without idempotence a partition has one in flight, whatever this says, so that order is kept.',
  ),
  retries: setting('retries', integer(0, MAX_INT), MAX_INT).meaning(
    'How often a batch is repeated. Better left alone: delivery.timeout.ms is the limit to set.',
  ),
  retryBackoffMs: setting('retry.backoff.ms', integer(0, 3_600_000), 100).meaning(
    'The first pause before a repetition; it doubles from time to time, give or take a fifth.',
  ),
  retryBackoffMaxMs: setting('retry.backoff.max.ms', integer(0, 3_600_000), 1_000).meaning(
    'The longest pause before a repetition.',
  ),
  requestTimeoutMs: setting('request.timeout.ms', integer(1, MAX_INT), 30_000).meaning(
    'A broker that has not answered after this time is disconnected, and its batches are repeated.',
  ),
  deliveryTimeoutMs: setting('delivery.timeout.ms', duration(), 120_000).meaning(
    'How long after its first record a batch fails if it is not delivered. Infinity: never.',
  ),
  metadataMaxAgeMs: setting('metadata.max.age.ms', integer(0, MAX_INT), 300_000).meaning(
    'Metadata about topics and leaders is read again after this time.',
  ),
  reconnectBackoffMs: setting('reconnect.backoff.ms', integer(0, 3_600_000), 50).meaning(
    'The first pause before another attempt to reach a broker; it doubles, give or take a fifth.',
  ),
  reconnectBackoffMaxMs: setting('reconnect.backoff.max.ms', integer(0, 3_600_000), 1_000).meaning(
    'The longest pause before another attempt to reach a broker.',
  ),
  connectionSetupTimeoutMs: setting(
    'socket.connection.setup.timeout.ms',
    integer(1, MAX_INT),
    10_000,
  ).meaning('How long a connection may take to come about.'),
  ...SECURITY_SETTINGS,
  connectionsMaxIdleMs: setting('connections.max.idle.ms', integer(1_000, MAX_INT), 540_000).meaning(
    'A connection that has carried nothing for this long is closed; the next request opens another.',
  ),
  partitionerIgnoreKeys: setting('partitioner.ignore.keys', boolean(), false).meaning(
    'Spread all records evenly, as if they had no keys: records of one key may then overtake each other.',
  ),
  partitionerAdaptive: setting('partitioner.adaptive.partitioning.enable', boolean(), true).meaning(
    'Records without a key go more often to partitions whose brokers are quick (KIP-794).',
  ),
  partitionerAvailabilityTimeoutMs: setting(
    'partitioner.availability.timeout.ms',
    integer(0, MAX_INT),
    0,
  ).meaning(
    'Records without a key pass over partitions whose broker has taken nothing for this long; 0 is never.',
  ),
};

/**
 * Settings of Java's producer, and names that people bring from librdkafka's documentation, that have no meaning here;
 * and why, or what to write instead. One that ends with `*` is a family of names.
 */
export const UNSUPPORTED: Readonly<Record<string, string>> = {
  'key.serializer': 'serializers are given to the Producer as objects',
  'value.serializer': 'serializers are given to the Producer as objects',
  'compression.lz4.level': 'our lz4 has one level, the quick one',
  'partitioner.class': 'a partitioner is given to the Producer as an object',
  'interceptor.classes': 'classes of Java can not be loaded',
  'transaction*': 'transactions are not supported',
  'metadata.max.idle.ms':
    'a topic is remembered, with the sequences of its partitions, as long as the producer lives',
  'metadata.recovery.*':
    'bootstrap.servers are asked whenever no other broker can be reached; a cluster that has moved altogether is found by them',
  'socket.connection.setup.timeout.max.ms':
    'the time for a connection does not grow; the pauses in between do',
  'receive.buffer.bytes': "the operating system's socket buffers are used",
  'send.buffer.bytes': "the operating system's socket buffers are used",
  'client.dns.lookup': 'Node tries all addresses of a name, IPv4 and IPv6',
  'metric*': 'producer.metrics() has the figures, over the whole life of the producer',
  'enable.metrics.push': 'figures are not pushed to brokers; see producer.metrics()',
  'config.providers*': 'secrets are taken from `${env:NAME}` and `${file:path}`, see Kafka security',
  'sasl.mechanisms': "it is called 'sasl.mechanism'",
  'sasl.kerberos.*': 'GSSAPI (Kerberos) is not supported',
  'sasl.client.callback.handler.class': 'classes of Java can not be loaded',
  'sasl.login.class': 'classes of Java can not be loaded',
  'sasl.login.refresh.*': 'a token is renewed when four fifths of its life are over',
  'sasl.login.*': 'how often and how long tokens are asked for can not be set',
  'sasl.oauthbearer.*':
    'of OAUTHBEARER, tokens from an endpoint or a file by client credentials are supported',
  'security.providers': 'classes of Java can not be loaded',
  'ssl.ca.location': "it is called 'ssl.truststore.location'",
  'ssl.ca.pem': "it is called 'ssl.truststore.certificates'",
  'ssl.certificate.location':
    "it is called 'ssl.keystore.certificate.chain', with `${file:<path>}` as its value",
  'ssl.certificate.pem': "it is called 'ssl.keystore.certificate.chain'",
  'ssl.key.location': "it is called 'ssl.keystore.key', with `${file:<path>}` as its value",
  'ssl.key.pem': "it is called 'ssl.keystore.key'",
  'ssl.truststore.password': 'certificates in PEM have no password',
  'ssl.protocol': "'ssl.enabled.protocols' says which versions of TLS are spoken",
  'ssl.cipher.suites': "OpenSSL's choice is used; Node's option --tls-cipher-list changes it",
  'ssl.provider': 'TLS is OpenSSL’s',
  'ssl.engine.factory.class': 'classes of Java can not be loaded',
  'ssl.keymanager.algorithm': 'TLS is OpenSSL’s',
  'ssl.trustmanager.algorithm': 'TLS is OpenSSL’s',
  'ssl.secure.random.implementation': 'TLS is OpenSSL’s',
};

/** Why a name that Kafka's documentation has is no setting here; undefined if there is no such reason. */
export function unsupported(name: string): string | undefined {
  const known = Object.keys(UNSUPPORTED).find((key) =>
    key.endsWith('*') ? name.startsWith(key.slice(0, -1)) : name === key,
  );
  return known === undefined ? undefined : UNSUPPORTED[known];
}

/** One of a few words, however it is capitalised. */
function word<T extends string>(words: readonly T[]): SettingType<T> {
  return {
    expected: `one of ${words.join(', ')}`,
    json: { type: 'string', pattern: `^\\s*(${words.map(anyCase).join('|')})\\s*$` },
    parse: (value) => words.find((candidate) => candidate === String(value).trim().toUpperCase()),
  };
}

/** A pattern of a word, in the dialect of JSON Schema, which has no flag for it. */
function anyCase(word: string): string {
  return word.replaceAll(/[A-Z]/g, (letter) => `[${letter}${letter.toLowerCase()}]`);
}

function tlsVersions(): SettingType<readonly (typeof TLS_VERSIONS)[number][]> {
  return {
    expected: `one or more of ${TLS_VERSIONS.join(', ')}, as a list or separated by commas`,
    json: { type: ['string', 'array'], items: { enum: TLS_VERSIONS } },
    parse(value) {
      const names: unknown[] =
        typeof value === 'string' ? value.split(',').map((name) => name.trim()) : [value].flat();
      const versions = TLS_VERSIONS.filter((version) => names.includes(version));
      return versions.length > 0 && versions.length === names.length ? versions : undefined;
    },
  };
}

function loginHandler(): SettingType<string> {
  return {
    expected: `Kafka's own ${LOGIN_HANDLERS.join(' or ')}: other classes of Java can not be loaded`,
    json: { type: 'string', pattern: `(^|\\.)(${LOGIN_HANDLERS.join('|')})$` },
    parse: (value) =>
      typeof value === 'string' && LOGIN_HANDLERS.includes(value.split('.').at(-1) ?? '') ? value : undefined,
  };
}

function duration(): SettingType<number> {
  const finite = integer(1, MAX_INT);
  return {
    expected: `an integer from 1 to ${MAX_INT}, or Infinity`,
    json: { anyOf: [{ const: 'Infinity' }, finite.json] },
    parse: (value) => (String(value) === 'Infinity' ? Infinity : finite.parse(value)),
  };
}

function acks(): SettingType<-1 | 0 | 1> {
  return {
    expected: 'all, 1 or 0',
    json: { enum: ['all', -1, 0, 1, '-1', '0', '1'] },
    parse(value) {
      const wanted = value === 'all' ? '-1' : String(value);
      return ([-1, 0, 1] as const).find((acks) => String(acks) === wanted);
    },
  };
}

function servers(): SettingType<readonly string[]> {
  return {
    expected: 'one or more host:port, as a list or separated by commas',
    json: { type: ['string', 'array'], items: { type: 'string' } },
    parse(value) {
      const list: unknown[] =
        typeof value === 'string' ? value.split(',') : Array.isArray(value) ? value : [];
      const parsed = list.map((server) => (typeof server === 'string' ? server.trim() : ''));
      const legal = parsed.length > 0 && parsed.every((server) => isServer(server));
      return legal ? parsed : undefined;
    },
  };
}

function isServer(server: string): boolean {
  const match = /^(?:\[[0-9a-f:.]+\]|[^\s:/,[\]@]+):(\d{1,5})$/i.exec(server);
  const port = Number(match?.[1] ?? 0);
  return port >= 1 && port <= 65_535;
}
