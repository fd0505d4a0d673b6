import { ValueKind, type FieldValues } from '../../src/decode/formats/field-values.ts';

export type PlainValue = number | bigint | boolean | string | Uint8Array | undefined;

/** What a slot holds, as a plain value: integers as bigint, undefined where it is absent. */
export function plainValue(values: FieldValues, slot: number): PlainValue {
  switch (values.kind[slot]) {
    case ValueKind.Double:
      return values.double[slot];
    case ValueKind.Int:
    case ValueKind.Uint:
      return values.integerAsBigInt(slot);
    case ValueKind.Bool:
      return values.low[slot] === 1;
    case ValueKind.Utf8:
      return values.source.toString('utf8', values.start[slot], values.end[slot]);
    case ValueKind.Text:
      return values.text[slot];
    case ValueKind.Bytes:
      return Uint8Array.from(values.source.subarray(values.start[slot], values.end[slot]));
    default:
      return undefined;
  }
}
