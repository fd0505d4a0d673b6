import type { MessageChoice } from '../../core/profile/decoder-spec.ts';
import type { DecodeFault } from '../../core/route.ts';
import { ValueKind, FieldValues } from '../formats/field-values.ts';
import type { ReaderProblem, ReaderRequest } from '../formats/payload-format.ts';
import {
  decodeFailed,
  PAYLOAD_EMPTY,
  type BoundTopic,
  type FieldInfo,
  type FieldProblem,
  type Inspection,
  type PayloadReader,
} from '../formats/payload-reader.ts';
import { compileMessage, compileType, loadMessage, type CompiledMessage } from './message-reader.ts';

/** A field must be in one of the messages at least; in the others it is absent. */
export function compileChoice(
  file: string,
  { by, messages }: MessageChoice,
  { fields, levels }: ReaderRequest,
): CompiledMessage {
  const place = ['decode', 'protobuf', 'message'];
  if ('level' in by && !levels.includes(by.level)) {
    const expected = `a level of the topic pattern: ${levels.map((name) => `{${name}}`).join(', ')}`;
    return { problems: [{ path: [...place, 'level'], found: by.level, expected }] };
  }
  const readers = new Map<string, PayloadReader>();
  const problems: ReaderProblem[] = [];
  /** By field: why it is in none of the messages so far; undefined once it is in one. */
  const missing: (FieldProblem | undefined)[] = fields.map((found, field) => ({
    field,
    found,
    expected: '',
  }));
  for (const [value, message] of messages) {
    const compiled = compileSome(file, message, [...place, 'messages', value], fields, missing);
    if ('problems' in compiled) problems.push(...compiled.problems);
    else readers.set(value, compiled.reader);
  }
  if ([...readers.values()].some(({ batch }) => batch !== undefined)) {
    const field = fields.findIndex((name) => name.includes('[]'));
    const expected = 'no [], because the message is chosen among several';
    problems.push({ field, found: fields[field] as string, expected });
  }
  if (problems.length === 0) problems.push(...missing.filter((problem) => problem !== undefined));
  const chooser = compileChooser(file, by, place);
  if ('problems' in chooser) problems.push(...chooser.problems);
  if (problems.length > 0 || 'problems' in chooser) return { problems };
  const infos = fields.map((_, slot) =>
    mergedInfo([...readers.values()].map((reader) => reader.fields[slot])),
  );
  return { reader: new ChoosingReader(readers, chooser.chooser, infos) };
}

/** Compiles a message for those of the fields that it has. */
function compileSome(
  file: string,
  message: string,
  path: readonly string[],
  fields: readonly string[],
  missing: (FieldProblem | undefined)[],
): CompiledMessage {
  const type = loadMessage(file, message, path);
  if ('problem' in type) return { problems: [type.problem] };
  const known = fields.map((field, index) => {
    const alone = compileType(type, [field]);
    if ('reader' in alone) {
      missing[index] = undefined;
      return field;
    }
    const problem = alone.problems[0];
    if (missing[index] !== undefined && problem !== undefined) missing[index] = { ...problem, field: index };
    return undefined;
  });
  return compileType(type, known);
}

function compileChooser(
  file: string,
  by: MessageChoice['by'],
  place: readonly string[],
): { readonly chooser: Chooser } | { readonly problems: readonly ReaderProblem[] } {
  if (!('field' in by)) return { chooser: by };
  const header = compileMessage(file, by.header, [...place, 'header'], [by.field]);
  if ('problems' in header) {
    return {
      problems: header.problems.map((problem) =>
        'field' in problem ? { ...problem, path: [...place, 'field'] } : problem,
      ),
    };
  }
  return { chooser: { header: header.reader, values: new FieldValues(1) } };
}

/** What can be said of a field of several messages. */
function mergedInfo(infos: readonly (FieldInfo | undefined)[]): FieldInfo {
  const known = infos.filter((info): info is FieldInfo => info !== undefined && info.type !== 'any');
  const [first] = known;
  if (first === undefined || known.some(({ type }) => type !== first.type)) return { type: 'any' };
  const names = known.flatMap(({ enumNames }) => (enumNames === undefined ? [] : [...enumNames]));
  return names.length === 0 ? first : { ...first, enumNames: new Map(names) };
}

/** What tells which message a payload holds; see MessageChoice. */
type Chooser =
  | { readonly level: string }
  | { readonly kind: 'byte' }
  /** Reads the field into slot 0. */
  | { readonly header: PayloadReader; readonly values: FieldValues };

/** Chooses among several readers, message by message, or once for a topic. */
class ChoosingReader implements PayloadReader {
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
      case ValueKind.Text:
        return values.textAt(0);
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
