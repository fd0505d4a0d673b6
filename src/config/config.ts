import { resolve } from 'node:path';
import { toCommands, type CommandsConfig } from './commands.ts';
import { KAFKA_SECURITY_KEYS, type KafkaSecurityKey } from './kafka-security-keys.ts';
import { toJournal, type JournalConfig } from './journal.ts';
import { toListener, type ListenerConfig } from './listener.ts';
import type { ConfigDocument } from './schema.ts';

/** What sluice.yaml and the environment say, complete: a key that nobody set holds its default. */
export interface SluiceConfig {
  readonly mqtt: {
    readonly listeners: readonly ListenerConfig[];
    /** Publications of one connection that may be on their way to Kafka at once. */
    readonly inflightQuota: number;
    /** What one connection may send ahead of that before it isn't read any more. */
    readonly readAheadBytes: number;
    /** Bound of what all connections together have sent ahead. */
    readonly memoryLimitBytes: number;
    readonly maxPacketBytes: number;
    /** From accepted connection to CONNECT. */
    readonly connectTimeoutMs: number;
    readonly maxConnections: number;
    /** How long a client that was refused waits for its end. */
    readonly refusalDelayMs: number;
    /** Of the topics under $SYS/broker; 0: there are none. */
    readonly sysIntervalMs: number;
    readonly sessions: {
      /** Absolute path; undefined: sessions end with the gateway. */
      readonly directory: string | undefined;
      /** Sessions kept for absent clients. */
      readonly max: number;
      /** How long. */
      readonly expiryMs: number;
      /** Topic filters of one session. */
      readonly subscriptions: number;
      /** What one of them may hold for its client, and all of them together. */
      readonly queueMessages: number;
      readonly queueBytes: number;
      readonly queueTotalBytes: number;
    };
  };
  readonly admin: { readonly host: string; readonly port: number };
  readonly kafka: {
    /** host:port each; undefined: a local Kafka. */
    readonly bootstrapServers: readonly string[] | undefined;
    readonly clientId: string;
    readonly local: { readonly port: number; /** Absolute path. */ readonly dataDir: string };
    /** What carries the producer's batches to the brokers. */
    /** What is set of TLS and SASL, under Kafka's own names, for every client alike. May hold secrets. */
    readonly security: Readonly<Partial<Record<KafkaSecurityKey, string>>>;
    /** Under Kafka's own names; the producer knows and validates them. */
    readonly producer: Readonly<Record<string, string | number | boolean>>;
    /** undefined: none. */
    readonly schemaRegistry:
      | {
          /** Base URLs of its instances. */
          readonly url: readonly string[];
          /** `user:password`; undefined: without. */
          readonly userInfo: string | undefined;
        }
      | undefined;
    readonly topics: {
      readonly create: boolean;
      readonly partitions: number;
      /** undefined: the brokers' default. */
      readonly replicationFactor: number | undefined;
      /** Topic configuration under Kafka's own names, as Kafka's API takes it. */
      readonly config: Readonly<Record<string, string>>;
    };
  };
  /** Where it is recorded which devices are here; undefined: nowhere. */
  readonly presence:
    | {
        readonly topic: string;
        /** This gateway's name in the records; undefined: the machine's. */
        readonly gateway: string | undefined;
        /** Devices whose state may wait for Kafka. */
        readonly maxPending: number;
      }
    | undefined;
  /** Kafka topics with commands to devices. */
  readonly commands: readonly CommandsConfig[];
  /** Store and forward, of which only profiles with such a contract make use. */
  readonly journal: JournalConfig;
  /** The profiles' folder as the person knows it. */
  readonly profilesDir: string;
  /** When profiles are read again: at SIGHUP alone, or also when a file has changed. */
  readonly profilesReload: 'change' | 'signal';
  readonly unrouted: {
    readonly policy: 'local' | 'dead-letter' | 'refuse';
    readonly deadLetterTopic: string;
  };
  /** undefined: no audit log is kept. */
  readonly audit:
    | {
        /** Absolute path. */
        readonly directory: string;
        readonly maxBytes: number;
        readonly segmentBytes: number;
        readonly bufferBytes: number;
        readonly syncIntervalMs: number;
      }
    | undefined;
  readonly dlq: {
    /** Where `sluice dlq` remembers which dead letters are done. */
    readonly stateTopic: string;
  };
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly format: 'auto' | 'json' | 'pretty';
  };
  readonly shutdownTimeoutMs: number;
}

/** The folders that relative paths start at. */
export interface Folders {
  /** The device profiles', taken as found. */
  readonly profiles: string;
  /** Of what is written while we run. */
  readonly data: string;
  /** Of the configuration file. */
  readonly config: string;
}

/** Names what the document says in the program's own terms. */
export function toConfig(document: ConfigDocument, folders: Folders): SluiceConfig {
  const { mqtt, admin, kafka, log } = document;
  const brokers = kafka['bootstrap.servers'];
  return {
    mqtt: {
      listeners: mqtt.listeners.map((listener) => toListener(listener, folders)),
      inflightQuota: mqtt['inflight.quota'],
      readAheadBytes: mqtt['read.ahead.bytes'],
      memoryLimitBytes: mqtt['memory.limit.bytes'],
      maxPacketBytes: mqtt['max.packet.bytes'],
      connectTimeoutMs: mqtt['connect.timeout.ms'],
      maxConnections: mqtt['max.connections'],
      refusalDelayMs: mqtt['refusal.delay.ms'],
      sysIntervalMs: mqtt['sys.interval.ms'],
      sessions: toSessions(mqtt.sessions, folders),
    },
    admin,
    kafka: {
      bootstrapServers:
        brokers === undefined
          ? undefined
          : [brokers]
              .flat()
              .flatMap((list) => list.split(','))
              .map(trim),
      clientId: kafka['client.id'],
      local: { port: kafka.local.port, dataDir: resolve(folders.data, kafka.local.data) },
      security: Object.fromEntries(
        KAFKA_SECURITY_KEYS.flatMap((key) => (kafka[key] === undefined ? [] : [[key, kafka[key]]])),
      ),
      schemaRegistry: toSchemaRegistry(kafka['schema.registry']),
      producer: kafka.producer,
      topics: {
        create: kafka.topics.create,
        partitions: kafka.topics.partitions,
        replicationFactor: kafka.topics['replication.factor'],
        config: Object.fromEntries(
          Object.entries(kafka.topics.config).map(([name, value]) => [name, String(value)]),
        ),
      },
    },
    presence: document.presence && {
      topic: document.presence.topic,
      gateway: document.presence.gateway,
      maxPending: document.presence['max.pending'],
    },
    commands: toCommands(document.commands),
    journal: toJournal(document.journal, folders),
    profilesDir: folders.profiles,
    profilesReload: document['profiles.reload'],
    unrouted: { policy: document.unrouted, deadLetterTopic: document['unrouted.topic'] },
    audit: toAudit(document.audit, folders),
    dlq: { stateTopic: document.dlq['state.topic'] },
    log,
    shutdownTimeoutMs: document['shutdown.timeout.ms'],
  };
}

function toSessions(
  document: ConfigDocument['mqtt']['sessions'],
  folders: Folders,
): SluiceConfig['mqtt']['sessions'] {
  return {
    directory: document.store === 'disk' ? resolve(folders.data, document.directory) : undefined,
    max: document.max,
    expiryMs: document['expiry.ms'],
    subscriptions: document.subscriptions,
    queueMessages: document['queue.messages'],
    queueBytes: document['queue.bytes'],
    queueTotalBytes: document['queue.total.bytes'],
  };
}

function toAudit(document: ConfigDocument['audit'], folders: Folders): SluiceConfig['audit'] {
  if (document === undefined) return undefined;
  return {
    directory: resolve(folders.data, document.directory),
    maxBytes: document['max.bytes'],
    segmentBytes: document['segment.bytes'],
    bufferBytes: document['buffer.bytes'],
    syncIntervalMs: document['sync.interval.ms'],
  };
}

function toSchemaRegistry(
  document: ConfigDocument['kafka']['schema.registry'],
): SluiceConfig['kafka']['schemaRegistry'] {
  if (document === undefined) return undefined;
  return { url: document.url.split(',').map(trim), userInfo: document['basic.auth.user.info'] };
}

function trim(text: string): string {
  return text.trim();
}
