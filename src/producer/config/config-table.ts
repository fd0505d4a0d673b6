import { SECURITY_SETTINGS, UNSUPPORTED_SECURITY, type SecurityConfig } from './security-table.ts';

export type CompressionType = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';

/** A producer's settings, checked; see {@link SETTINGS} for Kafka's names, ranges and meanings. */
export interface ProducerConfig extends SecurityConfig {
  /** `host:port`. */
  readonly bootstrapServers: readonly string[];
  readonly clientId: string;
  /** 0, 1, or -1 for `all`. */
  readonly acks: -1 | 0 | 1;
  readonly enableIdempotence: boolean;
  readonly batchSizeBytes: number;
  readonly lingerMs: number;
  readonly bufferMemoryBytes: number;
  readonly maxRequestSizeBytes: number;
  readonly maxBlockMs: number;
  readonly compressionType: CompressionType;
  readonly compressionGzipLevel: number;
  readonly compressionZstdLevel: number;
  readonly maxInFlightRequestsPerConnection: number;
  readonly retries: number;
  readonly retryBackoffMs: number;
  readonly retryBackoffMaxMs: number;
  readonly requestTimeoutMs: number;
  /** Infinity: nothing ever expires. */
  readonly deliveryTimeoutMs: number;
  readonly metadataMaxAgeMs: number;
  readonly reconnectBackoffMs: number;
  readonly reconnectBackoffMaxMs: number;
  readonly connectionSetupTimeoutMs: number;
  readonly connectionsMaxIdleMs: number;
  readonly partitionerIgnoreKeys: boolean;
  readonly partitionerAdaptive: boolean;
  /** 0: never pass a partition over for its broker's slowness. */
  readonly partitionerAvailabilityTimeoutMs: number;
}

export interface SettingType<T> {
  /** What is legal, for a person. */
  readonly expected: string;
  /** undefined when the value is not legal. */
  parse(value: unknown): T | undefined;
}

/** One row of the table. */
export interface Setting<T> {
  /** Kafka's name. */
  readonly name: string;
  readonly type: SettingType<T>;
  /** Kafka 4's default, unless `meaning` says why not. */
  readonly default: T;
  readonly meaning: string;
  /** The value is never shown. */
  readonly secret?: true;
}

const MIB = 1024 * 1024;
const MAX_INT = 0x7fff_ffff;

/** Every setting of the producer. */
export const SETTINGS: { readonly [Field in keyof ProducerConfig]: Setting<ProducerConfig[Field]> } = {
  bootstrapServers: {
    name: 'bootstrap.servers',
    type: servers(),
    default: [],
    meaning:
      'Brokers to ask first, host:port, as a list or separated by commas; the others are learnt from them.',
  },
  clientId: {
    name: 'client.id',
    type: text(),
    default: 'sluice-producer',
    meaning:
      "Who we are in the brokers' logs, metrics and quotas. (Kafka's default is empty, which helps nobody.)",
  },
  acks: {
    name: 'acks',
    type: acks(),
    default: -1,
    meaning:
      'What a broker waits for before it acknowledges: all in-sync replicas, itself (1), or nothing (0).',
  },
  enableIdempotence: {
    name: 'enable.idempotence',
    type: boolean(),
    default: true,
    meaning: 'Each record is written once and in order, whatever has to be repeated. Needs acks=all.',
  },
  batchSizeBytes: {
    name: 'batch.size',
    type: integer(1_024, 64 * MIB),
    default: 16_384,
    meaning: 'Bytes of records that are gathered for one partition. A larger record gets a batch of its own.',
  },
  lingerMs: {
    name: 'linger.ms',
    type: integer(0, 3_600_000),
    default: 5,
    meaning: 'How long a batch that is not full waits for more records.',
  },
  bufferMemoryBytes: {
    name: 'buffer.memory',
    type: integer(65_536, 64 * 1024 * MIB),
    default: 32 * MIB,
    meaning:
      'Bytes of records that may wait for delivery; no partition may take more than a quarter of them.',
  },
  maxRequestSizeBytes: {
    name: 'max.request.size',
    type: integer(1_024, 1024 * MIB),
    default: MIB,
    meaning: 'The largest record, before compression, and the most that goes into one request.',
  },
  maxBlockMs: {
    name: 'max.block.ms',
    type: integer(0, MAX_INT),
    default: 60_000,
    meaning: 'How long send() waits for metadata or memory. tryAppend() never waits.',
  },
  compressionType: {
    name: 'compression.type',
    type: choice('none', 'gzip', 'snappy', 'lz4', 'zstd'),
    default: 'none',
    meaning: 'How batches are compressed.',
  },
  compressionGzipLevel: {
    name: 'compression.gzip.level',
    type: integer(-1, 9),
    default: -1,
    meaning: 'From 1 (fast) to 9 (small); -1 is the library’s choice.',
  },
  compressionZstdLevel: {
    name: 'compression.zstd.level',
    type: integer(-131_072, 22),
    default: 3,
    meaning: 'From 1 (fast) to 22 (small); below 0 faster still.',
  },
  maxInFlightRequestsPerConnection: {
    name: 'max.in.flight.requests.per.connection',
    type: integer(1, 5),
    default: 5,
    meaning:
      'Requests to one broker that wait for their answers. More than 5 would defeat idempotence; without idempotence a partition has one in flight, whatever this says, so that order is kept.',
  },
  retries: {
    name: 'retries',
    type: integer(0, MAX_INT),
    default: MAX_INT,
    meaning: 'How often a batch is repeated. Better left alone: delivery.timeout.ms is the limit to set.',
  },
  retryBackoffMs: {
    name: 'retry.backoff.ms',
    type: integer(0, 3_600_000),
    default: 100,
    meaning: 'The first pause before a repetition; it doubles from time to time, give or take a fifth.',
  },
  retryBackoffMaxMs: {
    name: 'retry.backoff.max.ms',
    type: integer(0, 3_600_000),
    default: 1_000,
    meaning: 'The longest pause before a repetition.',
  },
  requestTimeoutMs: {
    name: 'request.timeout.ms',
    type: integer(1, MAX_INT),
    default: 30_000,
    meaning: 'A broker that has not answered after this time is disconnected, and its batches are repeated.',
  },
  deliveryTimeoutMs: {
    name: 'delivery.timeout.ms',
    type: duration(),
    default: 120_000,
    meaning: 'How long after its first record a batch fails if it is not delivered. Infinity: never.',
  },
  metadataMaxAgeMs: {
    name: 'metadata.max.age.ms',
    type: integer(0, MAX_INT),
    default: 300_000,
    meaning: 'What is known of topics and leaders is read again after this time.',
  },
  reconnectBackoffMs: {
    name: 'reconnect.backoff.ms',
    type: integer(0, 3_600_000),
    default: 50,
    meaning: 'The first pause before another attempt to reach a broker; it doubles, give or take a fifth.',
  },
  reconnectBackoffMaxMs: {
    name: 'reconnect.backoff.max.ms',
    type: integer(0, 3_600_000),
    default: 1_000,
    meaning: 'The longest pause before another attempt to reach a broker.',
  },
  connectionSetupTimeoutMs: {
    name: 'socket.connection.setup.timeout.ms',
    type: integer(1, MAX_INT),
    default: 10_000,
    meaning: 'How long a connection may take to come about.',
  },
  ...SECURITY_SETTINGS,
  connectionsMaxIdleMs: {
    name: 'connections.max.idle.ms',
    type: integer(1_000, MAX_INT),
    default: 540_000,
    meaning: 'A connection that has carried nothing for this long is closed; the next request opens another.',
  },
  partitionerIgnoreKeys: {
    name: 'partitioner.ignore.keys',
    type: boolean(),
    default: false,
    meaning:
      'Spread all records evenly, as if they had no keys: records of one key may then overtake each other.',
  },
  partitionerAdaptive: {
    name: 'partitioner.adaptive.partitioning.enable',
    type: boolean(),
    default: true,
    meaning: 'Records without a key go more often to partitions whose brokers are quick (KIP-794).',
  },
  partitionerAvailabilityTimeoutMs: {
    name: 'partitioner.availability.timeout.ms',
    type: integer(0, MAX_INT),
    default: 0,
    meaning:
      'Records without a key pass over partitions whose broker has taken nothing for this long; 0 is never.',
  },
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

function integer(least: number, most: number): SettingType<number> {
  return {
    expected: `an integer from ${least} to ${most}`,
    parse(value) {
      const number = typeof value === 'string' && /^-?\d+$/.test(value.trim()) ? Number(value) : value;
      if (typeof number !== 'number' || !Number.isInteger(number)) return undefined;
      return number >= least && number <= most ? number : undefined;
    },
  };
}

function duration(): SettingType<number> {
  const finite = integer(1, MAX_INT);
  return {
    expected: `an integer from 1 to ${MAX_INT}, or Infinity`,
    parse: (value) =>
      value === Number.POSITIVE_INFINITY || value === 'Infinity'
        ? Number.POSITIVE_INFINITY
        : finite.parse(value),
  };
}

function boolean(): SettingType<boolean> {
  return {
    expected: 'true or false',
    parse(value) {
      if (typeof value === 'boolean') return value;
      if (value === 'true') return true;
      return value === 'false' ? false : undefined;
    },
  };
}

function text(): SettingType<string> {
  return { expected: 'a text', parse: (value) => (typeof value === 'string' ? value : undefined) };
}

function choice<T extends string>(...values: readonly T[]): SettingType<T> {
  return {
    expected: `one of ${values.join(', ')}`,
    parse: (value) => values.find((candidate) => candidate === value),
  };
}

function acks(): SettingType<-1 | 0 | 1> {
  return {
    expected: 'all, 1 or 0',
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
