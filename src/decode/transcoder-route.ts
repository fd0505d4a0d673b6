import { errorMessage } from '../core/errors.ts';
import type { DeviceProfile, TimeUnit } from '../core/profile.ts';
import type { Publication } from '../core/publication.ts';
import { appendHeaders, encodeHeaders, type EncodedHeaders, type SerializedRecord } from '../core/record.ts';
import { deadLetterTopicOf, type Batch, type Contract, type DecodeFault, type Route } from '../core/route.ts';
import { decoderError, fieldMissing, fieldTooLong, fieldType } from './decode-fault.ts';
import { encodeConstants, encodeDeviceId, type EnvelopeWriter, type MetricWriter } from './envelope.ts';
import { isWithinWindow, readEventTime } from './event-time.ts';
import { ValueKind, type FieldValues } from './field-values.ts';
import type { PayloadReader, ReadingBatch } from './payload-reader.ts';
import type { Template } from './template.ts';

/** The headers that a record of telemetry has. Values are UTF-8 text. */
export const RECORD_HEADERS = {
  mqttTopic: 'mqtt.topic',
  deviceType: 'device.type',
  contentType: 'content-type',
  /** `receipt` where the device's time could not be the record's timestamp; else absent. */
  timestamp: 'sluice.timestamp',
  /** The id of the schema in a registry that the payload was framed with; absent without a frame. */
  schemaId: 'schema.id',
} as const;

/** No device id is longer, in bytes of UTF-8: it is in every record twice. */
export const MAX_DEVICE_ID_BYTES = 512;

/** A profile, resolved against its payload's schema. Slots are those of the reader. */
export interface CompiledProfile {
  readonly profile: DeviceProfile;
  /** undefined: the payload isn't read. */
  readonly reader: PayloadReader | undefined;
  readonly device: { readonly template: Template } | { readonly slot: number; readonly field: string };
  readonly time: { readonly slot: number; readonly field: string; readonly unit: TimeUnit } | undefined;
  readonly sequence: { readonly slot: number; readonly field: string } | undefined;
  readonly attributes: readonly (readonly [string, Template])[];
  readonly metrics: readonly MetricWriter[];
  readonly key: Template;
  readonly contentType: string;
}

/** A compiled profile, and what its routes work in. They share it: one publication is read at a time. */
export interface Workshop {
  readonly compiled: CompiledProfile;
  readonly values: FieldValues;
  readonly envelope: EnvelopeWriter;
}

interface FramedHeaders {
  readonly schemaId: number;
  readonly headers: EncodedHeaders;
  readonly encoded: EncodedHeaders;
}

/** What depends on the device's id, made anew only when the id changes. */
interface Device {
  readonly id: string;
  readonly encoded: Uint8Array;
  readonly key: Uint8Array;
}

/**
 * The route of one topic. What can be done for a topic beforehand is done here once, so that a message costs
 * only what varies with it.
 */
export class TranscoderRoute implements Route {
  readonly profile: string;
  readonly contract: Contract;
  readonly topic: string;
  readonly deadLetterTopic: string;
  /** Where the reader takes payloads apart. */
  readonly batch: Batch | undefined;
  readonly #workshop: Workshop;
  readonly #reader: PayloadReader | undefined;
  readonly #captures: ReadonlyMap<string, string>;
  readonly #constants: Uint8Array;
  readonly #headers: EncodedHeaders;
  readonly #receiptHeaders: EncodedHeaders;
  /** The headers with the id of the schema that the last payload was framed with. */
  #framed: FramedHeaders | undefined;
  /** The one of the last message. */
  #device: Device | undefined;
  /** Why no message of this topic can have a device. */
  readonly #deviceFault: DecodeFault | undefined;

  constructor(workshop: Workshop, captures: ReadonlyMap<string, string>, topicName: string) {
    const { profile, device, attributes, contentType } = workshop.compiled;
    this.profile = profile.type;
    this.contract = profile.ack;
    this.topic = profile.produce.topic;
    this.deadLetterTopic = deadLetterTopicOf(profile.produce.topic);
    this.#workshop = workshop;
    const { reader } = workshop.compiled;
    this.#reader = reader?.bind?.({ name: topicName, captures }) ?? reader;
    this.batch = this.#reader?.batch && batchOf(this.#reader.batch);
    this.#captures = captures;
    this.#constants = encodeConstants(
      profile.type,
      attributes.map(([name, template]) => [name, template.fill(captures)] as const),
    );
    const headers = [
      { key: RECORD_HEADERS.mqttTopic, value: Buffer.from(topicName, 'utf8') },
      { key: RECORD_HEADERS.deviceType, value: Buffer.from(profile.type, 'utf8') },
      { key: RECORD_HEADERS.contentType, value: Buffer.from(contentType, 'utf8') },
    ];
    this.#headers = encodeHeaders(headers);
    this.#receiptHeaders = encodeHeaders([
      ...headers,
      { key: RECORD_HEADERS.timestamp, value: Buffer.from('receipt', 'utf8') },
    ]);
    if ('template' in device) {
      this.#deviceFault = this.#setDevice(
        device.template.fill(captures),
        `the topic's ${device.template.text}`,
      );
    }
  }

  toRecord(publication: Publication, record: SerializedRecord): DecodeFault | undefined {
    if (this.#deviceFault !== undefined) return this.#deviceFault;
    try {
      return this.#toRecord(publication, record);
    } catch (error) {
      // A fault of ours must not take the other devices down: this message becomes a dead letter that says so.
      return decoderError(errorMessage(error));
    }
  }

  taken(): void {
    this.#reader?.taken?.();
  }

  whenReady(callback: () => void): void {
    callback();
  }

  #toRecord(publication: Publication, record: SerializedRecord): DecodeFault | undefined {
    const { payload, receivedAtMs } = publication;
    const { compiled, values, envelope } = this.#workshop;
    const { time, sequence } = compiled;
    const reader = this.#reader;

    if (reader !== undefined) {
      const fault = reader.read(payload, values) ?? this.#readDevice(values);
      if (fault !== undefined) return fault;
    }
    const device = this.#device as Device;

    const eventTimeMs = time === undefined ? Number.NaN : readEventTime(values, time.slot, time.unit);
    if (eventTimeMs === undefined) return fieldType(time?.field ?? '', 'no number', 'a time');
    if (sequence !== undefined) {
      const fault = checkSequence(values, sequence.slot, sequence.field);
      if (fault !== undefined) return fault;
    }

    if (compiled.profile.produce.value === 'raw') {
      record.value = this.batch?.bytes() ?? payload;
    } else {
      envelope.begin(device.encoded, this.#constants);
      if (!Number.isNaN(eventTimeMs)) envelope.observedAt(eventTimeMs);
      envelope.receivedAt(receivedAtMs);
      if (sequence !== undefined && values.kind[sequence.slot] !== ValueKind.Absent) {
        envelope.sequence(values.low[sequence.slot] as number, values.high[sequence.slot] as number);
      }
      for (const metric of compiled.metrics) envelope.metric(metric, values);
      record.value = envelope.finish();
    }

    const timely = isWithinWindow(eventTimeMs, receivedAtMs);
    record.topic = this.topic;
    record.key = device.key;
    record.timestampMs = timely ? eventTimeMs : receivedAtMs;
    const headers = timely || time === undefined ? this.#headers : this.#receiptHeaders;
    record.headers = values.schemaId === undefined ? headers : this.#framedHeaders(headers, values.schemaId);
    return undefined;
  }

  /** A device's schema hardly ever changes, so the last one's headers are kept. */
  #framedHeaders(headers: EncodedHeaders, schemaId: number): EncodedHeaders {
    const last = this.#framed;
    if (last?.schemaId === schemaId && last.headers === headers) return last.encoded;
    const value = Buffer.from(String(schemaId), 'utf8');
    const encoded = appendHeaders(headers, [{ key: RECORD_HEADERS.schemaId, value }]);
    this.#framed = { schemaId, headers, encoded };
    return encoded;
  }

  #readDevice(values: FieldValues): DecodeFault | undefined {
    const { device } = this.#workshop.compiled;
    if ('template' in device) return undefined;
    const { slot, field } = device;
    let id = '';
    switch (values.kind[slot]) {
      case ValueKind.Absent:
        break;
      case ValueKind.Text:
        id = values.text[slot] as string;
        break;
      case ValueKind.Utf8:
        id = values.source.toString('utf8', values.start[slot], values.end[slot]);
        break;
      case ValueKind.Int:
      case ValueKind.Uint:
        id = String(values.integerAsBigInt(slot));
        break;
      case ValueKind.Double:
        // A whole number of a JSON payload, as serial numbers are.
        if (Number.isSafeInteger(values.double[slot])) {
          id = String(values.double[slot]);
          break;
        }
        return fieldType(field, 'a number that is not whole', 'a device id');
      default:
        return fieldType(field, 'true, false or bytes', 'a device id');
    }
    return id === this.#device?.id ? undefined : this.#setDevice(id, `field ${field}`);
  }

  #setDevice(id: string, source: string): DecodeFault | undefined {
    if (id === '') return fieldMissing('device id', source);
    const bytes = Buffer.byteLength(id, 'utf8');
    if (bytes > MAX_DEVICE_ID_BYTES) return fieldTooLong('device id', bytes, MAX_DEVICE_ID_BYTES);
    const { key } = this.#workshop.compiled;
    const named = new Map(this.#captures).set('device', id);
    this.#device = { id, encoded: encodeDeviceId(id), key: Buffer.from(key.fill(named), 'utf8') };
    return undefined;
  }
}

/** A fault of ours in taking a payload apart must not take the other devices down either. */
function batchOf(readings: ReadingBatch): Batch {
  return {
    open({ payload }) {
      try {
        return readings.open(payload);
      } catch (error) {
        return decoderError(errorMessage(error));
      }
    },
    select: (index) => {
      readings.select(index);
    },
    bytes: () => readings.bytes(),
    close: () => {
      readings.close();
    },
  };
}

/** A sequence is a whole number from 0; a double that is one is put into the integer's halves. */
function checkSequence(values: FieldValues, slot: number, field: string): DecodeFault | undefined {
  switch (values.kind[slot]) {
    case ValueKind.Absent:
    case ValueKind.Uint:
      return undefined;
    case ValueKind.Int:
      if ((values.high[slot] as number) >= 0) return undefined;
      return fieldType(field, 'a negative number', 'a sequence number from 0');
    case ValueKind.Double: {
      const value = values.double[slot] as number;
      if (!Number.isSafeInteger(value) || value < 0) {
        return fieldType(field, `${value}`, 'a sequence number: a whole number from 0 to 2^53');
      }
      values.low[slot] = value;
      values.high[slot] = value / 4_294_967_296;
      return undefined;
    }
    default:
      return fieldType(field, 'no number', 'a sequence number');
  }
}
