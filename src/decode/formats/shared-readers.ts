import { FieldValues } from './field-values.ts';
import type { PayloadReader } from './payload-reader.ts';

/**
 * Readers that several profiles of a set use together: those of profiles that ask the same fields of the same
 * message. One publication is read at a time, so that one reader and one set of slots do for all of them. A schema
 * is then loaded once; and of readers of their own nothing would be in the processor's cache: 1,000 profiles with
 * 10,000 messages a second cost 17.3 us of CPU a message in place of 21.6 (one profile 16.9; docs/performance.md).
 */
export class SharedReaders {
  readonly #readers = new Map<string, PayloadReader>();
  readonly #values = new Map<PayloadReader, FieldValues[]>();

  /**
   * The reader of `message` in `file` for these fields, if there is one. Only for readers that keep nothing from one
   * call to the next, and know of no batches or topics.
   */
  find(file: string, message: string, fields: readonly string[]): PayloadReader | undefined {
    return this.#readers.get(keyOf(file, message, fields));
  }

  add(file: string, message: string, fields: readonly string[], reader: PayloadReader): void {
    this.#readers.set(keyOf(file, message, fields), reader);
    this.#values.set(reader, []);
  }

  /** What a profile's reader fills: with `size` slots, its own and those of what is made of them. */
  values(reader: PayloadReader | undefined, size: number): FieldValues {
    const shared = reader && this.#values.get(reader);
    if (shared === undefined) return new FieldValues(size);
    return (shared[size] ??= new FieldValues(size));
  }
}

function keyOf(file: string, message: string, fields: readonly string[]): string {
  return JSON.stringify([file, message, ...fields]);
}
