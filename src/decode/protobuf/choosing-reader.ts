import type { DecodeFault } from '../../core/route.ts';
import { decodeFailed, PAYLOAD_EMPTY } from '../formats/decode-fault.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';
import type { BoundTopic, FieldInfo, Inspection, PayloadReader } from '../formats/payload-reader.ts';

/** What tells which message a payload holds; see MessageChoice. */
export type Chooser =
  | { readonly level: string }
  | { readonly kind: 'byte' }
  /** Reads the field into slot 0. */
  | { readonly header: PayloadReader; readonly values: FieldValues };

/** Chooses among several readers, message by message, or once for a topic. */
export class ChoosingReader implements PayloadReader {
  readonly contentType = 'application/protobuf';
  readonly fields: readonly FieldInfo[];
  readonly #readers: ReadonlyMap<string, PayloadReader>;
  readonly #chooser: Chooser;

  constructor(readers: ReadonlyMap<string, PayloadReader>, chooser: Chooser, fields: readonly FieldInfo[]) {
    this.#readers = readers;
    this.#chooser = chooser;
    this.fields = fields;
  }

  bind({ captures }: BoundTopic): PayloadReader {
    if (!('level' in this.#chooser)) return this;
    const { level } = this.#chooser;
    const value = captures.get(level) ?? '';
    return this.#readers.get(value) ?? this.#nothingFor(`topic level ${level}`, value);
  }

  read(payload: Buffer, values: FieldValues): DecodeFault | undefined {
    const reader = this.#readerOf(payload);
    return 'code' in reader ? reader : reader.read(this.#message(payload), values);
  }

  inspect(payload: Buffer): Inspection | DecodeFault {
    const reader = this.#readerOf(payload);
    if ('code' in reader) return reader;
    return reader.inspect?.(this.#message(payload)) ?? { tree: undefined, notes: [] };
  }

  #readerOf(payload: Buffer): PayloadReader | DecodeFault {
    if (payload.length === 0) return PAYLOAD_EMPTY;
    const chooser = this.#chooser;
    if ('kind' in chooser) {
      const value = String(payload[0]);
      return this.#readers.get(value) ?? this.#nothingFor('the first byte', value);
    }
    if ('level' in chooser) return decodeFailed('no topic says which message this is');
    const fault = chooser.header.read(payload, chooser.values);
    if (fault !== undefined) return fault;
    const value = this.#chosen(chooser.values, chooser.header);
    return this.#readers.get(value) ?? this.#nothingFor('the header', value);
  }

  /** What of the payload is the message. */
  #message(payload: Buffer): Buffer {
    return 'kind' in this.#chooser ? payload.subarray(1) : payload;
  }

  #chosen(values: FieldValues, header: PayloadReader): string {
    switch (values.kind[0]) {
      case ValueKind.Int:
      case ValueKind.Uint: {
        const name = header.fields[0]?.enumNames?.get(values.low[0] as number);
        return name ?? String(values.integerAsBigInt(0));
      }
      case ValueKind.Utf8:
        return values.source.toString('utf8', values.start[0], values.end[0]);
      case ValueKind.Text:
        return values.text[0] as string;
      case ValueKind.Bool:
        return values.low[0] === 1 ? 'true' : 'false';
      default:
        return '';
    }
  }

  #nothingFor(what: string, value: string): PayloadReader {
    const fault = decodeFailed(
      `${what} is ${JSON.stringify(value.slice(0, 60))}: no message is named for that`,
    );
    return { contentType: this.contentType, fields: this.fields, read: () => fault, inspect: () => fault };
  }
}
