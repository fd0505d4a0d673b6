import type { KeyFault } from '../core/fault.ts';
import { isTopicTemplate } from '../core/output.ts';
import type { DeviceProfile } from '../core/profile.ts';
import type { RouteServices } from '../core/route-services.ts';
import { parseTemplate } from '../decode/template.ts';
import { DeviceRegistries } from './device-registries.ts';
import { LocalCommands } from './local-commands.ts';
import { NamedTopics } from './named-topics.ts';
import { ValueFramings } from './value-framing.ts';

/** What profiles share beyond their own compilation. The gateway connects it to Kafka and the Schema Registry. */
export class ProfileServices {
  readonly registries = new DeviceRegistries();
  readonly topics = new NamedTopics();
  readonly framings = new ValueFramings();
  readonly commands = new LocalCommands();

  /** What one profile's routes need, and what is wrong with the files that it names. */
  of(profile: DeviceProfile): { readonly services: RouteServices; readonly faults: readonly KeyFault[] } {
    const { registry, produce, type } = profile;
    const opened = registry && this.registries.open(registry);
    const subject = produce.subject === undefined ? undefined : parseTemplate(produce.subject);
    const services: RouteServices = {
      commands: this.commands,
      ...(opened && { devices: opened.devices }),
      ...(isTopicTemplate(produce.topic) && { topics: this.topics.admission(produce.topicsMax) }),
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
}
