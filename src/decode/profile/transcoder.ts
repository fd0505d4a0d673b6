import { randomBytes } from 'node:crypto';
import type { KeyFault } from '../../core/fault.ts';
import { isTopicTemplate, type OutputFormat } from '../../core/profile/output-spec.ts';
import type { DeviceProfile } from '../../core/profile/profile.ts';
import type { RouteServices } from '../../core/route.ts';
import { parseTopicPattern } from '../../core/topic-pattern.ts';
import { compileReader } from '../formats/compile-reader.ts';
import { BoundDevices } from './bound-devices.ts';
import { AvroEnvelope } from '../envelope/envelope-avro.ts';
import type { EnvelopeEncoder } from '../envelope/envelope-encoder.ts';
import { JsonEnvelope } from '../envelope/envelope-json.ts';
import { EnvelopeWriter } from '../envelope/envelope.ts';
import type { FieldValues } from '../formats/field-values.ts';
import type { FieldInfo, PayloadReader } from '../formats/payload-reader.ts';
import { remembersAlike } from './earlier-profile.ts';
import { compileNormaliser, type NormalisedMetric } from '../normalise/compile.ts';
import { DeviceTable } from '../normalise/device-table.ts';
import { Quality } from '../normalise/metric-checks.ts';
import type { CloudEventsPlan } from '../envelope/record-headers.ts';
import type { EdgeNodes } from '../sparkplug/edge-nodes.ts';
import { SharedReaders } from '../formats/shared-readers.ts';
import { parseTemplate, type Template } from './template.ts';
import {
  TranscoderRoute,
  type CompiledMetric,
  type CompiledProfile,
  type Workshop,
} from './transcoder-route.ts';

/** A device profile, compiled: the routes of its topics turn publications into records. */
export class Transcoder {
  readonly profile: DeviceProfile;
  readonly #workshop: Workshop;

  constructor(compiled: CompiledProfile, values: FieldValues) {
    this.profile = compiled.profile;
    this.#workshop = {
      compiled,
      normaliser: compiled.normaliser,
      isRaw: compiled.profile.produce.value === 'raw',
      registry: compiled.binding.services.devices,
      values,
      boundDevices: new BoundDevices(),
    };
  }

  /** What is remembered of the profile's devices. */
  get devices(): DeviceTable {
    return this.#workshop.compiled.normaliser.devices;
  }

  /** Of Sparkplug B: what is remembered of edge nodes. */
  get edgeNodes(): EdgeNodes | undefined {
    return this.#workshop.compiled.edgeNodes;
  }

  /** The route of one topic; `captures` are its named levels. */
  bind(captures: ReadonlyMap<string, string>, topicName: string): TranscoderRoute {
    return new TranscoderRoute(this.#workshop, captures, topicName);
  }
}

type KeyPath = KeyFault['path'];

/**
 * Compiles a device profile into its transcoder: loads the payload's schema, and finds every field and
 * template that the profile names. Returns all that is wrong with them instead; never throws.
 *
 * `earlier` is the transcoder whose place this one is to take: what it remembers of its devices is taken over, as
 * far as it still means the same. `shared` is what the profiles of its set have in common.
 */
export function compileProfile(
  profile: DeviceProfile,
  services: RouteServices = {},
  earlier?: Transcoder,
  shared = new SharedReaders(),
): { readonly transcoder: Transcoder } | { readonly faults: readonly KeyFault[] } {
  const compiler = new ProfileCompiler(profile, services, earlier, shared);
  const transcoder = compiler.compile();
  return transcoder === undefined ? { faults: compiler.faults } : { transcoder };
}

class ProfileCompiler {
  readonly faults: KeyFault[] = [];
  readonly #profile: DeviceProfile;
  readonly #services: RouteServices;
  readonly #devices: DeviceTable;
  readonly #shared: SharedReaders;
  #edgeNodes: EdgeNodes | undefined;
  /** The decoded fields' paths, each once: its index is its slot. */
  readonly #fields: string[] = [];
  /** Where each of them was named first. */
  readonly #places: KeyPath[] = [];

  constructor(
    profile: DeviceProfile,
    services: RouteServices,
    earlier: Transcoder | undefined,
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

  compile(): Transcoder | undefined {
    const { device, time, sequence, attributes, metrics, produce, decode } = this.#profile;
    const levels = this.#levels();

    const deviceTemplate =
      'template' in device ? this.#template(device.template, levels, ['device']) : undefined;
    const deviceSlot = 'field' in device ? this.#slot(device.field, ['device']) : -1;
    const timeSlot = time && this.#slot(time.field, ['time', 'field']);
    const sequenceSlot = sequence && this.#slot(sequence.field, ['sequence', 'field']);
    const metricSlots = [...metrics].map(([name, { field }]) =>
      this.#slot(field, ['metrics', name, 'field']),
    );
    const attributeTemplates = [...attributes].map(
      ([name, text]) => [name, this.#template(text, levels, ['attributes', name])] as const,
    );
    const named = [...levels, 'device', 'type'];
    const topic = this.#template(produce.topic, named, ['produce', 'topic']);
    const key =
      produce.key === null ? undefined : this.#template(produce.key ?? '{device}', named, ['produce', 'key']);
    const levelHeaders = [...(produce.levelHeaders ?? [])].map(
      ([name, text]) => [name, this.#template(text, levels, ['produce', 'headers'])] as const,
    );
    const cloudEvents = this.#cloudEvents([...levels, 'type']);
    this.#checkOutput();

    const reader = this.#reader(levels);
    if (decode.kind === 'raw' && produce.value === 'normalised') {
      this.#fault(['produce', 'value'], 'normalised', 'raw, because `decode: raw` reads nothing');
    }
    const infos = reader?.fields ?? [];
    if ('field' in device)
      this.#expectType(infos, deviceSlot, ['any', 'string', 'integer'], 'text or an integer', ['device']);
    if (time?.unit !== undefined)
      this.#expectType(infos, timeSlot, ['any', 'number', 'integer'], 'a number', ['time', 'field']);
    if (time?.format !== undefined)
      this.#expectType(infos, timeSlot, ['any', 'string'], 'text', ['time', 'field']);
    if (sequence)
      this.#expectType(infos, sequenceSlot, ['any', 'integer'], 'an integer', ['sequence', 'field']);
    const slots = {
      time: timeSlot,
      sequence: sequenceSlot,
      metrics: metricSlots,
      count: this.#fields.length,
    };
    const tellFault = this.#fault.bind(this);
    const { trace } = this.#services;
    const normalised = compileNormaliser(this.#profile, slots, infos, this.#devices, tellFault, trace);
    if (this.faults.length > 0) return undefined;

    const { normaliser } = normalised;
    const envelope = envelopeEncoder(produce.format ?? 'protobuf');
    const compiledMetrics = normalised.metrics.map((metric) => compiledMetric(envelope, metric));
    const compiled: CompiledProfile = {
      profile: this.#profile,
      reader,
      edgeNodes: this.#edgeNodes,
      device:
        'field' in device
          ? { slot: deviceSlot, field: device.field }
          : { template: deviceTemplate as Template },
      sequenceSlot,
      normaliser,
      envelope,
      metrics: compiledMetrics,
      goodMetrics: compiledMetrics.map(({ good }) => good),
      binding: {
        profile: this.#profile,
        encoder: envelope,
        attributes: attributeTemplates as (readonly [string, Template])[],
        topic: topic as Template,
        key,
        services: this.#services,
        devices: normaliser.remembers ? normaliser.devices : undefined,
      },
      headers: {
        deviceType: this.#profile.type,
        contentType:
          produce.value === 'normalised'
            ? envelope.contentType
            : (reader?.contentType ?? 'application/octet-stream'),
        headers: produce.headers ?? ['topic'],
        levelHeaders: new Map(levelHeaders as (readonly [string, Template])[]),
        cloudEvents,
        nextEventId: eventIds(),
      },
    };
    return new Transcoder(compiled, this.#shared.values(reader, normalised.slotCount));
  }

  #cloudEvents(known: readonly string[]): CloudEventsPlan | undefined {
    const { cloudEvents } = this.#profile.produce;
    if (cloudEvents === undefined) return undefined;
    const path = ['produce', 'cloudevents'];
    const { source, type = 'sluice.telemetry.{type}' } = cloudEvents;
    return {
      source: source === undefined ? undefined : this.#template(source, known, [...path, 'source']),
      type: this.#template(type, known, [...path, 'type']) as Template,
    };
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

  #fault(path: KeyPath, found: string, expected: string): void {
    this.faults.push({ path, found, expected });
  }

  #levels(): readonly string[] {
    const parsed = parseTopicPattern(this.#profile.topic);
    if ('pattern' in parsed) return parsed.pattern.names;
    this.#fault(['topic'], parsed.problem.found, parsed.problem.expected);
    return [];
  }

  #template(text: string, known: readonly string[], path: KeyPath): Template | undefined {
    const parsed = parseTemplate(text);
    if ('problem' in parsed) {
      this.#fault(path, JSON.stringify(text), parsed.problem);
      return undefined;
    }
    const unknown = parsed.template.names.find((name) => !known.includes(name));
    if (unknown !== undefined) {
      const names = [...new Set(known)].map((name) => `{${name}}`).join(', ');
      const expected =
        names === ''
          ? `a level of the topic pattern, which names none`
          : `a level of the topic pattern: ${names}`;
      this.#fault(path, `{${unknown}}`, expected);
    }
    return parsed.template;
  }

  #slot(field: string, path: KeyPath): number {
    const known = this.#fields.indexOf(field);
    if (known >= 0) return known;
    this.#places.push(path);
    return this.#fields.push(field) - 1;
  }

  #reader(levels: readonly string[]): PayloadReader | undefined {
    const compiled = compileReader(
      this.#profile.decode,
      this.#fields,
      levels,
      this.#services,
      this.#edgeNodes,
      this.#shared,
    );
    if ('reader' in compiled) {
      this.#edgeNodes = compiled.edgeNodes;
      return compiled.reader;
    }
    for (const problem of compiled.problems) {
      const { found, expected } = problem;
      this.#fault(
        'path' in problem ? problem.path : (this.#places[problem.field] as KeyPath),
        found,
        expected,
      );
    }
    return undefined;
  }

  #expectType(
    infos: readonly FieldInfo[],
    slot: number | undefined,
    types: readonly FieldInfo['type'][],
    expected: string,
    path: KeyPath,
  ): void {
    const info = slot === undefined ? undefined : infos[slot];
    if (info !== undefined && !types.includes(info.type))
      this.#fault(path, `a field of type ${info.type}`, expected);
  }
}

function envelopeEncoder(format: OutputFormat): EnvelopeEncoder {
  switch (format) {
    case 'protobuf':
      return new EnvelopeWriter();
    case 'json':
      return new JsonEnvelope();
    case 'avro':
      return new AvroEnvelope();
  }
}

function compiledMetric(
  envelope: EnvelopeEncoder,
  { slot, name, unit, enumNames }: NormalisedMetric,
): CompiledMetric {
  const head = (quality: Quality) => envelope.compileMetric(slot, name, unit, enumNames, quality);
  return { good: head(Quality.Good), outOfRange: head(Quality.OutOfRange), missing: head(Quality.Missing) };
}

/** CloudEvents ids: 64 random bits for this compilation, and a count. */
function eventIds(): () => string {
  const prefix = randomBytes(8).toString('hex');
  let count = 0;
  return () => `${prefix}-${count++}`;
}
