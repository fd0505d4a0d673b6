import type { Contract } from '../../core/contract.ts';
import { errorMessage } from '../../core/errors.ts';
import { deadLetterTopicFor } from '../../core/profile/output-spec.ts';
import type { DeviceProfile } from '../../core/profile/profile.ts';
import type { Publication } from '../../core/publication.ts';
import type { SerializedRecord } from '../../core/record.ts';
import type { Batch, DecodeFault, DeviceLookup, Route } from '../../core/route.ts';
import { decoderError, fieldType } from '../formats/decode-fault.ts';
import type { BoundDevices } from './bound-devices.ts';
import { bindDevice, type BindingPlan, type BoundDevice } from './device-bindings.ts';
import type { EnvelopeEncoder, MetricHead } from '../envelope/envelope-encoder.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';
import { Quality } from '../normalise/metric-checks.ts';
import type { Normaliser } from '../normalise/normaliser.ts';
import type { Inspection, PayloadReader, ReadingBatch } from '../formats/payload-reader.ts';
import type { EdgeNodes } from '../sparkplug/edge-nodes.ts';
import { RecordHeaders, type HeaderPlan } from '../envelope/record-headers.ts';
import type { Template } from './template.ts';

/** A metric as the envelope's encoder has it ready, one form for each quality that is written. */
export interface CompiledMetric {
  readonly good: MetricHead;
  readonly outOfRange: MetricHead;
  readonly missing: MetricHead;
}

/** A profile, resolved against its payload's schema. Slots are those of the reader, and of what is made of them. */
export interface CompiledProfile {
  readonly profile: DeviceProfile;
  /** undefined: the payload isn't read. */
  readonly reader: PayloadReader | undefined;
  readonly edgeNodes?: EdgeNodes | undefined;
  readonly device: { readonly template: Template } | { readonly slot: number; readonly field: string };
  readonly sequenceSlot: number | undefined;
  readonly normaliser: Normaliser;
  readonly envelope: EnvelopeEncoder;
  readonly metrics: readonly CompiledMetric[];
  /** Of each metric the form that is nearly always written. */
  readonly goodMetrics: readonly MetricHead[];
  readonly binding: BindingPlan;
  readonly headers: HeaderPlan;
}

/** A compiled profile, and what its routes work in. They share it: one publication is read at a time. */
export interface Workshop {
  readonly compiled: CompiledProfile;
  // Of the compiled profile what every message needs, at hand: with many profiles each step to it is a cache miss.
  readonly normaliser: Normaliser;
  readonly isRaw: boolean;
  readonly registry: DeviceLookup | undefined;
  /** Profiles with the same reader have the same. */
  readonly values: FieldValues;
  readonly boundDevices: BoundDevices;
}

/**
 * The route of one topic. What can be done for a topic and a device beforehand is done once, so that a message
 * costs only what varies with it.
 */
export class TranscoderRoute implements Route {
  readonly profile: string;
  readonly pattern: string;
  readonly contract: Contract;
  readonly topic: string;
  readonly deadLetterTopic: string;
  /** Where the reader takes payloads apart. */
  readonly batch: OpenBatch | undefined;
  readonly #workshop: Workshop;
  readonly #reader: PayloadReader | undefined;
  readonly #captures: ReadonlyMap<string, string>;
  readonly #headers: RecordHeaders;
  /** From the topic; undefined: a field of the payload says it. */
  readonly #deviceId: string | undefined;
  /** The one of the last message. */
  #device: BoundDevice | undefined;

  constructor(workshop: Workshop, captures: ReadonlyMap<string, string>, topicName: string) {
    const { profile, device, headers, reader, normaliser } = workshop.compiled;
    this.profile = profile.type;
    this.pattern = profile.topic;
    this.contract = profile.ack;
    this.topic = profile.produce.topic;
    this.deadLetterTopic = deadLetterTopicFor(profile.produce, profile.type);
    this.#workshop = workshop;
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
    this.#workshop.normaliser.taken();
  }

  whenReady(callback: () => void): void {
    const { framing } = this.#workshop.compiled.binding.services;
    if (framing === undefined) callback();
    else framing.whenReady(callback);
  }

  #toRecord(publication: Publication, record: SerializedRecord): DecodeFault | undefined {
    const { payload, receivedAtMs } = publication;
    const { normaliser, values, isRaw } = this.#workshop;
    normaliser.forget();

    const fault = this.#reader?.read(payload, values) ?? this.#bindDevice(values);
    if (fault !== undefined) return fault;
    const device = this.#device as BoundDevice;
    const verdict = normaliser.run(values, device.state, receivedAtMs, publication.dup);
    if (verdict !== undefined) return verdict;

    if (isRaw) record.value = this.batch?.bytes() ?? payload;
    else record.value = this.#envelope(device, receivedAtMs);
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
    return undefined;
  }

  #envelope(device: BoundDevice, receivedAtMs: number): Uint8Array {
    const { compiled, values } = this.#workshop;
    const { normaliser, envelope, goodMetrics, sequenceSlot } = compiled;
    envelope.begin(device.encoded, device.constants);
    if (!Number.isNaN(normaliser.observedAtMs)) envelope.observedAt(normaliser.observedAtMs);
    envelope.receivedAt(receivedAtMs);
    if (sequenceSlot !== undefined && values.kind[sequenceSlot] !== ValueKind.Absent) {
      envelope.sequence(values.low[sequenceSlot] as number, values.high[sequenceSlot] as number);
    }
    if (normaliser.hasChecks) this.#checkedMetrics();
    else for (const head of goodMetrics) envelope.metric(head, values);
    return envelope.finish();
  }

  #checkedMetrics(): void {
    const { compiled, values } = this.#workshop;
    const { normaliser, envelope, metrics } = compiled;
    for (const [index, { good, outOfRange, missing }] of metrics.entries()) {
      switch (normaliser.qualities[index]) {
        case Quality.Good:
          envelope.metric(good, values);
          break;
        case Quality.OutOfRange:
          envelope.metric(outOfRange, values);
          break;
        case Quality.Missing:
          envelope.missing(missing);
          break;
        default:
      }
    }
  }

  /** Binds the message's device, unless it is the last one's and nothing new is known of it. */
  #bindDevice(values: FieldValues): DecodeFault | undefined {
    const { registry, compiled } = this.#workshop;
    let id = this.#deviceId;
    if (id === undefined) {
      const read = readDeviceId(values, compiled.device as { readonly slot: number; readonly field: string });
      if (typeof read !== 'string') return read;
      id = read;
    }
    const version = registry?.version ?? 0;
    const last = this.#device;
    if (last?.id === id && version === last.registryVersion) return undefined;
    const { binding, device: where } = compiled;
    const { boundDevices } = this.#workshop;
    const isShared = last !== undefined && last.id !== id;
    const known = isShared ? boundDevices.find(this, id) : undefined;
    if (known?.registryVersion === version) {
      this.#device = known;
      return undefined;
    }
    const source = 'template' in where ? `the topic's ${where.template.text}` : `field ${where.field}`;
    const bound = bindDevice(binding, this.#captures, id, source);
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
      return values.text[slot] as string;
    case ValueKind.Utf8:
      return values.source.toString('utf8', values.start[slot], values.end[slot]);
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
