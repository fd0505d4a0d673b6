import { resolve } from 'node:path';
import { toCommands } from './commands.ts';
import { KAFKA_SECURITY_KEYS, configSchema, type ConfigDocument } from './schema.ts';
import { inProgramTerms, type Folders, type InProgramTerms } from './key.ts';

/**
 * What sluice.yaml and the environment say, complete: a key that nobody set holds its default. A key's name and type
 * follow from its row in schema.ts; here is only what has a shape of its own.
 */
export type SluiceConfig = Readonly<ReturnType<typeof toConfig>>;

/** @param profiles the profiles' folder, as the person knows it */
export function toConfig(document: ConfigDocument, folders: Folders, profiles: string) {
  const config = inProgramTerms(configSchema, document, folders);
  const { mqtt, kafka, unrouted, unroutedTopic, ...rest } = config;
  const { store, directory, ...sessions } = mqtt.sessions;
  return {
    ...rest,
    profiles,
    mqtt: {
      ...mqtt,
      listeners: mqtt.listeners.map((listener) => toListener(listener, folders)),
      /** Without a directory sessions end with the gateway. */
      sessions: { ...sessions, directory: store === 'disk' ? directory : undefined },
    },
    kafka: toKafka(kafka, document),
    /** undefined: no audit log is kept. */
    audit: config.audit,
    /** undefined: it is recorded nowhere which devices are here. */
    presence: config.presence && { ...config.presence, gateway: config.presence.gateway },
    commands: toCommands(config.commands),
    journal: toJournal(config.journal),
    unrouted: { policy: unrouted, deadLetterTopic: unroutedTopic },
  };
}

function toKafka(
  { clientId, producer, local, topics, schemaRegistry, ...kafka }: Terms['kafka'],
  document: ConfigDocument,
) {
  return {
    clientId,
    /** Under Kafka's own names; the producer knows and validates them. */
    producer,
    /** undefined: a local Kafka. */
    bootstrapServers:
      kafka.bootstrapServers === undefined ? undefined : [kafka.bootstrapServers].flat().flatMap(listed),
    local: { port: local.port, dataDir: local.data },
    /** What is set of TLS and SASL, under Kafka's own names, for every client alike. May hold secrets. */
    security: Object.fromEntries(
      KAFKA_SECURITY_KEYS.flatMap((key) =>
        document.kafka[key] === undefined ? [] : [[key, document.kafka[key]]],
      ),
    ),
    /** `userInfo` is `user:password`. */
    schemaRegistry: schemaRegistry && {
      url: listed(schemaRegistry.url),
      userInfo: schemaRegistry.basicAuthUserInfo,
    },
    topics: {
      ...topics,
      replicationFactor: topics.replicationFactor,
      /** As Kafka's API takes it. */
      config: Object.fromEntries(Object.entries(topics.config).map(([name, value]) => [name, String(value)])),
    },
  };
}

type Terms = InProgramTerms<ConfigDocument>;

/** The items of a text with commas. */
function listed(text: string): string[] {
  return text.split(',').map((item) => item.trim());
}

/** Store and forward as it is configured; docs/journal.md says what each setting does. */
export type JournalConfig = ReturnType<typeof toJournal>;

function toJournal({ keyFile, keyEnv, ...journal }: Terms['journal']) {
  const { spillAfterMs, spillBufferShare, replayRate, replayShare, ...settings } = journal;
  return {
    ...settings,
    /** Where the key for encryption at rest is; undefined: not encrypted. */
    key:
      keyFile !== undefined ? { file: keyFile } : keyEnv !== undefined ? { environment: keyEnv } : undefined,
    /** When contract kafka-or-journal turns to the disk. */
    spill: { afterMs: spillAfterMs, bufferShare: spillBufferShare },
    replay: { rate: replayRate, share: replayShare },
  };
}

/** A place where devices connect. */
export type ListenerConfig =
  | {
      readonly type: 'tcp' | 'tls' | 'ws' | 'wss';
      readonly host: string;
      /** 0 lets the system choose. */
      readonly port: number;
      /** Absolute paths; of tls and wss. */
      readonly tls: ListenerTls | undefined;
      /** Of ws and wss: the URL's path; undefined: any. */
      readonly path: string | undefined;
      readonly proxyProtocol: boolean;
    }
  | {
      readonly type: 'unix';
      readonly host?: undefined;
      readonly port?: undefined;
      /** Absolute. */
      readonly path: string;
      readonly proxyProtocol: boolean;
    };

export interface ListenerTls {
  readonly cert: string;
  readonly key: string;
  /** Clients must have a certificate of one of these authorities; undefined: they need none. */
  readonly clientCa: string | undefined;
}

/** The ports that clients try when they are told none; WebSocket has none for MQTT, these are the usual ones. */
const DEFAULT_PORTS = { tcp: 1883, tls: 8883, ws: 8083, wss: 8084 } as const;

/** Certificates are looked for beside the configuration file, sockets where data are. */
function toListener(listener: Terms['mqtt']['listeners'][number], folders: Folders): ListenerConfig {
  const { type, host = '127.0.0.1', port, path, tls, proxyProtocol } = listener;
  if (type === 'unix') return { type, path: resolve(folders.data, path ?? 'sluice.sock'), proxyProtocol };
  return {
    type,
    host,
    port: port ?? DEFAULT_PORTS[type],
    path: type === 'ws' || type === 'wss' ? path : undefined,
    tls: tls && { ...tls, clientCa: tls.clientCa },
    proxyProtocol,
  };
}
