import { resolve } from 'node:path';
import { LISTENER_TYPES } from '../core/listener.ts';
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
    commands: toCommands(config.commands),
    journal: toJournal(config.journal),
    unrouted: { policy: unrouted, deadLetterTopic: unroutedTopic },
  };
}

function toKafka(kafka: Terms['kafka'], document: ConfigDocument) {
  const { clientId, producer, bootstrapServers, local, topics, schemaRegistry } = kafka;
  return {
    clientId,
    /** Under Kafka's own names; the producer knows and validates them. */
    producer,
    /** undefined: a local Kafka. */
    bootstrapServers: bootstrapServers === undefined ? undefined : [bootstrapServers].flat().flatMap(listed),
    local: { port: local.port, dataDir: local.data },
    /** What is set of TLS and SASL, under Kafka's own names, for every client alike. May hold secrets. */
    security: Object.fromEntries(
      KAFKA_SECURITY_KEYS.map((key) => [key, document.kafka[key]]).filter(([, value]) => value !== undefined),
    ) as Readonly<Record<string, string>>,
    /** `userInfo` is `user:password`. */
    schemaRegistry: schemaRegistry && {
      url: listed(schemaRegistry.url),
      userInfo: schemaRegistry.basicAuthUserInfo,
    },
    topics: {
      ...topics,
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
function toJournal({ keyFile, keyEnv, ...journal }: Terms['journal']) {
  const { spillAfterMs, spillBufferShare, replayRate, replayShare, ...settings } = journal;
  const environment = keyEnv === undefined ? undefined : { environment: keyEnv };
  return {
    ...settings,
    /** Where the key for encryption at rest is; undefined: not encrypted. */
    key: keyFile === undefined ? environment : { file: keyFile },
    /** When contract kafka-or-journal turns to the disk. */
    spill: { afterMs: spillAfterMs, bufferShare: spillBufferShare },
    replay: { rate: replayRate, share: replayShare },
  };
}

/** Certificates are looked for beside the configuration file, sockets where data are. */
function toListener({ type, path, ...listener }: Terms['mqtt']['listeners'][number], folders: Folders) {
  const { host = '127.0.0.1', port, tls, proxyProtocol } = listener;
  if (type === 'unix') return { type, path: resolve(folders.data, path ?? 'sluice.sock'), proxyProtocol };
  const facts = LISTENER_TYPES[type];
  const urlPath = facts.path === 'url' ? path : undefined;
  return { type, host, port: port ?? facts.port, path: urlPath, tls, proxyProtocol };
}
