import type { TopicSchemas } from '../schema-registry/bound-schemas.ts';
import { cannotSerialize } from './serializer.ts';
import type { RecordPart, Serializer } from './serializer.ts';

/**
 * A serializer of data with a schema, which may stand in a registry. `E` is what the schema is made into: one for
 * all topics without a registry, one for each topic with it.
 */
export abstract class RegistrySerializer<T, E> implements Serializer<T> {
  readonly part: RecordPart | undefined;
  readonly #schemas: TopicSchemas<E> | undefined;
  readonly #plain: E | undefined;

  constructor(schemas: TopicSchemas<E> | undefined, plain?: E) {
    this.part = schemas?.part;
    this.#schemas = schemas;
    this.#plain = plain;
  }

  /** The name of the format, for errors. */
  protected abstract formatOf(encoder: E): string;

  /** The bytes of `data`. What it throws becomes the cause of a SerializationError. */
  protected abstract encode(data: T, encoder: E): Uint8Array;

  prepare(topic: string): Promise<void> | undefined {
    return this.#schemas?.prepare(topic);
  }

  serialize(topic: string, data: T | null): Uint8Array | null {
    if (data === null) return null;
    const encoder = this.#schemas === undefined ? (this.#plain as E) : this.#schemas.encoder(topic);
    try {
      return this.encode(data, encoder);
    } catch (error) {
      throw cannotSerialize(topic, this.formatOf(encoder), error);
    }
  }
}
