import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { LISTENER_TYPE_NAMES } from '../core/listener.ts';
import { FULL_POLICIES } from '../core/profile/profile.ts';
import { SECURITY_SETTINGS, SETTINGS } from '../producer/config/config-table.ts';
import {
  boolean,
  child,
  choice,
  integer,
  isPlainMap,
  kafkaTopic,
  keyFacts,
  keyText,
  list,
  path,
  section,
  share,
  text,
  textLike,
  unlimitedOr,
  type KeyPath,
} from './key.ts';

/*
 * The shape of sluice.yaml: each key with its type and range, its default and its meaning, and nowhere else. The
 * message of each schema is what `sluice check` prints as "expected"; docs/configuration.md and the JSON Schema are
 * made from it by `npm run docs`.
 */

const LISTENER_PATH = 'of ws and wss, the path of the URL; of unix, the file of the socket';

const listener = section({
  type: choice(LISTENER_TYPE_NAMES).default('tcp').describe('How devices talk to this listener.'),
  host: text('an address or a host name')
    .optional()
    .describe(
      'The address to listen on; not for unix. Default: 127.0.0.1. `0.0.0.0`: all of IPv4; `::`: all of IPv6 and IPv4.',
    ),
  port: integer(0, 65_535)
    .optional()
    .describe(
      'The port to listen on; not for unix. Default: 1883, 8883, 8083, 8084 in the order of the types; 0 takes any free port.',
    ),
  path: textLike(/^[^\s?#]+$/, LISTENER_PATH)
    .optional()
    .describe(
      "For ws and wss, the only URL path that is accepted; left out, any. For unix, the socket's file, which must be named.",
    ),
  tls: section({
    cert: path('file', 'a PEM file with the certificate, relative to this file').describe(
      'The certificate chain as a PEM file. It is read again when it changes.',
    ),
    key: path('file', 'a PEM file with the private key, relative to this file').describe(
      "The certificate's private key, without a password.",
    ),
    'client.ca': path('file', 'a PEM file with authorities of client certificates')
      .optional()
      .describe(
        'Only clients with a certificate from one of these authorities get in; left out, clients need none.',
      ),
  })
    .optional()
    .describe('The certificate to show to clients. tls and wss need it; other types must not have it.'),
  'proxy.protocol': boolean()
    .default(false)
    .describe('Whether each connection begins with a PROXY protocol header.'),
});

const mqtt = section({
  listeners: list(
    listener,
    'a list of listeners: - { type: tcp, host: 127.0.0.1, port: 1883 }',
    'at least one listener',
  )
    .prefault([{}])
    .describe('Where devices connect: [mqtt.md](mqtt.md). Default: TCP on 127.0.0.1:1883.'),
  'inflight.quota': integer(1, 65_535)
    .default(64)
    .describe('How many publications of one connection may be on their way at once.'),
  'read.ahead.bytes': integer(1_024, 268_435_456)
    .default(65_536)
    .describe('How much more one connection may send before the gateway stops reading from it.'),
  'memory.limit.bytes': integer(1_048_576, 1_099_511_627_776)
    .default(268_435_456)
    .describe('The same limit for all connections together: [mqtt.md](mqtt.md).'),
  'max.packet.bytes': integer(128, 268_435_460)
    .default(262_144)
    .describe('The largest packet. A connection that sends a larger one is closed.'),
  'connect.timeout.ms': integer(100, 600_000)
    .default(10_000)
    .describe('How long a new connection may take to send its CONNECT.'),
  'max.connections': integer(1, 1_000_000)
    .default(20_000)
    .describe('The most connections at once. Further ones are closed.'),
  'refusal.delay.ms': integer(0, 60_000)
    .default(1_000)
    .describe(
      'How long the connection of a refused client stays open: [mqtt.md](mqtt.md#devices-that-come-again-and-again).',
    ),
  'sys.interval.ms': integer(0, 3_600_000)
    .default(10_000)
    .describe('How often `$SYS` topics are written; 0: never.'),
  sessions: section({
    store: choice(['disk', 'memory'])
      .default('disk')
      .describe(
        'Where sessions and their messages for absent clients are kept: [mqtt.md](mqtt.md#sessions).',
      ),
    directory: path('data', 'a folder, relative to this file')
      .default('.sluice/sessions')
      .describe('The folder of the sessions. Only one gateway may use it.'),
    max: integer(1, 10_000_000).default(100_000).describe('The most sessions of absent clients.'),
    'expiry.ms': integer(1_000, 31_536_000_000)
      .default(604_800_000)
      .describe('A session ends when its client has been absent for so long.'),
    subscriptions: integer(1, 100_000)
      .default(1_000)
      .describe('The most topic filters of one session; more are refused in the SUBACK.'),
    'filter.levels': integer(32, 10_000_000)
      .default(10_000)
      .describe('The most levels of all topic filters of one session; more are refused in the SUBACK.'),
    'filter.levels.total': integer(32, 100_000_000)
      .default(100_000)
      .describe(
        "The most levels of the topic filters of all sessions. 32 levels are every session's own, beyond it too.",
      ),
    'queue.messages': integer(1, 10_000)
      .default(1_000)
      .describe('The most messages that a session holds for its client.'),
    'queue.bytes': integer(1_024, 268_435_456)
      .default(4_194_304)
      .describe('The most bytes that a session holds for its client.'),
    'queue.total.bytes': integer(1_024, 17_179_869_184)
      .default(268_435_456)
      .describe('The most bytes that all sessions together hold.'),
  }).prefault({}),
});

/*
 * The keys below `kafka:` that are the producer's own, under Kafka's names: their rows stand in the producer's table,
 * which also checks their values.
 */

const SECURITY_ROWS = Object.values(SECURITY_SETTINGS);

export type KafkaSecurityKey = (typeof SECURITY_ROWS)[number]['name'];

/** The keys that say how every connection to Kafka is secured. */
export const KAFKA_SECURITY_KEYS: readonly KafkaSecurityKey[] = SECURITY_ROWS.map(({ name }) => name);

/** Text and nothing else: the password 007 must not become the number 7. */
const securityText = z.string({ error: 'a text, in quotes if it looks like a number' }).optional();

const kafkaSecurityShape = Object.fromEntries(
  SECURITY_ROWS.map((row) => [row.name, securityText.describe(row.meaning).register(keyFacts, { row })]),
) as Record<KafkaSecurityKey, typeof securityText>;

/** Where a gateway's defaults differ from Kafka's: many small messages a second, none of them in a hurry. */
export const GATEWAY_DEFAULTS: Readonly<Record<string, string | number>> = {
  'compression.type': 'lz4',
  'linger.ms': 25,
  'batch.size': 131_072,
};

const OWN_DEFAULTS = Object.entries(GATEWAY_DEFAULTS).map(([name, value]) => `\`${name}\` ${value}`);

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

const BROKERS = 'host:port, several with commas or as a list';

const brokerList = z
  .string({ error: BROKERS })
  .refine((value) => SETTINGS.bootstrapServers.type.parse(value) !== undefined, { error: BROKERS });

const ONE_PRODUCER = "native, or nothing: the gateway's own producer is the only one";

const scalar = z.union([z.string(), z.number(), z.boolean()], { error: 'text, a number, true or false' });
const scalars = z.record(z.string(), scalar, { error: 'a map of names to text, numbers, true or false' });

/** The producer's own table checks what is in it, see NO_PRODUCER_KEYS. */
export const producerKeys = scalars
  .default({})
  .describe(
    `Settings under Kafka's own names: [producer.md](producer.md#settings). The gateway's own defaults: ${OWN_DEFAULTS.join(', ')}.`,
  );

const REGISTRY_URL = 'http://host:port or https://host:port, several with commas';
const isRegistryUrl = (url: string): boolean => /^https?:$/.test(URL.parse(url.trim())?.protocol ?? '');

const kafka = section({
  'bootstrap.servers': z
    .union([brokerList, list(brokerList, BROKERS)], { error: BROKERS })
    .optional()
    .describe(
      'The brokers: `host:port`, several with commas or as a list; left out, a local Kafka is started.',
    ),
  'client.id': text('a name for this gateway')
    .default('sluice')
    .describe("The gateway's name in the brokers' logs and quotas."),
  local: section({
    port: integer(1, 65_535).default(9092).describe('The port of the local Kafka.'),
    data: path('data', 'a folder, relative to this file')
      .default('.sluice/kafka')
      .describe('The folder of the local Kafka.'),
  }).prefault({}),
  // 0.1.0 had a choice here. Who wrote its default down has changed nothing.
  adapter: z
    .literal('native', { error: ONE_PRODUCER })
    .optional()
    .describe('Only for old configurations: the producer is always the native one.'),
  ...kafkaSecurityShape,
  'schema.registry': section({
    url: z
      .string({ error: REGISTRY_URL })
      .refine((value) => value.split(',').every(isRegistryUrl), { error: REGISTRY_URL })
      .describe("The registry's base URL, or a list with those of all its instances."),
    'basic.auth.user.info': textLike(/^[^:]+:/, 'user:password')
      .optional()
      .describe('How to log in to the registry.'),
  })
    .optional()
    .describe('The Schema Registry, for profiles with a `subject`: [profiles.md](profiles.md#records).'),
  producer: producerKeys,
  topics: section({
    create: boolean().default(true).describe("Whether the gateway creates topics that don't exist."),
    partitions: integer(1, 100_000)
      .default(8)
      .describe('The partitions of a topic that the gateway creates.'),
    'replication.factor': integer(1, 32_767)
      .optional()
      .describe("The replicas of a topic that the gateway creates; left out, the brokers' default."),
    config: scalars
      .default({})
      .describe(
        "Settings of a topic that the gateway creates, under Kafka's own names: `{ min.insync.replicas: 2 }`.",
      ),
  }).prefault({}),
});

/** A text in which only these names stand in braces, `{device}` among them. */
function template(names: readonly string[], error: string) {
  const rest = new RegExp(`\\{(?:${names.join('|')})\\}`, 'g');
  return z
    .string({ error })
    .refine((value) => value.includes('{device}') && !/[{}\0]/.test(value.replaceAll(rest, '')), { error });
}

const MQTT_TOPIC =
  'an MQTT topic with {device}, and {correlation} if you like, e.g. devices/{device}/commands';

const commands = z.array(
  section(
    {
      topic: kafkaTopic().describe('The Kafka topic.'),
      group: text('a consumer group')
        .optional()
        .describe(
          'The consumer group. All gateways that may read the topic need the same one. Default: `sluice-commands-<topic>`.',
        ),
      device: choice(['key', 'header'])
        .default('key')
        .describe("What names the device: the record's `key`, or a `header`."),
      'device.header': text('the name of a record header')
        .default('device')
        .describe('The name of the header that names the device.'),
      'mqtt.topic': template(['device', 'correlation'], MQTT_TOPIC)
        .refine((value) => !/[+#]/.test(value), { error: MQTT_TOPIC })
        .describe(
          'The MQTT topic that the device has subscribed to: a template of `{device}` and `{correlation}`.',
        ),
      'client.id': template(['device'], 'an MQTT client id with {device}')
        .default('{device}')
        .describe("The device's MQTT client id: a template of `{device}`."),
      'correlation.header': text('the name of a record header')
        .default('correlation-id')
        .describe(
          'The header that fills `{correlation}`. A record without it gets `<partition>-<offset>`, which is unique in its topic.',
        ),
      'expiry.ms': integer(1, 31_536_000_000)
        .optional()
        .describe("How long a command is valid, counted from the record's timestamp; left out, for ever."),
      'expiry.header': text('the name of a record header')
        .default('expiry-ms')
        .describe('The header that says for how many milliseconds this one command is valid.'),
      'undelivered.topic': kafkaTopic()
        .optional()
        .describe(
          "The Kafka topic for commands that don't reach their device. Default: `<topic>.undelivered`.",
        ),
      'ack.timeout.ms': integer(1_000, 86_400_000)
        .default(60_000)
        .describe("How long a command that isn't stored on disk may wait for the device's PUBACK."),
      'max.in.flight': integer(1, 1_000_000)
        .default(10_000)
        .describe(
          'How many commands of one partition may be on their way at once. No more are read until one arrives.',
        ),
      'max.in.flight.per.device': integer(1, 65_535)
        .default(1_000)
        .describe('How many commands may be on their way to one device.'),
      'max.in.flight.bytes': integer(65_536, 1_073_741_824)
        .default(16_777_216)
        .describe('The most memory that all commands on their way may take.'),
      reply: section({
        'mqtt.topic': text(
          'a topic pattern with {device}, e.g. devices/{device}/replies/{correlation}',
        ).describe(
          "Where devices answer: a topic pattern with the level `{device}`, and `{correlation}` if the replies' header is wanted.",
        ),
        topic: kafkaTopic().describe(
          "The Kafka topic for replies. A record has the payload as it came, the device as its key, and the headers `mqtt.topic`, `mqtt.client.id`, `received.at` and the correlation's.",
        ),
      })
        .optional()
        .describe('How devices reply; left out, no replies are awaited.'),
    },
    'such as { topic: device-commands, mqtt.topic: "devices/{device}/commands" }',
  ),
  { error: 'a list of command topics' },
);

const presence = section({
  topic: kafkaTopic().describe('The Kafka topic of the records; their key is the client id.'),
  gateway: text('the name of this gateway in presence records')
    .optional()
    .describe("The gateway's name in these records. Default: the machine's name."),
  'max.pending': integer(1, 10_000_000)
    .default(100_000)
    .describe('The most devices whose state may wait for Kafka.'),
});

const journal = section({
  directories: list(
    path('data', 'a folder, relative to this file'),
    'a list of folders, relative to this file',
    'at least one folder',
  )
    .default(['.sluice/journal'])
    .describe("The journal's folders, in order of preference."),
  'max.bytes': integer(1_048_576, 1_099_511_627_776)
    .default(4_294_967_296)
    .describe(
      'The most bytes of all segments together, at least four segments. One spare file is kept besides.',
    ),
  'max.age.ms': unlimitedOr(60_000, 'milliseconds, 60000 or more, or unlimited')
    .default('unlimited')
    .describe('Records that wait longer are dropped.'),
  'when.full': choice(FULL_POLICIES)
    .default('block')
    .describe(
      'What happens when the journal is full: devices wait, or records are dropped. A device profile may say otherwise.',
    ),
  'segment.bytes': integer(65_536, 1_073_741_824)
    .default(67_108_864)
    .describe('The size of one file. The largest record is a quarter of it.'),
  'segment.max.age.ms': integer(1_000, 2_592_000_000)
    .default(3_600_000)
    .describe('The age at which a segment is closed.'),
  'commit.interval.ms': integer(0, 60_000)
    .default(5)
    .describe('How long a record waits for others that share its write.'),
  'commit.bytes': integer(4_096, 268_435_456)
    .default(1_048_576)
    .describe('A write begins at once when so many bytes wait for it.'),
  'buffer.bytes': integer(1_048_576, 1_073_741_824)
    .default(16_777_216)
    .describe('Memory for records on their way to the disk.'),
  'checkpoint.interval.ms': integer(10, 600_000)
    .default(1_000)
    .describe('How often progress is written down. After a crash, at most what came since is repeated.'),
  'stalled.after.ms': integer(10, 600_000)
    .default(1_000)
    .describe('A write that takes longer is reported as a slow disk.'),
  'key.file': path('file', 'a file with the key, relative to this file')
    .optional()
    .describe('The file with the key that encrypts everything written from now on.'),
  'key.env': text('the name of an environment variable')
    .optional()
    .describe('The environment variable with that key, in place of a file.'),
  'spill.after.ms': integer(10, 600_000)
    .default(1_000)
    .describe('Contract `kafka-or-journal`: the disk is used when Kafka takes longer than this.'),
  'spill.buffer.share': share()
    .default(0.5)
    .describe('Contract `kafka-or-journal`: the disk is used when this share of `buffer.memory` is taken.'),
  'replay.rate': unlimitedOr(1, 'records a second, 1 or more, or unlimited')
    .default('unlimited')
    .describe('The most records a second that are read back from the journal.'),
  'replay.share': share()
    .default(0.5)
    .describe("The share of the gateway's time that reading back may take while devices send."),
});

const audit = section({
  directory: path('data', 'a folder of this gateway alone, relative to this file').describe(
    'The folder of the log.',
  ),
  'max.bytes': integer(1_048_576, 1_099_511_627_776)
    .default(1_073_741_824)
    .describe('The most bytes of all segments together. The oldest are removed to keep to it.'),
  'segment.bytes': integer(65_536, 1_073_741_824)
    .default(67_108_864)
    .describe('The size of one segment, at most half of `max.bytes`.'),
  'buffer.bytes': integer(65_536, 268_435_456)
    .default(8_388_608)
    .describe('Memory for entries that are not on the disk yet.'),
  'sync.interval.ms': integer(10, 60_000)
    .default(1_000)
    .describe('The longest time that an entry waits for its write and fdatasync.'),
});

export const configSchema = section({
  mqtt: mqtt.prefault({}),
  admin: section({
    host: text('an address or a host name')
      .default('127.0.0.1')
      .describe(
        'The address of `/healthz`, `/readyz`, `/metrics` and `/api`. There is no login: open it to trusted machines alone.',
      ),
    port: integer(0, 65_535).default(8080).describe('The port of the HTTP server; 0 takes any free port.'),
  }).prefault({}),
  kafka: kafka.prefault({}),
  commands: commands
    .default([])
    .describe('Kafka topics whose records go to devices: [commands.md](commands.md).'),
  presence: presence
    .optional()
    .describe(
      'Writes records that say which devices are connected; left out, none: [mqtt.md](mqtt.md#presence).',
    ),
  journal: journal
    .prefault({})
    .describe(
      'Store and forward. Only profiles whose contract needs the journal use it: [journal.md](journal.md).',
    ),
  profiles: text('a folder of device profiles, relative to this file')
    .default('devices')
    .describe('The folder of device profiles: [profiles.md](profiles.md).')
    .register(keyFacts, { reloads: true }),
  'profiles.reload': choice(['change', 'signal'])
    .default('change')
    .describe(
      'When profiles are read again: when a file changes and at SIGHUP, or at SIGHUP only: [profiles.md](profiles.md#changes-while-it-runs).',
    ),
  unrouted: choice(['local', 'dead-letter', 'refuse'])
    .default('local')
    .describe(
      'What happens to a message that no profile matches: only local subscribers get it, or it goes to `unrouted.topic`, or its connection is closed.',
    ),
  'unrouted.topic': kafkaTopic()
    .default('unrouted.dlq')
    .describe('The Kafka topic for messages that no profile matches, with `dead-letter`.'),
  audit: audit
    .optional()
    .describe('The log of acknowledged messages; left out, none is written: [audit.md](audit.md).'),
  dlq: section({
    'state.topic': kafkaTopic()
      .default('sluice.dlq.state')
      .describe('The folder that remembers which dead letters are done: [dead-letters.md](dead-letters.md).'),
  }).prefault({}),
  log: section({
    level: choice(['debug', 'info', 'warn', 'error'])
      .default('info')
      .describe('The least severe level that is logged.'),
    format: choice(['auto', 'json', 'pretty'])
      .default('auto')
      .describe('The form of log lines. `pretty` is for people; `auto`: pretty on a terminal, else json.'),
  }).prefault({}),
  'shutdown.timeout.ms': integer(0, 3_600_000)
    .default(30_000)
    .describe('How long a stop may take to deliver to Kafka what devices have sent.'),
});

/** sluice.yaml as it is written, with defaults filled in. */
export type ConfigDocument = z.infer<typeof configSchema>;

/** The keys that differ and need a restart, e.g. `mqtt.listeners`. Values are not told: they may be secrets. */
export function keysToRestartFor(before: ConfigDocument, after: ConfigDocument): string[] {
  return changedKeys(configSchema, before, after, []).map(keyText);
}

/** A list counts as one value. */
function changedKeys(schema: unknown, before: unknown, after: unknown, path: KeyPath): KeyPath[] {
  const reloads = schema instanceof z.ZodType && keyFacts.get(schema)?.reloads === true;
  if (reloads || isDeepStrictEqual(before, after)) return [];
  if (!isPlainMap(before) || !isPlainMap(after)) return [path];
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => changedKeys(child(schema, key), before[key], after[key], [...path, key]));
}
