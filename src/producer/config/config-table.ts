import { SECURITY_SETTINGS, UNSUPPORTED_SECURITY } from './security-table.ts';
import { boolean, choice, integer, setting, text, type SettingType, type SettingValue } from './setting.ts';

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
    "Who we are in the brokers' logs, metrics and quotas. (Kafka's default is empty, which helps nobody.)",
  ),
  acks: setting('acks', acks(), -1).meaning(
    'What a broker waits for before it acknowledges: all in-sync replicas, itself (1), or nothing (0).',
  ),
  enableIdempotence: setting('enable.idempotence', boolean(), true).meaning(
    'Each record is written once and in order, whatever has to be repeated. Needs acks=all.',
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
    'What is known of topics and leaders is read again after this time.',
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

/** Settings of Java's producer that have no meaning here, and why; one that ends with `*` is a family of names. */
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
  ...UNSUPPORTED_SECURITY,
};

/** Why a name that Kafka's documentation has is no setting here; undefined if there is no such reason. */
export function unsupported(name: string): string | undefined {
  const known = Object.keys(UNSUPPORTED).find((key) =>
    key.endsWith('*') ? name.startsWith(key.slice(0, -1)) : name === key,
  );
  return known === undefined ? undefined : UNSUPPORTED[known];
}

function duration(): SettingType<number> {
  const finite = integer(1, MAX_INT);
  return {
    expected: `an integer from 1 to ${MAX_INT}, or Infinity`,
    json: { anyOf: [{ const: 'Infinity' }, finite.json] },
    parse: (value) =>
      value === Number.POSITIVE_INFINITY || value === 'Infinity'
        ? Number.POSITIVE_INFINITY
        : finite.parse(value),
  };
}

function acks(): SettingType<-1 | 0 | 1> {
  return {
    expected: 'all, 1 or 0',
    json: { enum: ['all', -1, 0, 1, '-1', '0', '1'] },
    parse(value) {
      switch (String(value)) {
        case 'all':
        case '-1':
          return -1;
        case '1':
          return 1;
        case '0':
          return 0;
        default:
          return undefined;
      }
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
  const match = /^(?:\[[0-9a-f:.]+\]|[^\s:/[\]]+):(\d{1,5})$/i.exec(server);
  const port = Number(match?.[1] ?? 0);
  return port >= 1 && port <= 65_535;
}
