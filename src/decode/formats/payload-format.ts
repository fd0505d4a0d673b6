import type { KeyFault } from '../../core/fault.ts';
import type { RouteServices } from '../../core/route.ts';
import type { EdgeNodes } from '../sparkplug/edge-nodes.ts';
import { FieldValues } from './field-values.ts';
import type { FieldProblem, PayloadReader } from './payload-reader.ts';

/** A payload as plain data: fields under their names, values that are numbers, bigints, text, bytes, lists, objects. */
export type PlainPayload = Readonly<Record<string, unknown>>;

/** A format of payloads, with what a profile may say about it. decode/decoders.ts has a row for each. */
export interface PayloadFormat<Spec> {
  /** Compiles the reader of a profile's payloads. Never throws. */
  reader(spec: Spec, request: ReaderRequest): CompiledReader;
  /**
   * Writes payloads as a device would send them, for simulated devices and tests; left out or undefined: they can only
   * be read here. Throws SchemaError for a schema that can't be used.
   */
  writer?(spec: Spec): PayloadWriter | undefined;
  /**
   * The files that the schema is made of, as absolute paths: what to look at for changes. Of a schema that is broken as
   * many as can be found. Never throws.
   */
  files?(spec: Spec): readonly string[];
}

export type PayloadWriter = (payload: PlainPayload) => Uint8Array;

/** What a profile asks of its payloads' reader. */
export interface ReaderRequest {
  /** Slot n is the n-th field. */
  readonly fields: readonly string[];
  /** The names of the topic pattern. */
  readonly levels: readonly string[];
  readonly services?: RouteServices;
  /** What an earlier reader of Sparkplug B remembers. */
  readonly edgeNodes?: EdgeNodes | undefined;
  /** The readers of other profiles. */
  readonly shared?: SharedReaders;
}

/** What is wrong with a decoder: with one of the fields that are asked for, or at a key of the profile. */
export type ReaderProblem = FieldProblem | KeyFault;

export type CompiledReader =
  | {
      /** undefined: the payload isn't read. */
      readonly reader: PayloadReader | undefined;
      /** Of Sparkplug B: what is remembered of edge nodes. */
      readonly edgeNodes?: EdgeNodes;
    }
  | { readonly problems: readonly ReaderProblem[] };

/** A problem for each field of which something is expected. */
export function problemsOf(
  fields: readonly string[],
  expected: (field: string) => string | undefined,
): FieldProblem[] {
  return fields.flatMap((found, field) => {
    const wanted = expected(found);
    return wanted === undefined ? [] : [{ field, found, expected: wanted }];
  });
}

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
