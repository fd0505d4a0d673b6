import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { LoadedConfig } from '../../config/load.ts';
import { variableName } from '../../config/environment.ts';
import { KAFKA_SECURITY_KEYS } from '../../config/schema.ts';
import type { ConfigDocument } from '../../config/schema.ts';
import type { DrillSetting } from './report/drill-result.ts';

const DRILL_DEVICE_TYPE = 'sluice-drill';

export interface GatewayFilesOptions extends Pick<
  DrillSetting,
  'contract' | 'journalBytes' | 'paddingBytes'
> {
  /** The operator's configuration: the gateway under test has its settings, and none of its destinations. */
  readonly loaded: LoadedConfig;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where the files go, and everything that the gateway writes. */
  readonly folder: string;
  /** Of the proxies. */
  readonly bootstrapServers: readonly string[];
  readonly topic: string;
}

/**
 * Writes the configuration of the gateway under test: the operator's settings of memory, producer and topics,
 * one device type of the drill's own, and nothing that leads to anybody's topics, ports or files.
 * @returns the configuration file, and the environment to run it in; secrets are in the latter only
 */
export async function writeGatewayFiles(
  options: GatewayFilesOptions,
): Promise<{ configFile: string; environment: Record<string, string | undefined> }> {
  const { folder } = options;
  const configFile = join(folder, 'sluice.yaml');
  await mkdir(join(folder, 'devices'), { recursive: true });
  // JSON is YAML.
  await writeFile(configFile, JSON.stringify(gatewayConfig(options), undefined, 2), { mode: 0o600 });
  await writeFile(
    join(folder, 'devices', 'drill.yaml'),
    JSON.stringify(deviceProfile(options), undefined, 2),
  );
  return { configFile, environment: gatewayEnvironment(options) };
}

function gatewayConfig(options: GatewayFilesOptions): Partial<ConfigDocument> {
  const { loaded, bootstrapServers } = options;
  const { mqtt, kafka, ...document } = loaded.document;
  return {
    mqtt: {
      'inflight.quota': mqtt['inflight.quota'],
      'read.ahead.bytes': mqtt['read.ahead.bytes'],
      'memory.limit.bytes': mqtt['memory.limit.bytes'],
      'max.packet.bytes': mqtt['max.packet.bytes'],
      'connect.timeout.ms': mqtt['connect.timeout.ms'],
      'max.connections': mqtt['max.connections'],
      'refusal.delay.ms': 0,
      'sys.interval.ms': 0,
      sessions: { ...mqtt.sessions, directory: 'sessions' },
      listeners: [{ type: 'tcp', host: '127.0.0.1', port: 0, 'proxy.protocol': false }],
    },
    admin: { host: '127.0.0.1', port: 0 },
    kafka: {
      'bootstrap.servers': [...bootstrapServers],
      'client.id': `${kafka['client.id']}-drill`,
      producer: kafka.producer,
      topics: { ...kafka.topics, create: true },
    } as ConfigDocument['kafka'],
    journal: journalConfig(options),
    profiles: 'devices',
    unrouted: 'local',
    log: { level: 'warn', format: 'json' },
    'shutdown.timeout.ms': document['shutdown.timeout.ms'],
  };
}

/** In the drill's own folder: sync times are those of the disk that the system keeps temporary files on. */
function journalConfig({ loaded, journalBytes }: GatewayFilesOptions): ConfigDocument['journal'] {
  const { 'key.file': keyFile, ...journal } = loaded.document.journal;
  return {
    ...journal,
    directories: ['journal'],
    'when.full': 'block',
    ...(keyFile === undefined ? {} : { 'key.file': resolve(dirname(loaded.file), keyFile) }),
    ...(journalBytes === undefined
      ? {}
      : { 'max.bytes': journalBytes, 'segment.bytes': Math.floor(journalBytes / 8) }),
  };
}

/** A device whose messages carry their own number, so that each can be found again in Kafka. */
function deviceProfile({ topic, contract, paddingBytes }: GatewayFilesOptions): object {
  return {
    type: DRILL_DEVICE_TYPE,
    topic: 'sluice-drill/{device}',
    decode: 'json',
    device: '{device}',
    time: { field: 'ts', unit: 'ms' },
    sequence: { field: 'seq' },
    metrics: {
      temperature: { field: 'temp', unit: 'Cel' },
      humidity: { field: 'hum', unit: '%' },
      battery: { field: 'battery', unit: 'V' },
      ...(paddingBytes > 0 && { padding: { field: 'padding' } }),
    },
    produce: { topic, key: '{device}' },
    ack: contract,
    simulate: {
      signals: {
        temp: { base: 21, amplitude: 4, noise: 0.15, drift: 0.2 },
        hum: { base: 48, amplitude: 12, noise: 0.8, drift: 0.5, min: 0, max: 100 },
        battery: { base: 3.6, noise: 0.005 },
        ...(paddingBytes > 0 && { padding: { choices: ['x'.repeat(paddingBytes)] } }),
      },
    },
  };
}

/** How a login stays what it is when TLS ends at the proxy. */
const WITHOUT_TLS: Readonly<Record<string, string>> = { SSL: 'PLAINTEXT', SASL_SSL: 'SASL_PLAINTEXT' };

/**
 * This process's variables without those that set keys, which are in the file; and the login, so that no
 * password is written to a disk.
 */
function gatewayEnvironment({
  loaded,
  environment,
}: GatewayFilesOptions): Record<string, string | undefined> {
  const kept = Object.fromEntries(Object.entries(environment).filter(([name]) => !/^SLUICE_/i.test(name)));
  for (const key of KAFKA_SECURITY_KEYS) {
    const value = loaded.config.kafka.security[key];
    if (value === undefined || key.startsWith('ssl.')) continue;
    const plain = key === 'security.protocol' ? (WITHOUT_TLS[value] ?? value) : value;
    kept[variableName(['kafka', key])] = absoluteReferences(plain, dirname(loaded.file));
  }
  return kept;
}

/** `${file:…}` counts from the configuration's folder, and the gateway under test has another one. */
function absoluteReferences(value: string, folder: string): string {
  return value.replaceAll(/\$\{file:([^:}]*)/g, (_, path: string) => `\${file:${resolve(folder, path)}`);
}
