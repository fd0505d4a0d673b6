import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { KeyFault } from '../../core/fault.ts';
import { isTopicTemplate } from '../../core/profile/output-spec.ts';
import type { DeviceProfile } from '../../core/profile/profile.ts';
import type { RouteServices } from '../../core/route.ts';
import { parseTopicPattern } from '../../core/topic-pattern.ts';
import { compileReader } from '../decoders.ts';
import type { EnvelopeEncoder } from '../envelope/envelope-encoder.ts';
import { envelopeEncoder } from '../envelope/envelope.ts';
import type { CloudEventsPlan } from '../envelope/record-headers.ts';
import { SharedReaders } from '../formats/payload-format.ts';
import type { FieldInfo, PayloadReader } from '../formats/payload-reader.ts';
import { compileNormaliser, type FieldSlots } from '../normalise/compile-normaliser.ts';
import type { NormalisedMetric } from '../normalise/normaliser.ts';
import { DeviceTable } from '../normalise/device-table.ts';
import { Quality } from '../normalise/metric-checks.ts';
import { BoundDevices } from './bound-device.ts';
import { ProfileRoute, type CompiledMetric, type CompiledProfile } from './profile-route.ts';
import { parseTemplate, type Template } from './template.ts';

type KeyPath = KeyFault['path'];

/**
 * Compiles a device profile: loads the payload's schema, and finds every field and template that the profile names.
 * Returns all that is wrong with them instead; never throws.
 *
 * `earlier` is the compiled profile whose place this one is to take: what it remembers of its devices is taken over,
 * as far as it still means the same. `shared` is what the profiles of its set have in common.
 */
export function compileProfile(
  profile: DeviceProfile,
  services: RouteServices = {},
  earlier?: CompiledProfile,
  shared = new SharedReaders(),
): { readonly compiled: CompiledProfile } | { readonly faults: readonly KeyFault[] } {
  const compiler = new ProfileCompiler(profile, services, earlier, shared);
  const compiled = compiler.compile();
  return compiled === undefined ? { faults: compiler.faults } : { compiled };
}

type Templates = ReturnType<ProfileCompiler['templates']>;

class ProfileCompiler {
  readonly faults: KeyFault[] = [];
  readonly #profile: DeviceProfile;
  readonly #services: RouteServices;
  readonly #devices: DeviceTable;
  readonly #shared: SharedReaders;
  #edgeNodes: CompiledProfile['edgeNodes'];
  /** The decoded fields' paths, each once: its index is its slot. */
  readonly #fields: string[] = [];
  /** Where each of them was named first. */
  readonly #places: KeyPath[] = [];

  constructor(
    profile: DeviceProfile,
    services: RouteServices,
    earlier: CompiledProfile | undefined,
    shared: SharedReaders,
  ) {
    this.#profile = profile;
    this.#services = services;
    this.#shared = shared;
    this.#edgeNodes = earlier?.edgeNodes;
    this.#devices =
      earlier !== undefined && remembersAlike(earlier.profile, profile)
        ? earlier.devices
        : new DeviceTable(profile.type);
  }

  compile(): CompiledProfile | undefined {
    const levels = this.#levels();
    const templates = this.templates(levels);
    const { deviceSlot, slots } = this.#slots();
    this.#checkOutput();
    const reader = this.#reader(levels);
    const infos = reader?.fields ?? [];
    this.#checkTypes(infos, deviceSlot, slots);
    const normalised = compileNormaliser(
      this.#profile,
      slots,
      infos,
      this.#devices,
      this.#fault.bind(this),
      this.#services.trace,
    );
    if (this.faults.length > 0) return undefined;

    const { device, produce } = this.#profile;
    const { normaliser } = normalised;
    const encoder = envelopeEncoder(produce.format ?? 'protobuf');
    const metrics = normalised.metrics.map((metric) => compiledMetric(encoder, metric));
    const compiled: CompiledProfile = {
      normaliser,
      values: this.#shared.values(reader, normalised.slotCount),
      isRaw: produce.value === 'raw',
      registry: this.#services.devices,
      encoder,
      device: 'field' in device ? { slot: deviceSlot, field: device.field } : { template: templates.device },
      sequenceSlot: slots.sequence,
      goodMetrics: metrics.map(({ good }) => good),
      metrics,
      boundDevices: new BoundDevices(),
      reader,
      headers: this.#headers(templates, reader, encoder),
      edgeNodes: this.#edgeNodes,
      profile: this.#profile,
      attributes: templates.attributes,
      topic: templates.topic,
      key: templates.key,
      services: this.#services,
      devices: this.#devices,
      remembers: normaliser.remembers,
      bind: (captures, topicName) => new ProfileRoute(compiled, captures, topicName),
    };
    return compiled;
  }

  /** Every template of the profile. */
  templates(levels: readonly string[]) {
    const { device, attributes, produce } = this.#profile;
    const named = [...levels, 'device', 'type'];
    return {
      device: this.#template('template' in device ? device.template : '', levels, ['device']),
      attributes: [...attributes].map(
        ([name, text]) => [name, this.#template(text, levels, ['attributes', name])] as const,
      ),
      topic: this.#template(produce.topic, named, ['produce', 'topic']),
      key:
        produce.key === null
          ? undefined
          : this.#template(produce.key ?? '{device}', named, ['produce', 'key']),
      levelHeaders: new Map(
        [...(produce.levelHeaders ?? [])].map(
          ([name, text]) => [name, this.#template(text, levels, ['produce', 'headers'])] as const,
        ),
      ),
      cloudEvents: this.#cloudEvents([...levels, 'type']),
    };
  }

  #cloudEvents(known: readonly string[]): CloudEventsPlan | undefined {
    const { cloudEvents } = this.#profile.produce;
    if (cloudEvents === undefined) return undefined;
    const path = ['produce', 'cloudevents'];
    const { source, type = 'sluice.telemetry.{type}' } = cloudEvents;
    return {
      source: source === undefined ? undefined : this.#template(source, known, [...path, 'source']),
      type: this.#template(type, known, [...path, 'type']),
    };
  }

  #headers(
    { levelHeaders, cloudEvents }: Templates,
    reader: PayloadReader | undefined,
    encoder: EnvelopeEncoder,
  ): CompiledProfile['headers'] {
    const { type, produce } = this.#profile;
    const ofPayload = reader?.contentType ?? 'application/octet-stream';
    return {
      deviceType: type,
      contentType: produce.value === 'normalised' ? encoder.contentType : ofPayload,
      headers: produce.headers ?? ['topic'],
      levelHeaders,
      cloudEvents,
      nextEventId: eventIds(),
    };
  }

  /** A slot for every field that the profile names. */
  #slots(): { readonly deviceSlot: number; readonly slots: FieldSlots } {
    const { device, time, sequence, metrics } = this.#profile;
    const deviceSlot = 'field' in device ? this.#slot(device.field, ['device']) : -1;
    const slots = {
      time: time && this.#slot(time.field, ['time', 'field']),
      sequence: sequence && this.#slot(sequence.field, ['sequence', 'field']),
      metrics: [...metrics].map(([name, { field }]) => this.#slot(field, ['metrics', name, 'field'])),
    };
    return { deviceSlot, slots: { ...slots, count: this.#fields.length } };
  }

  #slot(field: string, path: KeyPath): number {
    const known = this.#fields.indexOf(field);
    if (known >= 0) return known;
    this.#places.push(path);
    return this.#fields.push(field) - 1;
  }

  #reader(levels: readonly string[]): PayloadReader | undefined {
    const compiled = compileReader(this.#profile.decode, {
      fields: this.#fields,
      levels,
      services: this.#services,
      edgeNodes: this.#edgeNodes,
      shared: this.#shared,
    });
    if ('reader' in compiled) {
      this.#edgeNodes = compiled.edgeNodes;
      return compiled.reader;
    }
    for (const problem of compiled.problems) {
      const path = 'path' in problem ? problem.path : (this.#places[problem.field] as KeyPath);
      this.#fault(path, problem.found, problem.expected);
    }
    return undefined;
  }

  /** Keys of the output that make no sense together, or that the registry's attributes take already. */
  #checkOutput(): void {
    const { produce, registry, attributes } = this.#profile;
    if (produce.value === 'raw') {
      const needless = (['format', 'subject'] as const).filter((key) => produce[key] !== undefined);
      for (const key of needless) {
        this.#fault(['produce', key], String(produce[key]), 'nothing, because `value: raw` has no envelope');
      }
    }
    if (produce.topicsMax !== undefined && !isTopicTemplate(produce.topic)) {
      this.#fault(['produce', 'topics.max'], String(produce.topicsMax), 'nothing: the topic is no template');
    }
    if (produce.subject !== undefined) {
      this.#template(produce.subject, ['topic', 'type'], ['produce', 'subject']);
    }
    for (const name of registry?.attributes.keys() ?? []) {
      if (!attributes.has(name)) continue;
      this.#fault(['registry', 'attributes'], name, 'a name that `attributes` does not have already');
    }
  }

  /** Fields that can't be what the profile takes them for. */
  #checkTypes(
    infos: readonly FieldInfo[],
    deviceSlot: number,
    { time: timeSlot, sequence }: FieldSlots,
  ): void {
    const { decode, produce, time } = this.#profile;
    if (decode.kind === 'raw' && produce.value === 'normalised') {
      this.#fault(['produce', 'value'], 'normalised', 'raw, because `decode: raw` reads nothing');
    }
    const expect = (
      slot: number | undefined,
      types: readonly FieldInfo['type'][],
      expected: string,
      path: KeyPath,
    ): void => {
      const { type = 'any' } = infos[slot ?? -1] ?? {};
      if (type !== 'any' && !types.includes(type)) this.#fault(path, `a field of type ${type}`, expected);
    };
    expect(deviceSlot, ['string', 'integer'], 'text or an integer', ['device']);
    if (time?.unit !== undefined) expect(timeSlot, ['number', 'integer'], 'a number', ['time', 'field']);
    if (time?.format !== undefined) expect(timeSlot, ['string'], 'text', ['time', 'field']);
    expect(sequence, ['integer'], 'an integer', ['sequence', 'field']);
  }

  #levels(): readonly string[] {
    const parsed = parseTopicPattern(this.#profile.topic);
    if ('pattern' in parsed) return parsed.pattern.names;
    this.#fault(['topic'], parsed.problem.found, parsed.problem.expected);
    return [];
  }

  /** A template that may name what is known; what is wrong with it becomes a fault. */
  #template(text: string, known: readonly string[], path: KeyPath): Template {
    const parsed = parseTemplate(text);
    if ('problem' in parsed) {
      this.#fault(path, JSON.stringify(text), parsed.problem);
      return { text, names: [], fill: () => text };
    }
    const unknown = parsed.template.names.find((name) => !known.includes(name));
    if (unknown !== undefined) {
      const names = [...new Set(known)].map((name) => `{${name}}`).join(', ');
      const levels = names === '' ? ', which names none' : `: ${names}`;
      this.#fault(path, `{${unknown}}`, `a level of the topic pattern${levels}`);
    }
    return parsed.template;
  }

  #fault(path: KeyPath, found: string, expected: string): void {
    this.faults.push({ path, found, expected });
  }
}

/**
 * Whether what is remembered of devices by one version of a profile means the same to another: sequences, clocks,
 * and the values that a filter let pass last. It does unless a key changed that these are made of; metrics without
 * deadband, attributes, the schema and where records go may all change.
 */
function remembersAlike(before: DeviceProfile, after: DeviceProfile): boolean {
  return isDeepStrictEqual(memoryOf(before), memoryOf(after));
}

function memoryOf({ type, device, time, sequence, filter, metrics }: DeviceProfile): object {
  // Their order is that of the values that passed last.
  const deadbands = [...metrics].filter(([, { deadband }]) => deadband !== undefined);
  return { type, device, time, sequence, filter, deadbands };
}

function compiledMetric(encoder: EnvelopeEncoder, metric: NormalisedMetric): CompiledMetric {
  return {
    good: encoder.compileMetric(metric, Quality.Good),
    outOfRange: encoder.compileMetric(metric, Quality.OutOfRange),
    missing: encoder.compileMetric(metric, Quality.Missing),
  };
}

/** CloudEvents ids: 64 random bits for this compilation, and a count. */
function eventIds(): () => string {
  const prefix = randomBytes(8).toString('hex');
  let count = 0;
  return () => `${prefix}-${count++}`;
}
