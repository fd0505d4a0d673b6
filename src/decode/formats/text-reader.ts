import { isUtf8 } from 'node:buffer';
import type { TextType } from '../../core/profile/decoder-spec.ts';
import type { DecodeFault } from '../../core/route.ts';
import { decodeFailed, fieldType, PAYLOAD_EMPTY, tooManyReadings } from './decode-fault.ts';
import { ValueKind, type FieldValues } from './field-values.ts';
import {
  MAX_READINGS,
  type FieldInfo,
  type FieldType,
  type Inspection,
  type PayloadReader,
  type ReadingBatch,
} from './payload-reader.ts';

/** A format that takes a text apart into columns. */
export interface TextFormat {
  readonly contentType: string;
  readonly columns: readonly { readonly name: string; readonly type: TextType }[];
  /** Whether each line is a reading; else the whole payload is. */
  readonly lines: boolean;
  /** Lines that come first and are no readings. */
  readonly headerLines: number;
  /** The columns' texts, undefined for one that has none; or what is wrong with the text. Never throws. */
  take(text: string): readonly (string | undefined)[] | string;
}

const FIELD_TYPES: Readonly<Record<TextType, FieldType>> = {
  number: 'number',
  integer: 'integer',
  bool: 'bool',
  text: 'string',
};

/** Reads text whose columns are the fields. An empty column counts as absent. */
export class TextReader implements PayloadReader {
  readonly contentType: string;
  readonly fields: readonly FieldInfo[];
  readonly batch: ReadingBatch | undefined;
  readonly #format: TextFormat;
  /** By slot: the column's index. */
  readonly #columns: readonly number[];
  #header: readonly string[] = [];
  #lines: readonly string[] = [];
  #selected: string | undefined;

  /** `fields` are names of the format's columns. */
  constructor(format: TextFormat, fields: readonly string[]) {
    this.#format = format;
    this.contentType = format.contentType;
    this.#columns = fields.map((field) => format.columns.findIndex(({ name }) => name === field));
    this.fields = this.#columns.map((column) => ({
      type: FIELD_TYPES[format.columns[column]?.type ?? 'text'],
    }));
    if (format.lines) this.batch = this.#batch();
  }

  read(payload: Buffer, values: FieldValues): DecodeFault | undefined {
    values.clear(payload);
    if (this.#format.lines) return this.#take(this.#selected ?? '', values);
    if (payload.length === 0) return PAYLOAD_EMPTY;
    if (!isUtf8(payload)) return decodeFailed('not text: invalid UTF-8');
    return this.#take(payload.toString('utf8'), values);
  }

  inspect(payload: Buffer): Inspection | DecodeFault {
    if (payload.length === 0) return PAYLOAD_EMPTY;
    if (!isUtf8(payload)) return decodeFailed('not text: invalid UTF-8');
    const { lines, columns } = this.#format;
    const texts = lines ? this.#split(payload).readings : [payload.toString('utf8')];
    const tree = texts.map((text) => {
      const taken = this.#format.take(text);
      if (typeof taken === 'string') return text;
      return Object.fromEntries(columns.map(({ name }, index) => [name, taken[index]]));
    });
    return { tree: lines ? tree : tree[0], notes: [this.#format.contentType] };
  }

  #take(text: string, values: FieldValues): DecodeFault | undefined {
    const texts = this.#format.take(text);
    if (typeof texts === 'string') return decodeFailed(texts);
    for (const [slot, column] of this.#columns.entries()) {
      const fault = this.#put(values, slot, column, texts[column]);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #put(values: FieldValues, slot: number, column: number, text: string | undefined): DecodeFault | undefined {
    if (text === undefined || text === '') return undefined;
    const { type, name } = this.#format.columns[column] as TextFormat['columns'][number];
    const problem = putText(values, slot, type, text);
    return problem === undefined ? undefined : fieldType(name, JSON.stringify(text.slice(0, 40)), problem);
  }

  #split(payload: Buffer): { readonly header: string[]; readonly readings: string[] } {
    const lines = payload.toString('utf8').split(/\r?\n/);
    const { headerLines } = this.#format;
    return {
      header: lines.slice(0, headerLines),
      readings: lines.slice(headerLines).filter((line) => line.trim() !== ''),
    };
  }

  #batch(): ReadingBatch {
    return {
      open: (payload) => {
        if (payload.length === 0) return PAYLOAD_EMPTY;
        if (!isUtf8(payload)) return decodeFailed('not text: invalid UTF-8');
        const { header, readings } = this.#split(payload);
        if (readings.length > MAX_READINGS) return tooManyReadings(readings.length, MAX_READINGS);
        this.#header = header;
        this.#lines = readings;
        return readings.length;
      },
      select: (index) => {
        this.#selected = this.#lines[index];
      },
      bytes: () => (this.#selected === undefined ? undefined : Buffer.from(this.#selected, 'utf8')),
      alone: () =>
        this.#selected === undefined
          ? undefined
          : Buffer.from([...this.#header, this.#selected].join('\n'), 'utf8'),
      close: () => {
        this.#header = [];
        this.#lines = [];
        this.#selected = undefined;
      },
    };
  }
}

const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?$/;
const INTEGER = /^[+-]?\d{1,20}$/;
const TRUE = /^(?:true|yes|on|1)$/i;
const FALSE = /^(?:false|no|off|0)$/i;

/** Puts what a text stands for into a slot. Returns what was expected if it doesn't. */
function putText(values: FieldValues, slot: number, type: TextType, text: string): string | undefined {
  if (type === 'text') {
    values.kind[slot] = ValueKind.Text;
    values.text[slot] = text;
    return undefined;
  }
  const word = text.trim();
  if (word === '') return undefined;
  if (type === 'number') {
    if (!NUMBER.test(word)) return 'a number';
    values.kind[slot] = ValueKind.Double;
    values.double[slot] = Number(word);
    return undefined;
  }
  if (type === 'bool') {
    const isTrue = TRUE.test(word);
    if (!isTrue && !FALSE.test(word)) return 'true or false, on or off, 1 or 0';
    values.kind[slot] = ValueKind.Bool;
    values.low[slot] = isTrue ? 1 : 0;
    return undefined;
  }
  return INTEGER.test(word) && values.setInteger(slot, BigInt(word.replace('+', '')))
    ? undefined
    : 'an integer of 64 bits';
}
