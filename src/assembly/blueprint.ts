import { dirname } from 'node:path';
import type { SluiceConfig } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { isSecret } from '../config/key.ts';
import { loadConfig, type LoadedConfig } from '../config/load.ts';
import { GATEWAY_DEFAULTS, NO_PRODUCER_KEYS } from '../config/schema.ts';
import { keyFault, type ConfigFault, type ConfigWarning, type KeyFault } from '../core/fault.ts';
import type { DeviceProfile } from '../core/profile/profile.ts';
import { clientSecurity, type ClientSecurity } from '../kafka/security/security.ts';
import { processSources } from '../kafka/security/sources.ts';
import { adviseOn, adviseOnPartition, type ConfigAdvice } from '../producer/config/config-advice.ts';
import type { ProducerConfig } from '../producer/config/config-table.ts';
import { parseProducerConfig } from '../producer/config/config.ts';
import { ProfileServices, type Surroundings } from './profile-services.ts';
import { compileRouteSet, type RouteSet } from './route-set.ts';

/** The whole configuration, understood by every stage. A gateway is built from it. */
export interface Blueprint extends RouteSet {
  readonly loaded: LoadedConfig;
  readonly config: SluiceConfig;
  /** The files, Kafka and the Schema Registry as the routes use them; to be connected. */
  readonly services: ProfileServices;
  readonly producer: ProducerConfig;
  /** How every connection to Kafka is secured. */
  readonly security: ClientSecurity;
}

export interface DrawnBlueprint {
  /** The configuration file that was read. */
  readonly file: string;
  /** All faults; `blueprint` may be used only if there are none. */
  readonly faults: readonly ConfigFault[];
  /** Settings that are legal, and most probably a mistake. */
  readonly warnings: readonly ConfigWarning[];
  readonly blueprint: Blueprint;
}

/**
 * Reads the configuration, the environment and the profiles, and has every stage look at its part, so that all
 * faults are known before a port is opened. Never throws for a mistake in what a person wrote.
 *
 * `running` is the blueprint that a gateway runs by. The new blueprint is then drawn to take its place: it shares
 * the services, and takes over what the old one remembers of devices.
 */
export function drawBlueprint(
  file: string | undefined,
  environment: Environment,
  { running, ...surroundings }: { readonly running?: Blueprint } & Surroundings = {},
): DrawnBlueprint {
  const loaded = loadConfig(file, environment);
  const faults = [...loaded.faults];
  const services = running?.services ?? new ProfileServices(surroundings);
  const set = compileRouteSet(loaded, services, faults, running);
  const producer = producerConfig(loaded, faults);
  const { security, faults: securityFaults } = kafkaSecurity(loaded, environment);
  faults.push(...securityFaults);
  return {
    file: loaded.file,
    faults: loaded.inOrder(faults),
    // A fault needs no warning as well.
    warnings: configWarnings(loaded, producer).filter(
      ({ file: where, key }) => !faults.some((fault) => fault.file === where && fault.key === key),
    ),
    blueprint: { ...set, loaded, config: loaded.config, services, producer, security },
  };
}

/**
 * The security of connections to Kafka, for every client alike. Files that the configuration names are looked at.
 * Relative paths start at the configuration file's folder.
 */
export function kafkaSecurity(loaded: LoadedConfig, environment: Environment) {
  const { kafka } = loaded.config;
  const parsed = parseProducerConfig(kafka.security);
  const sources = { ...processSources(), folder: dirname(loaded.file), environment };
  const { security, faults } = clientSecurity(parsed.config, sources);
  const found = parsed.faults.length > 0 ? parsed.faults : [...faults, ...localFaults(loaded)];
  const locate = (fault: KeyFault): ConfigFault =>
    loaded.locate({ ...fault, path: ['kafka', ...fault.path] });
  return { security, faults: found.map(locate) };
}

/** Our own local Kafka is on loopback and has neither certificates nor users. */
function localFaults({ config: { kafka } }: LoadedConfig): KeyFault[] {
  const protocol = kafka.security['security.protocol'];
  if (protocol === undefined || protocol === 'PLAINTEXT' || kafka.bootstrapServers !== undefined) return [];
  const expected =
    'kafka.bootstrap.servers beside it: without, a local Kafka is started, which knows PLAINTEXT only';
  return [keyFault(['security.protocol'], protocol, expected)];
}

function producerConfig(loaded: LoadedConfig, faults: ConfigFault[]): ProducerConfig {
  const { kafka } = loaded.config;
  const locate = (fault: KeyFault): ConfigFault =>
    loaded.locate({ ...fault, path: ['kafka', 'producer', ...fault.path] });
  const given = { ...kafka.producer };
  for (const [name, expected] of Object.entries(NO_PRODUCER_KEYS)) {
    if (!(name in given)) continue;
    const found = isSecret([name]) ? 'a value (hidden)' : String(given[name]);
    faults.push(locate({ path: [name], found, expected }));
    Reflect.deleteProperty(given, name);
  }
  const { config, faults: found } = parseProducerConfig({
    ...GATEWAY_DEFAULTS,
    ...given,
    'bootstrap.servers': kafka.bootstrapServers?.join(',') ?? `127.0.0.1:${kafka.local.port}`,
    'client.id': kafka.clientId,
    'delivery.timeout.ms': Number.POSITIVE_INFINITY,
  });
  faults.push(...found.map(locate), ...promiseFaults(loaded, config).map(locate));
  return config;
}

/** A contract that waits for Kafka is worth nothing without acks=all and idempotence. */
export function promiseFaults(
  { config, profiles }: Pick<LoadedConfig, 'config' | 'profiles'>,
  settings: ProducerConfig,
): KeyFault[] {
  const given = config.kafka.producer;
  const promising = profiles.filter(({ ack }) => !ack.onReceipt);
  if (promising.length === 0) return [];
  const contracts = [...new Set(promising.map(({ ack }) => `\`ack: ${ack.name}\``))].join(' or ');
  const because = `because ${promising.map(({ type }) => type).join(', ')} promise ${contracts}`;
  const faults: KeyFault[] = [];
  if (settings.acks !== -1) {
    faults.push(keyFault(['acks'], String(settings.acks), `all, ${because}`));
  }
  // If idempotence is not set, other acks switch it off by themselves: that is no second fault.
  if (!settings.enableIdempotence && (settings.acks === -1 || 'enable.idempotence' in given)) {
    faults.push(keyFault(['enable.idempotence'], 'false', `true, ${because}`));
  }
  return faults;
}

/** What our own headers and the envelope add to a payload, at most; bytes. */
const RECORD_OVERHEAD_BYTES = 1_024;
/** Kafka's default (message.max.bytes). */
const MAX_MESSAGE_BYTES = 1_048_588;

/** Common mistakes with a producer in a legal configuration. They are worth a warning, and are no faults. */
function configWarnings(loaded: LoadedConfig, producer: ProducerConfig): ConfigWarning[] {
  const { mqtt, kafka } = loaded.config;
  const warn = (one: ConfigAdvice, path: KeyFault['path'], profile?: DeviceProfile): ConfigWarning => ({
    ...loaded.locate(keyFault(path, one.found, one.better), profile),
    code: one.code,
  });
  const advice = adviseOn(producer, {
    largestRecordBytes: mqtt.maxPacketBytes + RECORD_OVERHEAD_BYTES,
    topicMaxMessageBytes: Number(kafka.topics.config['max.message.bytes'] ?? MAX_MESSAGE_BYTES),
  });
  const warnings = advice.map((one) => warn(one, ['kafka', 'producer', one.setting]));
  for (const profile of loaded.profiles) {
    const { key } = profile.produce;
    if (typeof key !== 'string' || key.includes('{')) continue;
    warnings.push(warn(adviseOnPartition('key', `'${key}'`), ['produce', 'key'], profile));
  }
  return warnings;
}
