import type { KeyFault } from '../core/fault.ts';
import { isTopicTemplate } from '../core/profile/output-spec.ts';
import type { DeviceProfile } from '../core/profile/profile.ts';
import type { DeviceCommands, RouteServices, TopicAdmission } from '../core/route.ts';
import { parseTemplate } from '../decode/profile/template.ts';
import { DeviceRegistries } from './device-registries.ts';
import { ValueFramings } from './value-framing.ts';

/** Whose time it is, and who is told what rules do; left out, the machine's, and nobody. */
export type Surroundings = Pick<RouteServices, 'clock' | 'trace'>;

/** What profiles share beyond their own compilation. The gateway connects it to Kafka and the Schema Registry. */
export class ProfileServices {
  readonly registries = new DeviceRegistries();
  readonly topics = new NamedTopics();
  readonly framings = new ValueFramings();
  readonly commands = new LocalCommands();
  readonly #surroundings: Surroundings;

  constructor(surroundings: Surroundings = {}) {
    this.#surroundings = surroundings;
  }

  /** What one profile's routes need, and what is wrong with the files that it names. */
  of(profile: DeviceProfile): { readonly services: RouteServices; readonly faults: readonly KeyFault[] } {
    const { registry, produce, type } = profile;
    const opened = registry && this.registries.open(registry);
    const subject = produce.subject === undefined ? undefined : parseTemplate(produce.subject);
    const services: RouteServices = {
      ...this.#surroundings,
      commands: this.commands,
      ...(opened && { devices: opened.devices }),
      ...(isTopicTemplate(produce.topic) && {
        topics: this.topics.admission(admissionName(profile), produce.topicsMax),
      }),
      ...(subject !== undefined &&
        'template' in subject && {
          framing: this.framings.framing(produce.format ?? 'protobuf', (topic) =>
            subject.template.fill(
              new Map([
                ['topic', topic],
                ['type', type],
              ]),
            ),
          ),
        }),
    };
    const problem = opened?.problem;
    return { services, faults: problem === undefined ? [] : [{ path: ['registry', 'file'], ...problem }] };
  }

  /** From now on these profiles alone are served: what others had is forgotten, and what waits is asked for anew. */
  retain(profiles: readonly DeviceProfile[]): void {
    this.registries.retain(profiles.flatMap(({ registry }) => (registry === undefined ? [] : [registry])));
    this.topics.retain(profiles.map(admissionName));
    this.framings.askAnew();
  }
}

/** Another template names other topics. */
function admissionName({ type, produce }: DeviceProfile): string {
  return `${type}\n${produce.topic}`;
}

/** Topics that a profile may name when nothing else is said. */
const DEFAULT_MAX = 100;

/**
 * Kafka topics that messages name, by way of a profile's topic template: a bounded number for each profile. The
 * gateway sees to it that those admitted exist.
 */
export class NamedTopics {
  readonly #topics = new Set<string>();
  /** By profile, that is by the name that its admission was asked for with. */
  readonly #admitted = new Map<string, Set<string>>();
  #onNamed: (topic: string) => void = () => {};

  /** All that were named. */
  get topics(): readonly string[] {
    return [...this.#topics];
  }

  /** What one profile may do; what was admitted under its name before counts. */
  admission(name: string, max = DEFAULT_MAX): TopicAdmission {
    const own = this.#admitted.get(name) ?? new Set<string>();
    this.#admitted.set(name, own);
    return {
      admit: (topic) => {
        if (own.has(topic)) return true;
        if (own.size >= max) return false;
        own.add(topic);
        if (!this.#topics.has(topic)) {
          this.#topics.add(topic);
          this.#onNamed(topic);
        }
        return true;
      },
    };
  }

  /** Forgets the topics of all profiles but these. */
  retain(names: readonly string[]): void {
    for (const name of this.#admitted.keys()) if (!names.includes(name)) this.#admitted.delete(name);
    this.#topics.clear();
    for (const own of this.#admitted.values()) for (const topic of own) this.#topics.add(topic);
  }

  /** Whom to tell of every topic that is named for the first time. */
  connect(onNamed: (topic: string) => void): void {
    this.#onNamed = onNamed;
    for (const topic of this.#topics) onNamed(topic);
  }
}

/** Commands to devices; they lead nowhere until the gateway's MQTT broker is there. */
export class LocalCommands implements DeviceCommands {
  #publish: DeviceCommands['publish'] | undefined;

  connect(publish: DeviceCommands['publish']): void {
    this.#publish = publish;
  }

  publish(topic: string, payload: Uint8Array): void {
    this.#publish?.(topic, payload);
  }
}
