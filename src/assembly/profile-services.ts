import type { KeyFault } from '../core/fault.ts';
import { isTopicTemplate } from '../core/profile/output-spec.ts';
import type { DeviceProfile } from '../core/profile/profile.ts';
import type { DeviceCommands, RouteServices, TopicAdmission, ValueFraming } from '../core/route.ts';
import { parseTemplate, templateNames, type Template } from '../decode/profile/template.ts';
import { DeviceRegistries } from './device-registries.ts';
import { ValueFramings } from './value-framing.ts';

/** The clock, and the trace that hears what rules do. Left out: the machine's clock, and no trace. */
export type Surroundings = Pick<RouteServices, 'clock' | 'trace'>;

/** The services that profiles share. The gateway connects them to Kafka and the Schema Registry. */
export class ProfileServices {
  readonly registries = new DeviceRegistries();
  readonly topics = new NamedTopics();
  readonly framings = new ValueFramings();
  readonly commands = new LocalCommands();
  readonly #surroundings: Surroundings;

  constructor(surroundings: Surroundings = {}) {
    this.#surroundings = surroundings;
  }

  /** The services that one profile's routes need, and the faults in the files that it names. */
  of(profile: DeviceProfile): { readonly services: RouteServices; readonly faults: readonly KeyFault[] } {
    const { registry, produce } = profile;
    const opened = registry && this.registries.open(registry);
    const subject = produce.subject === undefined ? undefined : parseTemplate(produce.subject);
    const services: RouteServices = {
      ...this.#surroundings,
      commands: this.commands,
      ...(opened && { devices: opened.devices }),
      ...(isTopicTemplate(produce.topic) && {
        topics: this.topics.admission(admissionName(profile), produce.topicsMax),
      }),
      ...(subject && 'template' in subject && { framing: this.#framing(profile, subject.template) }),
    };
    const problem = opened?.problem;
    return { services, faults: problem === undefined ? [] : [{ path: ['registry', 'file'], ...problem }] };
  }

  #framing({ type, produce: { format = 'protobuf' } }: DeviceProfile, subject: Template): ValueFraming {
    return this.framings.framing(format, (topic) =>
      subject.fill(templateNames(new Map([['topic', topic]]), type)),
    );
  }

  /**
   * From now on only these profiles are served. What others had is forgotten, and pending questions are asked
   * anew.
   */
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

/** How many topics a profile may name by default. */
const DEFAULT_MAX = 100;

/**
 * Kafka topics that messages name, by way of a profile's topic template. Each profile may name a bounded number.
 * The gateway sees to it that the admitted topics exist.
 */
export class NamedTopics {
  readonly #topics = new Set<string>();
  /** By profile, or rather by the name that asked for admission. */
  readonly #admitted = new Map<string, Set<string>>();
  #onNamed: (topic: string) => void = () => {};

  /** All topics that were named. */
  get topics(): readonly string[] {
    return [...this.#topics];
  }

  /** The admission of one profile. Topics that were admitted under its name before count. */
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

  /** Connects the listener that hears of every topic when it is named for the first time. */
  connect(onNamed: (topic: string) => void): void {
    this.#onNamed = onNamed;
    for (const topic of this.#topics) onNamed(topic);
  }
}

/** Commands to devices; they lead nowhere until the gateway's MQTT broker is there. */
export class LocalCommands implements DeviceCommands {
  publish: DeviceCommands['publish'] = () => {};
}
