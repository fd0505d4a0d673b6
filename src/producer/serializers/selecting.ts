import type { Header } from '../../core/record.ts';
import { cannotSerialize } from './errors.ts';
import type { RecordPart, Serializer } from './serializer.ts';

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
