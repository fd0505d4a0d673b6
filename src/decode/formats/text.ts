import { isUtf8 } from 'node:buffer';
import { RE2JS } from 're2js';
import { errorMessage } from '../../core/errors.ts';
import type { CsvSpec, TextSpec, TextType } from '../../core/profile/decoder-spec.ts';
import type { DecodeFault } from '../../core/route.ts';
import { ValueKind, type FieldValues } from './field-values.ts';
import {
  PAYLOAD_EMPTY,
  ListBatch,
  decodeFailed,
  fieldType,
  type FieldInfo,
  type FieldType,
  type Inspection,
  type PayloadReader,
  type Apart,
} from './payload-reader.ts';
import { problemsOf, type CompiledReader, type PayloadFormat, type PlainPayload } from './payload-format.ts';

/** A format that takes a text apart into columns. */
interface TextFormat {
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
class TextReader implements PayloadReader {
  readonly contentType: string;
  readonly fields: readonly FieldInfo[];
  readonly batch: ListBatch<string, readonly string[]> | undefined;
  readonly #format: TextFormat;
  /** By slot: the column's index. */
  readonly #columns: readonly number[];

  /** `fields` are names of the format's columns. */
  constructor(format: TextFormat, fields: readonly string[]) {
    this.#format = format;
    this.contentType = format.contentType;
    this.#columns = fields.map((field) => format.columns.findIndex(({ name }) => name === field));
    this.fields = this.#columns.map((column) => ({
      type: FIELD_TYPES[format.columns[column]?.type ?? 'text'],
    }));
    if (!format.lines) return;
    this.batch = new ListBatch(
      (payload) => notText(payload) ?? this.#split(payload),
      (line) => Buffer.from(line, 'utf8'),
      (line, header) => Buffer.from([...header, line].join('\n'), 'utf8'),
    );
  }

  read(payload: Buffer, values: FieldValues): DecodeFault | undefined {
    values.clear(payload);
    if (this.batch !== undefined) return this.#take(this.batch.selected?.reading ?? '', values);
    return notText(payload) ?? this.#take(payload.toString('utf8'), values);
  }

  inspect(payload: Buffer): Inspection | DecodeFault {
    const fault = notText(payload);
    if (fault !== undefined) return fault;
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

  #split(payload: Buffer): Apart<string, readonly string[]> {
    const lines = payload.toString('utf8').split(/\r?\n/);
    const { headerLines } = this.#format;
    return {
      rest: lines.slice(0, headerLines),
      readings: lines.slice(headerLines).filter((line) => line.trim() !== ''),
    };
  }
}

function notText(payload: Buffer): DecodeFault | undefined {
  if (payload.length === 0) return PAYLOAD_EMPTY;
  return isUtf8(payload) ? undefined : decodeFailed('not text: invalid UTF-8');
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

/**
 * Comma-separated values (RFC 4180), one reading a line. Text in quotes may hold the separator and doubled
 * quotes, but no line break.
 */
export const csv: PayloadFormat<CsvSpec> = {
  reader({ columns, separator, headerLines }, { fields }) {
    const take = (line: string): readonly string[] | string => {
      const texts = splitLine(line, separator);
      if (typeof texts === 'string' || texts.length === columns.length) return texts;
      return `not the CSV that is expected: ${texts.length} columns instead of ${columns.length}`;
    };
    return compileTextReader({ contentType: 'text/csv', columns, lines: true, headerLines, take }, fields);
  },
  writer: (spec) => (payload) => writeCsv(spec, payload),
};

function compileTextReader(format: TextFormat, fields: readonly string[]): CompiledReader {
  const names = format.columns.map(({ name }) => name);
  const problems = problemsOf(fields, (field) =>
    names.includes(field) ? undefined : `one of ${names.join(', ')}`,
  );
  return problems.length > 0 ? { problems } : { reader: new TextReader(format, fields) };
}

function splitLine(line: string, separator: string): string[] | string {
  const texts: string[] = [];
  let position = 0;
  for (;;) {
    let end: number;
    if (line[position] === '"') {
      let text = '';
      let quote = position;
      for (;;) {
        const next = line.indexOf('"', quote + 1);
        if (next < 0) return 'not CSV: a quote without end';
        text += line.slice(quote + 1, next);
        quote = next;
        if (line[quote + 1] !== '"') break;
        text += '"';
        quote += 1;
      }
      end = quote + 1;
      if (end < line.length && line[end] !== separator) return 'not CSV: text behind a quote';
      texts.push(text);
    } else {
      const next = line.indexOf(separator, position);
      end = next < 0 ? line.length : next;
      texts.push(line.slice(position, end));
    }
    if (end >= line.length) return texts;
    position = end + 1;
  }
}

/** One line of values, in the order of the columns. */
function writeCsv({ columns, separator }: CsvSpec, payload: PlainPayload): Uint8Array {
  const texts = columns.map(({ name }) => {
    const value = payload[name];
    const isSingle = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
    const text = isSingle ? String(value) : '';
    return text.includes(separator) || text.includes('"') ? `"${text.replaceAll('"', '""')}"` : text;
  });
  return Buffer.from(texts.join(separator), 'utf8');
}

/**
 * Text that a pattern takes apart. The patterns are RE2's, by re2js: it looks at each character a bounded number
 * of times, where a JavaScript RegExp can be made to search for hours by a payload.
 */
export const text: PayloadFormat<TextSpec> = {
  reader({ pattern, types, lines }, { fields }) {
    const refuse = (expected: string): CompiledReader => ({
      problems: [{ path: ['decode', 'text', 'pattern'], found: JSON.stringify(pattern), expected }],
    });
    let regex: RE2JS;
    try {
      regex = RE2JS.compile(pattern, RE2JS.DOTALL);
    } catch (error) {
      return refuse(`a regular expression as RE2 knows it: ${errorMessage(error)}`);
    }
    const names = Object.keys(regex.namedGroups());
    if (names.length === 0) return refuse('a regular expression with named groups, (?<name>...)');
    const columns = names.map((name) => ({ name, type: types.get(name) ?? ('number' as const) }));
    const take = (given: string): readonly (string | undefined)[] | string => {
      const matcher = regex.matcher(lines ? given : given.replace(/\r?\n$/, ''));
      if (!matcher.matches()) return 'not the text that the pattern expects';
      return names.map((name) => matcher.group(name) ?? undefined);
    };
    const contentType = 'text/plain; charset=utf-8';
    return compileTextReader({ contentType, columns, lines, headerLines: 0, take }, fields);
  },
};
