import { commandTopics } from '../config/commands.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { ConfigFault, KeyFault } from '../core/fault.ts';
import { deadLetterTopicFor, isTopicTemplate } from '../core/profile/output-spec.ts';
import type { DeviceProfile } from '../core/profile/profile.ts';
import type { DeviceTable } from '../decode/normalise/device-table.ts';
import { schemaFiles } from '../decode/decoders.ts';
import { SharedReaders } from '../decode/formats/payload-format.ts';
import type { TypedEdgeNodes } from '../decode/device-metrics.ts';
import { compileProfile } from '../decode/profile/compile-profile.ts';
import type { CompiledProfile } from '../decode/profile/profile-route.ts';
import { RouteTable } from '../route/route-table.ts';
import type { ProfileServices } from './profile-services.ts';

/** What the device profiles come to. All of it is exchanged at once when they are reloaded. */
export interface RouteSet {
  readonly profiles: readonly DeviceProfile[];
  readonly routes: RouteTable<CompiledProfile>;
  /** By device type. */
  readonly compiled: ReadonlyMap<string, CompiledProfile>;
  /** What is remembered of devices, one table a profile. */
  readonly devices: readonly DeviceTable[];
  /** What is remembered of Sparkplug's edge nodes. */
  readonly edgeNodes: readonly TypedEdgeNodes[];
  /** Every Kafka topic that records may go to, dead letters included; sorted. */
  readonly kafkaTopics: readonly string[];
  /** What the set was read from: the configuration file, the profiles' folder, and the files that profiles name. */
  readonly sources: readonly string[];
}

/**
 * Compiles the profiles into routes; every fault goes to `faults`. A profile whose type `earlier` has takes over
 * what that remembers of its devices, and nothing else of the earlier set is touched.
 */
export function compileRouteSet(
  loaded: LoadedConfig,
  shared: ProfileServices,
  faults: ConfigFault[],
  earlier: RouteSet | undefined,
): RouteSet {
  const routes = new RouteTable<CompiledProfile>();
  const compiled = new Map<string, CompiledProfile>();
  const readers = new SharedReaders();
  for (const profile of loaded.profiles) {
    const tell = (fault: KeyFault): void => {
      faults.push(loaded.locate(fault, profile));
    };
    const { services, faults: problems } = shared.of(profile);
    [...problems, ...registryFaults(loaded, profile)].forEach(tell);
    const result = compileProfile(profile, services, earlier?.compiled.get(profile.type), readers);
    if ('faults' in result) {
      result.faults.forEach(tell);
      continue;
    }
    compiled.set(profile.type, result.compiled);
    const terms = { owner: profile.file, stop: profile.stop === true };
    const fault = routes.add(profile.topic, result.compiled, terms);
    if (fault !== undefined) tell(fault);
  }
  return {
    profiles: loaded.profiles,
    routes,
    compiled,
    devices: [...compiled.values()].map(({ devices }) => devices),
    edgeNodes: [...compiled].flatMap(([type, { edgeNodes: nodes }]) =>
      nodes === undefined ? [] : [{ type, nodes }],
    ),
    kafkaTopics: kafkaTopics(loaded),
    sources: sources(loaded),
  };
}

/** A subject without a registry. */
export function registryFaults(
  { config }: Pick<LoadedConfig, 'config'>,
  { produce: { subject } }: DeviceProfile,
): KeyFault[] {
  if (subject === undefined || config.kafka.schemaRegistry !== undefined) return [];
  const expected = 'no subject, or kafka.schema.registry.url in the configuration';
  return [{ path: ['produce', 'subject'], found: JSON.stringify(subject), expected }];
}

function kafkaTopics({ config, profiles }: LoadedConfig): string[] {
  const topics = new Set(
    profiles.flatMap(({ type, produce, registry }) => [
      // What a template names is known only when messages come.
      ...(isTopicTemplate(produce.topic) ? [] : [produce.topic]),
      deadLetterTopicFor(produce, type),
      ...(registry?.unknown === 'quarantine' ? [registry.quarantineTopic] : []),
    ]),
  );
  for (const topic of commandTopics(config.commands)) topics.add(topic);
  if (config.presence !== undefined) topics.add(config.presence.topic);
  if (config.unrouted.policy === 'dead-letter') topics.add(config.unrouted.deadLetterTopic);
  return [...topics].sort();
}

function sources({ file, config, profiles }: LoadedConfig): string[] {
  const named = profiles.flatMap(({ file, decode }) => [file, ...schemaFiles(decode)]);
  return [...new Set([file, config.profiles, ...named])];
}
