import { isTopicTemplate } from '../../core/profile/output-spec.ts';
import type { DeviceProfile } from '../../core/profile/profile.ts';
import { NOT_READY, REFUSED, type DecodeFault, type RouteServices } from '../../core/route.ts';
import type { EnvelopeEncoder } from '../envelope/envelope-encoder.ts';
import { fieldMissing, fieldTooLong } from '../formats/payload-reader.ts';
import type { DeviceState, DeviceTable } from '../normalise/device-table.ts';
import { templateNames, type Template } from './template.ts';

/** No device id is longer, in bytes of UTF-8: it is in every record twice. */
const MAX_DEVICE_ID_BYTES = 512;

const KAFKA_TOPIC = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/;

/** Everything about a device on a topic that its messages don't change. */
export interface BoundDevice {
  readonly id: string;
  /** The envelope's beginning, with the frame before it where values are framed. */
  readonly encoded: Uint8Array;
  readonly constants: Uint8Array;
  readonly key: Uint8Array | null;
  readonly topic: string;
  /** Whether its records are in quarantine. */
  readonly quarantined: boolean;
  /** undefined: nothing is remembered of the devices of this type. */
  readonly state: DeviceState | undefined;
  /** Of the registry that it was looked up in; another one may say something else. */
  readonly registryVersion: number;
}

/** What a profile says about binding a device. */
export interface BindingPlan {
  readonly profile: DeviceProfile;
  readonly encoder: EnvelopeEncoder;
  readonly attributes: readonly (readonly [string, Template])[];
  readonly topic: Template;
  /** undefined: records have no key. */
  readonly key: Template | undefined;
  readonly services: RouteServices;
  /** Its devices, and whether anything is remembered of them from message to message. */
  readonly devices: DeviceTable;
  readonly remembers: boolean;
}

/**
 * Binds a device to a topic: looks it up in the registry, names its Kafka topic and key, and encodes what all its
 * messages have in common. Returns why it can't be.
 */
export function bindDevice(
  plan: BindingPlan,
  captures: ReadonlyMap<string, string>,
  id: string,
  source: string,
): { readonly device: BoundDevice } | { readonly fault: DecodeFault } {
  const { profile, encoder, services, devices, remembers } = plan;
  if (id === '') return { fault: fieldMissing('device id', source) };
  const bytes = Buffer.byteLength(id, 'utf8');
  if (bytes > MAX_DEVICE_ID_BYTES) return { fault: fieldTooLong('device id', bytes, MAX_DEVICE_ID_BYTES) };

  const known = services.devices?.find(id);
  const isUnknown = profile.registry !== undefined && known === undefined;
  if (isUnknown && profile.registry.unknown === 'refuse') return { fault: REFUSED };
  const quarantined = isUnknown && profile.registry.unknown === 'quarantine';

  const names = templateNames(captures, profile.type, id);
  const topic = quarantined ? profile.registry.quarantineTopic : plan.topic.fill(names);
  const refusal = quarantined ? undefined : topicRefusal(plan, topic);
  if (refusal !== undefined) return { fault: refusal };
  const frame = framePrefix(plan, topic);
  if ('code' in frame) return { fault: frame };

  return {
    device: {
      id,
      encoded: Buffer.concat([frame, encoder.encodeDeviceId(id)]),
      constants: encoder.encodeConstants(profile.type, attributesOf(plan, captures, known)),
      key: plan.key === undefined ? null : Buffer.from(plan.key.fill(names), 'utf8'),
      topic,
      quarantined,
      state: remembers ? devices.state(id) : undefined,
      registryVersion: services.devices?.version ?? 0,
    },
  };
}

function attributesOf(
  { profile, attributes }: BindingPlan,
  captures: ReadonlyMap<string, string>,
  known: ReadonlyMap<string, string> | undefined,
): (readonly [string, string])[] {
  const fromTopic = attributes.map(([name, template]) => [name, template.fill(captures)] as const);
  const fromRegistry = [...(profile.registry?.attributes ?? [])].flatMap(([name, column]) => {
    const value = known?.get(column);
    // A cell that is empty says nothing.
    return value === undefined || value === '' ? [] : [[name, value] as const];
  });
  return [...fromTopic, ...fromRegistry];
}

/** Topic levels come from devices: what they name must be a topic, and there must not be too many. */
function topicRefusal({ profile, services }: BindingPlan, topic: string): DecodeFault | undefined {
  if (!isTopicTemplate(profile.produce.topic)) return undefined;
  if (!KAFKA_TOPIC.test(topic)) {
    return {
      code: 'TOPIC_INVALID',
      message: `${JSON.stringify(topic)}, of ${profile.produce.topic}, is no name of a Kafka topic`,
    };
  }
  if (services.topics === undefined || services.topics.admit(topic)) return undefined;
  return {
    code: 'TOO_MANY_TOPICS',
    message: `${topic} would be one topic more than produce.topics.max of ${profile.type} allows`,
  };
}

const NO_FRAME = new Uint8Array(0);

function framePrefix({ profile, services }: BindingPlan, topic: string): Uint8Array | DecodeFault {
  if (profile.produce.subject === undefined || services.framing === undefined) return NO_FRAME;
  return services.framing.prefix(topic) ?? NOT_READY;
}

/** Devices that are kept at least, once so many were bound; some 10 MB with those that may be kept besides. */
const CAPACITY = 10_000;

type ByTopic = Map<object, Map<string, BoundDevice>>;

/**
 * Devices that were bound lately, of all topics of a profile on which several of them take turns: binding one costs
 * as much as a whole message. Bounded: when the newer half is full, the older one is forgotten.
 */
export class BoundDevices {
  readonly #capacity: number;
  #newer: ByTopic = new Map();
  #older: ByTopic = new Map();
  #newerSize = 0;

  constructor(capacity = CAPACITY) {
    this.#capacity = capacity;
  }

  /** How many are kept; one that is in both halves counts twice. */
  get size(): number {
    return [this.#newer, this.#older]
      .flatMap((half) => [...half.values()])
      .reduce((sum, { size }) => sum + size, 0);
  }

  /** `topic` stands for the topic, compared by identity. */
  find(topic: object, id: string): BoundDevice | undefined {
    const device = this.#newer.get(topic)?.get(id);
    if (device !== undefined) return device;
    const old = this.#older.get(topic)?.get(id);
    if (old !== undefined) this.keep(topic, old);
    return old;
  }

  /** In place of what was kept of the device before. */
  keep(topic: object, device: BoundDevice): void {
    if (this.#newerSize >= this.#capacity) {
      this.#older = this.#newer;
      this.#newer = new Map();
      this.#newerSize = 0;
    }
    let devices = this.#newer.get(topic);
    if (devices === undefined) {
      devices = new Map();
      this.#newer.set(topic, devices);
    }
    if (!devices.has(device.id)) this.#newerSize++;
    devices.set(device.id, device);
  }
}
