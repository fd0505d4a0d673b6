import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import { CertificateAuthority } from '../../test/support/certificates.ts';
import type { Payload, Workload } from './workloads.ts';

const root = resolve(import.meta.dirname, '../..');
const LOGGER_CHANNELS = 100;

/** How Sluice takes part; the load generator needs only the device profiles of it. */
export interface SettingOptions {
  readonly workload: Workload;
  readonly bootstrapServers: string;
  /** The Kafka topic. */
  readonly topic: string;
  readonly value: 'normalised' | 'raw';
  /** Of all routes, or of each in turn. */
  readonly contract: string | readonly string[];
  /** Of the journal, where one is needed; left out, as shipped. */
  readonly journalBytes?: number;
  /** Producer settings that differ from those of the shipped sluice.yaml. */
  readonly producer?: Readonly<Record<string, string>>;
}

/** A folder with a configuration and device profiles for one run. */
export interface Setting {
  /** sluice.yaml. */
  readonly file: string;
  /** A configuration of the same profiles and nothing else, for the load generator. */
  readonly loadFile: string;
  /** With a TLS workload: a PEM file with certificate and key of 127.0.0.1. */
  readonly certificate: string | undefined;
  remove(): void;
}

/** The shipped sluice.yaml, pointed at the benchmark's Kafka, with the workload's device profiles. */
export function writeSetting(options: SettingOptions): Setting {
  const { workload } = options;
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const authority = workload.tls ? new CertificateAuthority('Benchmark CA') : undefined;
  const certificate = authority?.issue('bridge', { subjectAltName: 'IP:127.0.0.1' }).file;
  const file = join(folder, 'sluice.yaml');
  writeFileSync(file, stringify(configuration(options, certificate)));
  const loadFile = join(folder, 'load.yaml');
  writeFileSync(loadFile, 'profiles: devices\n');
  writeProfiles(folder, options);
  return {
    file,
    loadFile,
    certificate,
    remove: () => {
      authority?.remove();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configuration(options: SettingOptions, certificate?: string): object {
  const { workload, bootstrapServers, producer, journalBytes } = options;
  const config = parse(readFileSync(join(root, 'sluice.yaml'), 'utf8')) as SluiceYaml;
  const { partitions, lingerMs, batchSizeBytes } = workload;
  const listener =
    certificate === undefined
      ? { type: 'tcp' }
      : { type: 'tls', tls: { cert: certificate, key: certificate } };
  return {
    ...config,
    mqtt: { ...config.mqtt, listeners: [{ ...listener, host: '127.0.0.1', port: 0 }] },
    admin: { host: '127.0.0.1', port: 0 },
    kafka: {
      ...config.kafka,
      'bootstrap.servers': bootstrapServers,
      producer: {
        ...config.kafka.producer,
        'linger.ms': lingerMs,
        'batch.size': batchSizeBytes,
        ...producer,
      },
      topics: { ...config.kafka.topics, partitions },
    },
    profiles: 'devices',
    ...(journalBytes === undefined ? {} : { journal: { ...config.journal, 'max.bytes': journalBytes } }),
  };
}

interface SluiceYaml {
  journal?: Record<string, unknown>;
  mqtt: Record<string, unknown>;
  kafka: { producer?: Record<string, unknown>; topics?: Record<string, unknown> } & Record<string, unknown>;
}

interface ProfileYaml {
  type: string;
  topic: string;
  produce: Record<string, unknown>;
  metrics: Record<string, object>;
  simulate: { dropout: number; signals: Record<string, object> };
}

/** The payload's profile, as often as the workload has routes: each with topics of its own. */
function writeProfiles(folder: string, { workload, topic, value, contract }: SettingOptions): void {
  const { payload, routes } = workload;
  mkdirSync(join(folder, 'devices'));
  cpSync(join(root, 'proto'), join(folder, 'proto'), { recursive: true });
  cpSync(join(root, 'bench/proto'), join(folder, 'proto'), { recursive: true });
  if (payload === 'data-logger') writeFileSync(join(folder, 'proto/data_logger.proto'), loggerSchema());
  const profile = profileOf(payload);
  const contracts = [contract].flat();
  for (let route = 0; route < routes; route++) {
    const type = route === 0 ? profile.type : `${profile.type}-${route}`;
    const levels = profile.topic.split('/').slice(1);
    const copy = {
      ...profile,
      type,
      topic: [route === 0 ? 'fleet' : `fleet-${route}`, ...levels].join('/'),
      produce: { ...profile.produce, topic, value },
      ack: contracts[route % contracts.length],
      // A turn left out would make two contestants' loads differ.
      simulate: { ...profile.simulate, dropout: 0 },
    };
    writeFileSync(join(folder, 'devices', `${type}.yaml`), stringify(copy));
  }
}

function profileOf(payload: Payload): ProfileYaml {
  if (payload === 'data-logger') return loggerProfile();
  const folder = payload === 'env-sensor' ? 'devices' : 'bench/devices';
  return parse(readFileSync(join(root, folder, `${payload}.yaml`), 'utf8')) as ProfileYaml;
}

function channels(): string[] {
  return Array.from({ length: LOGGER_CHANNELS }, (_, i) => `channel_${String(i).padStart(2, '0')}`);
}

function loggerSchema(): string {
  const fields = channels().map((name, i) => `  optional double ${name} = ${i + 3};`);
  return [
    'syntax = "proto3";',
    'package bench;',
    'message DataLogger {',
    '  int64 ts = 1;',
    '  uint32 seq = 2;',
  ]
    .concat(fields, '}\n')
    .join('\n');
}

/** A data logger with more channels than anybody would write down; each becomes a metric. */
function loggerProfile(): ProfileYaml {
  const sensor = profileOf('field-sensor');
  return {
    ...sensor,
    type: 'data-logger',
    decode: { protobuf: { file: '../proto/data_logger.proto', message: 'bench.DataLogger' } },
    metrics: Object.fromEntries(channels().map((name) => [name, { field: name, unit: 'V' }])),
    simulate: {
      ...sensor.simulate,
      signals: Object.fromEntries(
        channels().map((name, i) => [name, { base: 2 + i / 10, amplitude: 0.5, noise: 0.01, drift: 0.1 }]),
      ),
    },
  } as ProfileYaml;
}
