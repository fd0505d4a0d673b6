import { commandTopics } from '../config/commands.ts';
import type { SluiceConfig } from '../config/config.ts';
import type { LoadedConfig } from '../config/load.ts';
import { keyFault, type ConfigFault, type KeyFault } from '../core/fault.ts';
import { deadLetterTopicFor, isTopicTemplate } from '../core/profile/output-spec.ts';
import type { DeviceProfile } from '../core/profile/profile.ts';
import { schemaFiles } from '../decode/decoders.ts';
import { SharedReaders } from '../decode/formats/payload-format.ts';
import { compileProfile } from '../decode/profile/compile-profile.ts';
import type { CompiledProfile } from '../decode/profile/profile-route.ts';
import { RouteTable } from '../route/route-table.ts';
import type { ProfileServices } from './profile-services.ts';

/** The result of compiling the device profiles. All of it is exchanged at once when they are reloaded. */
export interface RouteSet {
  readonly profiles: readonly DeviceProfile[];
  readonly routes: RouteTable<CompiledProfile>;
  /** By device type. */
  readonly compiled: ReadonlyMap<string, CompiledProfile>;
  /** Every Kafka topic that records may go to, dead letters included; sorted. */
  readonly kafkaTopics: readonly string[];
  /** The sources of the set: the configuration file, the profiles' folder, and the files that profiles name. */
  readonly sources: readonly string[];
}

/**
 * Compiles the profiles into routes; every fault goes to `faults`. If `earlier` has a profile of the same type,
 * the new profile takes over what that one remembers of its devices. Nothing else of the earlier set is touched.
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
    [...problems, ...registryFaults(loaded.config, profile)].forEach(tell);
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
    kafkaTopics: kafkaTopics(loaded),
    sources: sources(loaded),
  };
}

/** The faults of subjects without a registry. */
export function registryFaults(config: SluiceConfig, { produce: { subject } }: DeviceProfile): KeyFault[] {
  if (subject === undefined || config.kafka.schemaRegistry !== undefined) return [];
  const expected = 'no subject, or kafka.schema.registry.url in the configuration';
  return [keyFault(['produce', 'subject'], JSON.stringify(subject), expected)];
}

function kafkaTopics({ config, profiles }: LoadedConfig): string[] {
  const topics = new Set(
    profiles.flatMap(({ type, produce, registry }) => [
      // The topics of a template are known only when messages come.
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
