import type { DecodeFault } from '../../core/route.ts';
import type { FieldValues } from './field-values.ts';

/** What a decoder can say beforehand about the values of a field. `any`: known only message by message. */
export type FieldType = 'any' | 'number' | 'integer' | 'bool' | 'string' | 'bytes' | 'enum';

export interface FieldInfo {
  readonly type: FieldType;
  /** Of an enum: the names of its values. */
  readonly enumNames?: ReadonlyMap<number, string>;
}

/**
 * Reads the fields that a profile asks for out of a payload; compiled once for a profile. Slot n of the
 * values is the n-th field.
 */
export interface PayloadReader {
  /** The media type of the payloads that it reads. */
  readonly contentType: string;
  readonly fields: readonly FieldInfo[];
  /**
   * Fills every slot of `values`, which may refer to bytes of `payload`. Returns why the payload could not
   * be read; the values are then void. Never throws, keeps nothing. Of a batch it fills in the selected
   * reading.
   */
  read(payload: Buffer, values: FieldValues): DecodeFault | undefined;
  /** Where a payload may hold several readings. */
  readonly batch?: ReadingBatch | undefined;
  /** What `read` last said has come true; see Route.taken. For readers that remember something of a device. */
  taken?(): void;
  /** The reader of one topic, where it matters which. */
  bind?(topic: BoundTopic): PayloadReader;
  /** All of a payload, for a person to look at; remembers nothing. Never throws. */
  inspect?(payload: Buffer): Inspection | DecodeFault;
}

/** A payload as a person looks at it, with what the profile doesn't ask for. */
export interface Inspection {
  /** Plain values: objects, maps, lists, single values, bytes. */
  readonly tree: unknown;
  /** What was taken off or chosen before, from the outside in; e.g. `gzip: 120 bytes inflate to 340`. */
  readonly notes: readonly string[];
}

/** A topic that a profile's pattern matched. */
export interface BoundTopic {
  readonly name: string;
  readonly captures: ReadonlyMap<string, string>;
}

/** More readings than this in one payload are refused: each becomes a record of its own. */
export const MAX_READINGS = 10_000;

/** The readings of a payload: `open`, then any of them by `select` and the reader's `read`, then `close`. */
export interface ReadingBatch {
  /** How many readings the payload holds, also none, or why it can't be read. Keeps it until `close`. Never throws. */
  open(payload: Buffer): number | DecodeFault;
  select(index: number): void;
  /** The selected reading's own bytes, if it can be had without the others. */
  bytes(): Uint8Array | undefined;
  /** A payload that holds the selected reading alone, if one can be made: what it is read from again. */
  alone(): Uint8Array | undefined;
  close(): void;
}

/** A payload that was taken apart. */
export interface Apart<Reading, Rest> {
  readonly readings: readonly Reading[];
  /** What stands beside the readings. */
  readonly rest: Rest;
}

/** The readings of a payload that a reader takes apart all at once. */
export class ListBatch<Reading, Rest> implements ReadingBatch {
  readonly #split: (payload: Buffer) => Apart<Reading, Rest> | DecodeFault;
  readonly #bytes: (reading: Reading) => Uint8Array;
  readonly #alone: (reading: Reading, rest: Rest) => Uint8Array | undefined;
  #apart: Apart<Reading, Rest> | undefined;
  /** undefined before the first {@link select}, and after {@link close}. */
  selected: { readonly reading: Reading; readonly rest: Rest } | undefined;

  constructor(
    split: (payload: Buffer) => Apart<Reading, Rest> | DecodeFault,
    bytes: (reading: Reading) => Uint8Array,
    alone: (reading: Reading, rest: Rest) => Uint8Array | undefined,
  ) {
    this.#split = split;
    this.#bytes = bytes;
    this.#alone = alone;
  }

  open(payload: Buffer): number | DecodeFault {
    const apart = this.#split(payload);
    if ('code' in apart) return apart;
    const { length } = apart.readings;
    if (length > MAX_READINGS) {
      return {
        code: 'BATCH_TOO_LARGE',
        message: `the payload has ${length} readings, more than ${MAX_READINGS}`,
      };
    }
    this.#apart = apart;
    return length;
  }

  select(index: number): void {
    const { readings, rest } = this.#apart as Apart<Reading, Rest>;
    this.selected = { reading: readings[index] as Reading, rest };
  }

  bytes(): Uint8Array | undefined {
    return this.selected && this.#bytes(this.selected.reading);
  }

  alone(): Uint8Array | undefined {
    return this.selected && this.#alone(this.selected.reading, this.selected.rest);
  }

  close(): void {
    this.#apart = undefined;
    this.selected = undefined;
  }
}

/** A field that a payload's schema doesn't have, or that no single value can be read from. */
export interface FieldProblem {
  /** Index of the field that was asked for. */
  readonly field: number;
  readonly found: string;
  readonly expected: string;
}

/*
 * Why a payload becomes a dead letter. The codes are stable: they stand in headers and metrics.
 */

/** The payload has no bytes, where the decoder needs some. */
export const PAYLOAD_EMPTY: DecodeFault = {
  code: 'PAYLOAD_EMPTY',
  message: 'the payload is empty',
};

/** The payload is not what the profile's decoder reads. */
export function decodeFailed(message: string): DecodeFault {
  return { code: 'DECODE_FAILED', message };
}

/** A field without which there is no record is absent. */
export function fieldMissing(what: string, source: string): DecodeFault {
  return { code: 'FIELD_MISSING', message: `no ${what}: ${source} is absent or empty` };
}

/** A field holds a value of a type that can't be what the profile says it is. */
export function fieldType(field: string, found: string, expected: string): DecodeFault {
  return { code: 'FIELD_TYPE', message: `field ${field} holds ${found}, expected ${expected}` };
}

/** A field's value is longer than its limit. */
export function fieldTooLong(what: string, bytes: number, limit: number): DecodeFault {
  return { code: 'FIELD_TOO_LONG', message: `the ${what} has ${bytes} bytes, more than ${limit}` };
}

/** The decoder itself went wrong, whatever the payload was: a fault of Sluice. */
export function decoderError(message: string): DecodeFault {
  return { code: 'DECODER_ERROR', message: `the decoder failed, please report it: ${message}` };
}
