import type { Header } from '../../core/record.ts';

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
