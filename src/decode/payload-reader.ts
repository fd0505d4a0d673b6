import type { DecodeFault } from '../core/route.ts';
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
   * be read; the values are then void. Never throws, keeps nothing.
   */
  read(payload: Buffer, values: FieldValues): DecodeFault | undefined;
}

/** A field that a payload's schema doesn't have, or that no single value can be read from. */
export interface FieldProblem {
  /** Index of the field that was asked for. */
  readonly field: number;
  readonly found: string;
  readonly expected: string;
}
