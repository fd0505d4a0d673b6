import { errorMessage } from '../../core/errors.ts';
import type { Header } from '../../core/record.ts';
import { ProducerError } from '../errors.ts';

/**
 * Turns keys or values into the bytes of a record: Kafka's `org.apache.kafka.common.serialization.Serializer`.
 *
 * In Java a serializer that must ask a schema registry blocks the thread that sends. Here that wait is a step of
 * its own, so that all other records need no promise. A producer does for each record, in the order of the sends:
 *
 * ```ts
 * const wait = serializer.prepare?.(topic, data);
 * if (wait !== undefined) await wait; // seldom; later records of this producer wait behind this one
 * const bytes = serializer.serialize(topic, data, headers);
 * ```
 */
export interface Serializer<in T> {
  /**
   * The half of a record that this serializer is for, if it matters to it: with a schema registry the subject's
   * name depends on it. A producer refuses a serializer in the wrong place. Left out: good for both.
   */
  readonly part?: RecordPart | undefined;

  /**
   * Makes ready what {@link serialize} needs for `data` on this topic. undefined, the answer on the hot path:
   * it is ready. A promise: await it first; a rejection is the record's failure (a SerializationError or
   * SchemaRegistryError), and the next call tries again. Calling it twice at once does the work once.
   */
  prepare?(topic: string, data: T | null): Promise<void> | undefined;

  /**
   * The bytes of `data`, in memory that no later call changes; for a byte array it may be the caller's own.
   * null gives null, by every serializer of this library: as a value a tombstone, as a key no key.
   * @throws SerializationError if `data` can't be represented, or {@link prepare} is still to be awaited
   */
  serialize(topic: string, data: T | null, headers?: readonly Header[]): Uint8Array | null;
}

/**
 * Turns a record's bytes back into a key or value: Kafka's `Deserializer`. As with {@link Serializer}, a wait for
 * a schema registry is a step of its own.
 */
export interface Deserializer<out T> {
  /**
   * Makes ready what {@link deserialize} needs for these bytes, e.g. the schema that they name. undefined: it is
   * ready. A promise: await it first; a rejection is the record's failure, and the next call tries again.
   */
  prepare?(topic: string, data: Uint8Array | null): Promise<void> | undefined;

  /**
   * The key or value; null gives null. What is returned may hold views on `data`: copy bytes to keep them.
   * @throws SerializationError if the bytes aren't what this deserializer reads, or {@link prepare} is still to
   * be awaited
   */
  deserialize(topic: string, data: Uint8Array | null, headers?: readonly Header[]): T | null;
}

export type RecordPart = 'key' | 'value';

/** These say nothing about the record: any other would have met them too. */
const SCHEMA_FAULTS: readonly string[] = ['UNUSABLE_SCHEMA', 'SCHEMA_NOT_PREPARED'];

/**
 * A key or value can't be turned into bytes, or bytes not into a key or value: Java's SerializationException.
 * The codes: SERIALIZATION_FAILED, DESERIALIZATION_FAILED, UNKNOWN_MAGIC_BYTE (no Confluent wire format),
 * UNEXPECTED_SCHEMA (well-formed, but of a type that was not asked for), UNUSABLE_SCHEMA (the registry's schema is
 * none, of another kind, or can't be read by the reader's) and SCHEMA_NOT_PREPARED.
 */
export class SerializationError extends ProducerError {
  readonly topic: string;

  constructor(code: string, topic: string, message: string, options?: ErrorOptions) {
    super(code, message, { ...options, isRecordFault: !SCHEMA_FAULTS.includes(code) });
    this.topic = topic;
  }
}

/** `reason` completes "...: "; what was thrown becomes the cause. Never quotes a record's contents at length. */
export function cannotSerialize(topic: string, format: string, reason: unknown): SerializationError {
  const what = `data for topic '${topic}' can't be serialized as ${format}`;
  return failure('SERIALIZATION_FAILED', topic, what, reason);
}

/** `reason` completes "...: "; what was thrown becomes the cause. */
export function cannotDeserialize(topic: string, format: string, reason: unknown): SerializationError {
  const what = `data from topic '${topic}' can't be read as ${format}`;
  return failure('DESERIALIZATION_FAILED', topic, what, reason);
}

function failure(code: string, topic: string, what: string, reason: unknown): SerializationError {
  if (typeof reason === 'string') return new SerializationError(code, topic, `${what}: ${reason}`);
  return new SerializationError(code, topic, `${what}: ${errorMessage(reason)}`, { cause: reason });
}

/** Bytes as they are, without a copy. */
export class ByteArraySerializer implements Serializer<Uint8Array> {
  serialize(topic: string, data: Uint8Array | null): Uint8Array | null {
    if (data !== null && !(data instanceof Uint8Array)) {
      throw cannotSerialize(topic, 'bytes', `it is a ${typeof data}, not a Uint8Array`);
    }
    return data;
  }
}

/** Bytes as they are, without a copy: a view on what was fetched. */
export class ByteArrayDeserializer implements Deserializer<Uint8Array> {
  deserialize(_topic: string, data: Uint8Array | null): Uint8Array | null {
    return data;
  }
}

/**
 * Several kinds of data in one topic, each with a serializer of its own: what recordNameStrategy and
 * topicRecordNameStrategy are made for.
 */
export class SelectingSerializer<T> implements Serializer<T> {
  readonly part: RecordPart | undefined;
  readonly #select: (data: T) => Serializer<never> | undefined;

  /**
   * @param select names the serializer for these data; always the same ones, because they keep what they asked a
   * registry for. undefined: there is none, a SerializationError.
   * @param part which half of a record the serializers are for, if it matters to them
   */
  constructor(select: (data: T) => Serializer<never> | undefined, part?: RecordPart) {
    this.#select = select;
    this.part = part;
  }

  prepare(topic: string, data: T | null): Promise<void> | undefined {
    return data === null ? undefined : this.#select(data)?.prepare?.(topic, data as never);
  }

  serialize(topic: string, data: T | null, headers?: readonly Header[]): Uint8Array | null {
    if (data === null) return null;
    const serializer = this.#select(data);
    if (serializer === undefined)
      throw cannotSerialize(topic, 'anything known', 'no serializer was selected for it');
    return serializer.serialize(topic, data as never, headers);
  }
}

/** A view on the same bytes with the methods of a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
