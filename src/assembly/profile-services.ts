import type { KeyFault } from '../core/fault.ts';
import { isTopicTemplate } from '../core/profile/output-spec.ts';
import type { DeviceProfile } from '../core/profile/profile.ts';
import type { RouteServices } from '../core/route.ts';
import { parseTemplate } from '../decode/profile/template.ts';
import { DeviceRegistries } from './device-registries.ts';
import { LocalCommands } from './local-commands.ts';
import { NamedTopics } from './named-topics.ts';
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
