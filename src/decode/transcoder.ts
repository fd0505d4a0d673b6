import type { KeyFault } from '../core/fault.ts';
import type { DeviceProfile } from '../core/profile.ts';
import type { Route } from '../core/route.ts';
import { parseTopicPattern } from '../core/topic-pattern.ts';
import { compileReader } from './compile-reader.ts';
import { compileMetric, ENVELOPE_CONTENT_TYPE, EnvelopeWriter } from './envelope.ts';
import { FieldValues } from './field-values.ts';
import type { FieldInfo, PayloadReader } from './payload-reader.ts';
import { parseTemplate, type Template } from './template.ts';
import { TranscoderRoute, type CompiledProfile, type Workshop } from './transcoder-route.ts';

/** A device profile, compiled: the routes of its topics turn publications into records. */
export class Transcoder {
  readonly profile: DeviceProfile;
  readonly #workshop: Workshop;

  constructor(compiled: CompiledProfile) {
    this.profile = compiled.profile;
    this.#workshop = {
      compiled,
      values: new FieldValues(compiled.reader?.fields.length ?? 0),
      envelope: new EnvelopeWriter(),
    };
  }

  /** The route of one topic; `captures` are its named levels. */
  bind(captures: ReadonlyMap<string, string>, topicName: string): Route {
    return new TranscoderRoute(this.#workshop, captures, topicName);
  }
}

type KeyPath = KeyFault['path'];

/**
 * Compiles a device profile into its transcoder: loads the payload's schema, and finds every field and
 * template that the profile names. Returns all that is wrong with them instead; never throws.
 */
export function compileProfile(
  profile: DeviceProfile,
): { readonly transcoder: Transcoder } | { readonly faults: readonly KeyFault[] } {
  const compiler = new ProfileCompiler(profile);
  const transcoder = compiler.compile();
  return transcoder === undefined ? { faults: compiler.faults } : { transcoder };
}

class ProfileCompiler {
  readonly faults: KeyFault[] = [];
  readonly #profile: DeviceProfile;
  /** The decoded fields' paths, each once: its index is its slot. */
  readonly #fields: string[] = [];
  /** Where each of them was named first. */
  readonly #places: KeyPath[] = [];

  constructor(profile: DeviceProfile) {
    this.#profile = profile;
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
    const key = this.#template(produce.key ?? '{device}', [...levels, 'device'], ['produce', 'key']);

    const reader = this.#reader(levels);
    if (decode.kind === 'raw' && produce.value === 'normalised') {
      this.#fault(['produce', 'value'], 'normalised', 'raw, because `decode: raw` reads nothing');
    }
    const infos = reader?.fields ?? [];
    if ('field' in device)
      this.#expectType(infos, deviceSlot, ['any', 'string', 'integer'], 'text or an integer', ['device']);
    if (time) this.#expectType(infos, timeSlot, ['any', 'number', 'integer'], 'a number', ['time', 'field']);
    if (sequence)
      this.#expectType(infos, sequenceSlot, ['any', 'integer'], 'an integer', ['sequence', 'field']);
    if (this.faults.length > 0) return undefined;

    return new Transcoder({
      profile: this.#profile,
      reader,
      device:
        'field' in device
          ? { slot: deviceSlot, field: device.field }
          : { template: deviceTemplate as Template },
      time: time && { slot: timeSlot as number, field: time.field, unit: time.unit },
      sequence: sequence && { slot: sequenceSlot as number, field: sequence.field },
      attributes: attributeTemplates as (readonly [string, Template])[],
      metrics: [...metrics].map(([name, { unit }], index) => {
        const slot = metricSlots[index] as number;
        return compileMetric(slot, name, unit, infos[slot]?.enumNames);
      }),
      key: key as Template,
      contentType:
        produce.value === 'normalised'
          ? ENVELOPE_CONTENT_TYPE
          : (reader?.contentType ?? 'application/octet-stream'),
    });
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
    const compiled = compileReader(this.#profile.decode, this.#fields, levels);
    if ('reader' in compiled) return compiled.reader;
    for (const problem of compiled.problems) {
      const { found, expected } = problem;
      this.#fault('path' in problem ? problem.path : (this.#places[problem.field] as KeyPath), found, expected);
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
