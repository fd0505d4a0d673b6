import { z } from 'zod';
import { kafkaSecurityShape } from './kafka-security-keys.ts';

/*
 * The shape of sluice.yaml: every key, its range and its default, and nowhere else. The message of each
 * schema is what `sluice check` prints as "expected".
 */

/** An integer within bounds, both included. */
export function integer(min: number, max: number) {
  const error = `an integer from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** Text of at least one character; `what` says what it is for. */
export function text(what: string) {
  return z.string({ error: what }).min(1, { error: what });
}

/** One of a few words. */
export function choice<const T extends readonly [string, ...string[]]>(words: T) {
  return z.enum(words, { error: words.join(' or ') });
}

const ONE_PRODUCER = "native, or nothing: the gateway's own producer is the only one";

/** A map with exactly these keys; of many keys, an example says more than their names. */
export function section<T extends z.core.$ZodLooseShape>(shape: T, example?: string) {
  return z.strictObject(shape, { error: `a map ${example ?? `of ${Object.keys(shape).join(', ')}`}` });
}

const TOPIC_NAME = /^(?!\.{1,2}$)[a-zA-Z0-9._-]+$/;

/** The name of a Kafka topic; 4 of Kafka's 249 characters are left for `.dlq`. */
export function kafkaTopic() {
  const error = 'a Kafka topic name: 1 to 245 of the characters a-z A-Z 0-9 . _ -';
  return z.string({ error }).regex(TOPIC_NAME, { error }).max(245, { error });
}

const scalar = z.union([z.string(), z.number(), z.boolean()], { error: 'text, a number, true or false' });
const scalars = z.record(z.string(), scalar, { error: 'a map of names to text, numbers, true or false' });

const BROKER = /^(\[[0-9A-Fa-f:.]+\]|[^\s:/,[\]@]+):(\d{1,5})$/;
const BROKERS = 'host:port, several with commas or as a list';

function isBroker(entry: string): boolean {
  const port = Number(BROKER.exec(entry.trim())?.[2]);
  return port >= 1 && port <= 65_535;
}

const brokerList = z
  .string({ error: BROKERS })
  .refine((value) => value.split(',').every(isBroker), { error: BROKERS });

const LISTENER_PATH = 'of ws and wss, the path of the URL; of unix, the file of the socket';

const listener = section({
  type: choice(['tcp', 'tls', 'ws', 'wss', 'unix']).default('tcp'),
  host: text('an address or a host name').optional(),
  port: integer(0, 65_535).optional(),
  path: z
    .string({ error: LISTENER_PATH })
    .regex(/^[^\s?#]+$/, { error: LISTENER_PATH })
    .optional(),
  tls: section({
    cert: text('a PEM file with the certificate, relative to this file'),
    key: text('a PEM file with the private key, relative to this file'),
    'client.ca': text('a PEM file with authorities of client certificates').optional(),
  }).optional(),
  'proxy.protocol': z.boolean({ error: 'true or false' }).default(false),
});

const RATE = 'records a second, 1 or more, or unlimited';
const AGE = 'milliseconds, 60000 or more, or unlimited';
const SHARE = 'a share above 0, up to 1';

/** Store and forward; looked at where a profile's contract is a journal's. */
const journal = section({
  directories: z
    .array(text('a folder, relative to this file'), { error: 'a list of folders, relative to this file' })
    .min(1, { error: 'at least one folder' })
    .default(['.sluice/journal']),
  'max.bytes': integer(1_048_576, 1_099_511_627_776).default(4_294_967_296),
  'max.age.ms': z.union([z.literal('unlimited'), z.int().min(60_000)], { error: AGE }).default('unlimited'),
  'when.full': choice(['block', 'drop-oldest', 'drop-newest']).default('block'),
  'segment.bytes': integer(65_536, 1_073_741_824).default(67_108_864),
  'segment.max.age.ms': integer(1_000, 2_592_000_000).default(3_600_000),
  'commit.interval.ms': integer(0, 60_000).default(5),
  'commit.bytes': integer(4_096, 268_435_456).default(1_048_576),
  'buffer.bytes': integer(1_048_576, 1_073_741_824).default(16_777_216),
  'checkpoint.interval.ms': integer(10, 600_000).default(1_000),
  'stalled.after.ms': integer(10, 600_000).default(1_000),
  'key.file': text('a file with the key, relative to this file').optional(),
  'key.env': text('the name of an environment variable').optional(),
  'spill.after.ms': integer(10, 600_000).default(1_000),
  'spill.buffer.share': z
    .number({ error: SHARE })
    .gt(0, { error: SHARE })
    .max(1, { error: SHARE })
    .default(0.5),
  'replay.rate': z.union([z.literal('unlimited'), z.int().min(1)], { error: RATE }).default('unlimited'),
  'replay.share': z.number({ error: SHARE }).gt(0, { error: SHARE }).max(1, { error: SHARE }).default(0.5),
});

const REGISTRY_URL = 'http://host:port or https://host:port, several with commas';
const USER_INFO = 'user:password';

const MQTT_TOPIC =
  'an MQTT topic with {device}, and {correlation} if you like, e.g. devices/{device}/commands';
const CLIENT_ID = 'an MQTT client id with {device}';

/** A text in which only these names stand in braces, `{device}` among them. */
function template(names: readonly string[], error: string) {
  const rest = new RegExp(`\\{(?:${names.join('|')})\\}`, 'g');
  return z
    .string({ error })
    .refine((value) => value.includes('{device}') && !/[{}\0]/.test(value.replaceAll(rest, '')), { error });
}

const commands = z.array(
  section(
    {
      topic: kafkaTopic(),
      group: text('a consumer group').optional(),
      device: choice(['key', 'header']).default('key'),
      'device.header': text('the name of a record header').default('device'),
      'mqtt.topic': template(['device', 'correlation'], MQTT_TOPIC).refine((value) => !/[+#]/.test(value), {
        error: MQTT_TOPIC,
      }),
      'client.id': template(['device'], CLIENT_ID).default('{device}'),
      'correlation.header': text('the name of a record header').default('correlation-id'),
      'expiry.ms': integer(1, 31_536_000_000).optional(),
      'expiry.header': text('the name of a record header').default('expiry-ms'),
      'undelivered.topic': kafkaTopic().optional(),
      'ack.timeout.ms': integer(1_000, 86_400_000).default(60_000),
      'max.in.flight': integer(1, 1_000_000).default(10_000),
      'max.in.flight.per.device': integer(1, 65_535).default(1_000),
      'max.in.flight.bytes': integer(65_536, 1_073_741_824).default(16_777_216),
      reply: section({
        'mqtt.topic': text('a topic pattern with {device}, e.g. devices/{device}/replies/{correlation}'),
        topic: kafkaTopic(),
      }).optional(),
    },
    'such as { topic: device-commands, mqtt.topic: "devices/{device}/commands" }',
  ),
  { error: 'a list of command topics' },
);

export const configSchema = section({
  mqtt: section({
    listeners: z
      .array(listener, { error: 'a list of listeners: - { type: tcp, host: 127.0.0.1, port: 1883 }' })
      .min(1, { error: 'at least one listener' })
      .prefault([{}]),
    'inflight.quota': integer(1, 65_535).default(64),
    'read.ahead.bytes': integer(1_024, 268_435_456).default(65_536),
    'memory.limit.bytes': integer(1_048_576, 1_099_511_627_776).default(268_435_456),
    'max.packet.bytes': integer(128, 268_435_460).default(262_144),
    'connect.timeout.ms': integer(100, 600_000).default(10_000),
    'max.connections': integer(1, 1_000_000).default(20_000),
    'refusal.delay.ms': integer(0, 60_000).default(1_000),
    'sys.interval.ms': integer(0, 3_600_000).default(10_000),
    sessions: section({
      store: choice(['disk', 'memory']).default('disk'),
      directory: text('a folder, relative to this file').default('.sluice/sessions'),
      max: integer(1, 10_000_000).default(100_000),
      'expiry.ms': integer(1_000, 31_536_000_000).default(604_800_000),
      subscriptions: integer(1, 100_000).default(1_000),
      'queue.messages': integer(1, 10_000).default(1_000),
      'queue.bytes': integer(1_024, 268_435_456).default(4_194_304),
      'queue.total.bytes': integer(1_024, 17_179_869_184).default(268_435_456),
    }).prefault({}),
  }).prefault({}),
  admin: section({
    host: text('an address or a host name').default('127.0.0.1'),
    port: integer(0, 65_535).default(8080),
  }).prefault({}),
  kafka: section({
    'bootstrap.servers': z
      .union([brokerList, z.array(brokerList, { error: BROKERS }).min(1, { error: BROKERS })], {
        error: BROKERS,
      })
      .optional(),
    'client.id': text('a name for this gateway').default('sluice'),
    local: section({
      port: integer(1, 65_535).default(9092),
      data: text('a folder, relative to this file').default('.sluice/kafka'),
    }).prefault({}),
    // 0.1.0 had a choice here. Who wrote its default down has changed nothing.
    adapter: z.literal('native', { error: ONE_PRODUCER }).optional(),
    ...kafkaSecurityShape,
    'schema.registry': section({
      url: z
        .string({ error: REGISTRY_URL })
        .refine(
          (value) => value.split(',').every((url) => /^https?:$/.test(URL.parse(url.trim())?.protocol ?? '')),
          {
            error: REGISTRY_URL,
          },
        ),
      'basic.auth.user.info': z
        .string({ error: USER_INFO })
        .regex(/^[^:]+:/, { error: USER_INFO })
        .optional(),
    }).optional(),
    producer: scalars.default({}),
    topics: section({
      create: z.boolean({ error: 'true or false' }).default(true),
      partitions: integer(1, 100_000).default(8),
      'replication.factor': integer(1, 32_767).optional(),
      config: scalars.default({}),
    }).prefault({}),
  }).prefault({}),
  commands: commands.default([]),
  presence: section({
    topic: kafkaTopic(),
    gateway: text('the name of this gateway in presence records').optional(),
    'max.pending': integer(1, 10_000_000).default(100_000),
  }).optional(),
  journal: journal.prefault({}),
  profiles: text('a folder of device profiles, relative to this file').default('devices'),
  'profiles.reload': choice(['change', 'signal']).default('change'),
  unrouted: choice(['local', 'dead-letter', 'refuse']).default('local'),
  'unrouted.topic': kafkaTopic().default('unrouted.dlq'),
  audit: section({
    directory: text('a folder of this gateway alone, relative to this file'),
    'max.bytes': integer(1_048_576, 1_099_511_627_776).default(1_073_741_824),
    'segment.bytes': integer(65_536, 1_073_741_824).default(67_108_864),
    'buffer.bytes': integer(65_536, 268_435_456).default(8_388_608),
    'sync.interval.ms': integer(10, 60_000).default(1_000),
  }).optional(),
  dlq: section({ 'state.topic': kafkaTopic().default('sluice.dlq.state') }).prefault({}),
  log: section({
    level: choice(['debug', 'info', 'warn', 'error']).default('info'),
    format: choice(['auto', 'json', 'pretty']).default('auto'),
  }).prefault({}),
  'shutdown.timeout.ms': integer(0, 3_600_000).default(30_000),
});

/** sluice.yaml as it is written, with defaults filled in. */
export type ConfigDocument = z.infer<typeof configSchema>;
