import { errorMessage } from '../../core/errors.ts';
import type { Contract } from '../../core/contract.ts';
import { deadLetterTopicFor } from '../../core/profile/output-spec.ts';
import type { Publication } from '../../core/publication.ts';
import type { SerializedRecord } from '../../core/record.ts';
import type { Batch, DecodeFault, DeviceLookup, Route } from '../../core/route.ts';
import type { MetricHead } from '../envelope/envelope-encoder.ts';
import { RecordHeaders, type HeaderPlan } from '../envelope/record-headers.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';
import {
  decoderError,
  fieldType,
  type Inspection,
  type PayloadReader,
  type ReadingBatch,
} from '../formats/payload-reader.ts';
import { Quality } from '../normalise/metric-checks.ts';
import type { Normaliser } from '../normalise/normaliser.ts';
import type { EdgeNodes } from '../sparkplug/edge-nodes.ts';
import { bindDevice, type BindingPlan, type BoundDevice, type BoundDevices } from './bound-device.ts';
import type { Template } from './template.ts';

/** A metric as the envelope's encoder has it ready, one form for each quality that is written. */
export interface CompiledMetric {
  readonly good: MetricHead;
  readonly outOfRange: MetricHead;
  readonly missing: MetricHead;
}

/**
 * A device profile, resolved against its payload's schema: the routes of its topics turn publications into records.
 * They share what is in it, because one publication is read at a time. Slots are those of the reader, and of what is
 * made of them. All of it is one object: with many profiles each step to another one is a cache miss.
 */
export interface CompiledProfile extends BindingPlan {
  readonly normaliser: Normaliser;
  /** What the reader fills; profiles with the same reader have the same. */
  readonly values: FieldValues;
  readonly isRaw: boolean;
  readonly registry: DeviceLookup | undefined;
  readonly device: { readonly template: Template } | { readonly slot: number; readonly field: string };
  readonly sequenceSlot: number | undefined;
  /** Of each metric the form that is nearly always written. */
  readonly goodMetrics: readonly MetricHead[];
  readonly metrics: readonly CompiledMetric[];
  readonly boundDevices: BoundDevices;
  /** undefined: the payload isn't read. */
  readonly reader: PayloadReader | undefined;
  readonly headers: HeaderPlan;
  /** Of Sparkplug B: what is remembered of edge nodes. */
  readonly edgeNodes: EdgeNodes | undefined;
  /** The route of one topic; `captures` are its named levels. */
  bind(captures: ReadonlyMap<string, string>, topicName: string): ProfileRoute;
}

/**
 * The route of one topic. What can be done for a topic and a device beforehand is done once, so that a message
 * costs only what varies with it.
 */
export class ProfileRoute implements Route {
  readonly profile: string;
  readonly pattern: string;
  readonly contract: Contract;
  readonly topic: string;
  readonly deadLetterTopic: string;
  /** Where the reader takes payloads apart. */
  readonly batch: OpenBatch | undefined;
  readonly #compiled: CompiledProfile;
  readonly #reader: PayloadReader | undefined;
  readonly #captures: ReadonlyMap<string, string>;
  readonly #headers: RecordHeaders;
  /** From the topic; undefined: a field of the payload says it. */
  readonly #deviceId: string | undefined;
  /** The one of the last message. */
  #device: BoundDevice | undefined;

  constructor(compiled: CompiledProfile, captures: ReadonlyMap<string, string>, topicName: string) {
    const { profile, device, headers, reader, normaliser } = compiled;
    this.profile = profile.type;
    this.pattern = profile.topic;
    this.contract = profile.ack;
    this.topic = profile.produce.topic;
    this.deadLetterTopic = deadLetterTopicFor(profile.produce, profile.type);
    this.#compiled = compiled;
    this.#reader = reader?.bind?.({ name: topicName, captures }) ?? reader;
    this.batch = this.#reader?.batch && new OpenBatch(this.#reader.batch, normaliser);
    this.#captures = captures;
    this.#headers = new RecordHeaders(headers, topicName, captures);
    this.#deviceId = 'template' in device ? device.template.fill(captures) : undefined;
  }

  toRecord(publication: Publication, record: SerializedRecord): DecodeFault | undefined {
    try {
      return this.#toRecord(publication, record);
    } catch (error) {
      // A fault of ours must not take the other devices down: this message becomes a dead letter that says so.
      return decoderError(errorMessage(error));
    }
  }

  /** The device of the last message that had one. */
  get device(): BoundDevice | undefined {
    return this.#device;
  }

  /** All of a payload, for a person to look at; undefined: this profile reads nothing. Call it before `toRecord`. */
  inspect(payload: Buffer): Inspection | DecodeFault | undefined {
    return this.#reader?.inspect?.(payload);
  }

  taken(): void {
    this.#reader?.taken?.();
    this.#compiled.normaliser.taken();
  }

  whenReady(callback: () => void): void {
    const { framing } = this.#compiled.services;
    if (framing === undefined) callback();
    else framing.whenReady(callback);
  }

  /** A profile's stages, in their order. Any of them may have the last word. */
  #toRecord(publication: Publication, record: SerializedRecord): DecodeFault | undefined {
    const { payload, receivedAtMs } = publication;
    const { normaliser, values } = this.#compiled;
    normaliser.forget();
    // Unwrap, decode, take the selected reading, pick fields; then whose message it is.
    const fault = this.#reader?.read(payload, values) ?? this.#bindDevice(values);
    if (fault !== undefined) return fault;
    const device = this.#device as BoundDevice;
    // Time, sequence, values made of fields, checks, filter.
    const verdict = normaliser.run(values, device.state, receivedAtMs, publication.dup);
    if (verdict !== undefined) return verdict;
    this.#output(publication, device, record);
    return undefined;
  }

  #output(publication: Publication, device: BoundDevice, record: SerializedRecord): void {
    const { normaliser, values, isRaw } = this.#compiled;
    if (isRaw) record.value = this.batch?.bytes() ?? publication.payload;
    else record.value = this.#envelope(device, publication.receivedAtMs);
    normaliser.quarantines = device.quarantined;
    record.topic = device.topic;
    record.key = device.key;
    record.timestampMs = normaliser.timestampMs;
    record.headers = this.#headers.encode(
      publication,
      device.id,
      normaliser.timestampMs,
      normaliser.timeSource,
      device.quarantined,
      values.schemaId,
    );
  }

  #envelope(device: BoundDevice, receivedAtMs: number): Uint8Array {
    const { normaliser, values, encoder, goodMetrics, sequenceSlot } = this.#compiled;
    encoder.begin(device.encoded, device.constants);
    if (!Number.isNaN(normaliser.observedAtMs)) encoder.observedAt(normaliser.observedAtMs);
    encoder.receivedAt(receivedAtMs);
    if (sequenceSlot !== undefined && values.kind[sequenceSlot] !== ValueKind.Absent) {
      encoder.sequence(values.low[sequenceSlot] as number, values.high[sequenceSlot] as number);
    }
    if (normaliser.hasChecks) this.#checkedMetrics();
    else for (const head of goodMetrics) encoder.metric(head, values);
    return encoder.finish();
  }

  #checkedMetrics(): void {
    const { normaliser, values, encoder, metrics } = this.#compiled;
    for (const [index, { good, outOfRange, missing }] of metrics.entries()) {
      switch (normaliser.qualities[index]) {
        case Quality.Good:
          encoder.metric(good, values);
          break;
        case Quality.OutOfRange:
          encoder.metric(outOfRange, values);
          break;
        case Quality.Missing:
          encoder.missing(missing);
          break;
        default:
      }
    }
  }

  /** Binds the message's device, unless it is the last one's and nothing new is known of it. */
  #bindDevice(values: FieldValues): DecodeFault | undefined {
    const { registry, device: where, boundDevices } = this.#compiled;
    let id = this.#deviceId;
    if (id === undefined) {
      const read = readDeviceId(values, where as { readonly slot: number; readonly field: string });
      if (typeof read !== 'string') return read;
      id = read;
    }
    const version = registry?.version ?? 0;
    const last = this.#device;
    if (last?.id === id && version === last.registryVersion) return undefined;
    const isShared = last !== undefined && last.id !== id;
    const known = isShared ? boundDevices.find(this, id) : undefined;
    if (known?.registryVersion === version) {
      this.#device = known;
      return undefined;
    }
    const source = 'template' in where ? `the topic's ${where.template.text}` : `field ${where.field}`;
    const bound = bindDevice(this.#compiled, this.#captures, id, source);
    if ('fault' in bound) return bound.fault;
    this.#device = bound.device;
    if (isShared) boundDevices.keep(this, bound.device);
    return undefined;
  }
}

/** The device id in a field; empty where it is absent. */
function readDeviceId(
  values: FieldValues,
  { slot, field }: { readonly slot: number; readonly field: string },
): string | DecodeFault {
  switch (values.kind[slot]) {
    case ValueKind.Absent:
      return '';
    case ValueKind.Text:
    case ValueKind.Utf8:
      return values.textAt(slot);
    case ValueKind.Int:
    case ValueKind.Uint:
      return String(values.integerAsBigInt(slot));
    case ValueKind.Double:
      // A whole number of a JSON payload, as serial numbers are.
      if (Number.isSafeInteger(values.double[slot])) return String(values.double[slot]);
      return fieldType(field, 'a number that is not whole', 'a device id');
    default:
      return fieldType(field, 'true, false or bytes', 'a device id');
  }
}

/** The readings of the payload that is open. */
class OpenBatch implements Batch {
  readonly #readings: ReadingBatch;
  readonly #normaliser: Normaliser;
  selected: number | undefined;

  constructor(readings: ReadingBatch, normaliser: Normaliser) {
    this.#readings = readings;
    this.#normaliser = normaliser;
  }

  open({ payload }: Publication): number | DecodeFault {
    this.selected = undefined;
    // What is taken next may be the dead letter of a payload that could not be taken apart.
    this.#normaliser.forget();
    try {
      return this.#readings.open(payload);
    } catch (error) {
      // A fault of ours in taking a payload apart must not take the other devices down either.
      return decoderError(errorMessage(error));
    }
  }

  select(index: number): void {
    this.selected = index;
    this.#readings.select(index);
  }

  /** The selected reading's own bytes, for a raw value. */
  bytes(): Uint8Array | undefined {
    return this.#readings.bytes();
  }

  alone(): Uint8Array | undefined {
    if (this.selected === undefined) return undefined;
    try {
      return this.#readings.alone();
    } catch {
      // What could be read can't always be written: JSON and MessagePack write by recursion. The whole payload will do.
      return undefined;
    }
  }

  close(): void {
    this.selected = undefined;
    this.#readings.close();
  }
}
