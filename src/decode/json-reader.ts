import { isAscii, isUtf8 } from 'node:buffer';
import { errorMessage } from '../core/errors.ts';
import type { DecodeFault } from '../core/route.ts';
import { decodeFailed, fieldType, PAYLOAD_EMPTY } from './decode-fault.ts';
import { ValueKind, type FieldValues } from './field-values.ts';
import type { FieldInfo, PayloadReader } from './payload-reader.ts';

/**
 * Reads JSON objects (RFC 8259). A field's path has dots for nested objects, and an array's index as a
 * number: `position.lat`, `sensors.0.value`. Every number is a double, so that a metric's type doesn't
 * change with its value; null counts as absent. Depth needs no limit: V8 parses without recursion, and only
 * the profile's paths are followed.
 */
export class JsonReader implements PayloadReader {
  readonly contentType = 'application/json';
  readonly fields: readonly FieldInfo[];
  readonly #paths: readonly { readonly text: string; readonly keys: readonly string[] }[];

  constructor(paths: readonly string[]) {
    this.fields = paths.map(() => ({ type: 'any' }));
    this.#paths = paths.map((text) => ({ text, keys: text.split('.') }));
  }

  read(payload: Buffer, values: FieldValues): DecodeFault | undefined {
    if (payload.length === 0) return PAYLOAD_EMPTY;
    let text: string;
    // A string of Latin-1 is made and parsed faster than one that has been through a UTF-8 decoder, which
    // would also hide invalid bytes behind U+FFFD.
    if (isAscii(payload)) text = payload.toString('latin1');
    else if (isUtf8(payload)) text = payload.toString('utf8');
    else return decodeFailed('not JSON: invalid UTF-8');

    let root: unknown;
    try {
      root = JSON.parse(text);
    } catch (error) {
      return decodeFailed(`not JSON: ${shortened(errorMessage(error))}`);
    }
    if (typeof root !== 'object' || root === null) return decodeFailed('not a JSON object');

    for (const [slot, path] of this.#paths.entries()) {
      let value: unknown = root;
      for (const key of path.keys) value = member(value, key);
      const fault = store(values, slot, path.text, value);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }
}

const INDEX = /^(0|[1-9]\d*)$/;

/** Own members only: `constructor` is no field of a payload. */
function member(owner: unknown, key: string): unknown {
  if (typeof owner !== 'object' || owner === null || !Object.hasOwn(owner, key)) return undefined;
  if (Array.isArray(owner) && !INDEX.test(key)) return undefined;
  return (owner as Record<string, unknown>)[key];
}

function store(values: FieldValues, slot: number, path: string, value: unknown): DecodeFault | undefined {
  switch (typeof value) {
    case 'number':
      values.kind[slot] = ValueKind.Double;
      values.double[slot] = value;
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
      values.kind[slot] = ValueKind.Absent;
      if (value === null || value === undefined) return undefined;
      return fieldType(path, Array.isArray(value) ? 'an array' : 'an object', 'a single value');
  }
}

/** V8 quotes the payload in its message; a header needs no more than its beginning. */
function shortened(message: string): string {
  return message.length > 200 ? `${message.slice(0, 199)}…` : message;
}
