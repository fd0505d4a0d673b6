import type { DecodeFault } from '../../core/route.ts';
import { fieldType } from './decode-fault.ts';
import { ValueKind, type FieldValues } from './field-values.ts';

/** Puts plain values into slots: numbers, bigints, strings, booleans, bytes, dates; null and undefined are absent. */
export class PlainValues {
  /** Bytes that a library took out of the payload, or made. */
  #scratch = Buffer.alloc(0);
  #used = 0;

  /** Begins a reading. */
  begin(): void {
    this.#used = 0;
  }

  /** Ends a reading: bytes that were put are where the values look for them. */
  end(values: FieldValues): void {
    if (this.#used > 0) values.source = this.#scratch;
  }

  /**
   * A number is a double, so that a metric's type doesn't change with its value, except where `isInteger` says
   * otherwise, or where a double would not be exact. Returns what is wrong with a value that is no single one.
   */
  put(
    values: FieldValues,
    slot: number,
    path: string,
    value: unknown,
    isInteger: boolean,
  ): DecodeFault | undefined {
    switch (typeof value) {
      case 'number':
        if (isInteger && Number.isSafeInteger(value)) values.setInteger(slot, BigInt(value));
        else putDouble(values, slot, value);
        return undefined;
      case 'bigint':
        if (!isInteger && Number.isSafeInteger(Number(value))) putDouble(values, slot, Number(value));
        else if (!values.setInteger(slot, value)) {
          return fieldType(path, 'an integer of more than 64 bits', 'one of 64 bits');
        }
        return undefined;
      case 'boolean':
        values.kind[slot] = ValueKind.Bool;
        values.low[slot] = value ? 1 : 0;
        return undefined;
      case 'string':
        if (!value.isWellFormed()) return fieldType(path, 'a lone surrogate', 'text of valid Unicode');
        values.kind[slot] = ValueKind.Text;
        values.text[slot] = value;
        return undefined;
      default:
        if (value === null || value === undefined) return undefined;
        if (value instanceof Uint8Array) this.#putBytes(values, slot, value);
        else if (value instanceof Date) putDouble(values, slot, value.getTime());
        else return fieldType(path, Array.isArray(value) ? 'an array' : 'an object', 'a single value');
        return undefined;
    }
  }

  #putBytes(values: FieldValues, slot: number, bytes: Uint8Array): void {
    const start = this.#used;
    const end = start + bytes.length;
    if (end > this.#scratch.length) {
      const larger = Buffer.allocUnsafeSlow(2 * end);
      this.#scratch.copy(larger, 0, 0, start);
      this.#scratch = larger;
    }
    this.#scratch.set(bytes, start);
    this.#used = end;
    values.kind[slot] = ValueKind.Bytes;
    values.start[slot] = start;
    values.end[slot] = end;
  }
}

function putDouble(values: FieldValues, slot: number, value: number): void {
  values.kind[slot] = ValueKind.Double;
  values.double[slot] = value;
}
