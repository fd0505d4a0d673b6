import type { MessageChoice, ProtobufSpec } from '../../core/profile/decoder-spec.ts';
import { ChoosingReader, type Chooser } from './choosing-reader.ts';
import type { CompiledReader, ReaderProblem } from '../formats/compile-reader.ts';
import { DelimitedReader } from './delimited-reader.ts';
import { parseFieldPaths, type FieldPaths } from '../formats/field-path.ts';
import { FieldValues } from '../formats/field-values.ts';
import type { FieldInfo, FieldProblem, PayloadReader } from '../formats/payload-reader.ts';
import { loadMessageType, SchemaError, type MessageType } from './protobuf.ts';
import { compileMessagePlan } from './protobuf-plan.ts';
import { ProtobufReader } from './protobuf-reader.ts';
import type { SharedReaders } from '../formats/shared-readers.ts';
import { resolveTreeField, type TreeField } from './protobuf-tree.ts';
import { TreeReader } from '../formats/tree-reader.ts';

/** The readers of protobuf payloads: of one message, of one of several, and of any number behind each other. */
export function compileProtobufReader(
  spec: ProtobufSpec,
  fields: readonly string[],
  levels: readonly string[],
  shared: SharedReaders,
): CompiledReader {
  const { message } = spec;
  const compiled =
    typeof message === 'string'
      ? compileOnce(spec.file, message, fields, shared)
      : compileChoice(spec.file, message, fields, levels);
  if ('problems' in compiled || spec.delimited !== true) return compiled;
  if (compiled.reader.batch !== undefined) {
    const problem = {
      path: ['decode', 'protobuf', 'delimited'],
      found: 'true',
      expected: 'false, because a field has []',
    };
    return { problems: [problem] };
  }
  return { reader: new DelimitedReader(compiled.reader) };
}

type CompiledMessage = { readonly reader: PayloadReader } | { readonly problems: readonly ReaderProblem[] };

/** The only message of a profile, unless another profile has the same reader. */
function compileOnce(
  file: string,
  message: string,
  fields: readonly string[],
  shared: SharedReaders,
): CompiledMessage {
  const known = shared.find(file, message, fields);
  if (known !== undefined) return { reader: known };
  const compiled = compileMessage(file, message, ['decode', 'protobuf', 'message'], fields);
  // The one by way of protobufjs keeps a message while its readings are gone through.
  if ('reader' in compiled && compiled.reader instanceof ProtobufReader) {
    shared.add(file, message, fields, compiled.reader);
  }
  return compiled;
}

/** `fields` that are undefined are not in the message, which is one of several. */
function compileMessage(
  file: string,
  message: string,
  path: readonly string[],
  fields: readonly (string | undefined)[],
): CompiledMessage {
  const type = load(file, message, path);
  return 'problem' in type ? { problems: [type.problem] } : compileType(type, fields);
}

function load(
  file: string,
  message: string,
  path: readonly string[],
): MessageType | { readonly problem: ReaderProblem } {
  try {
    return loadMessageType(file, message);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    const { part, found, expected } = error;
    return { problem: { path: part === 'file' ? ['decode', 'protobuf', 'file'] : path, found, expected } };
  }
}

/**
 * The specialised reader knows fields with single values. Elements of repeated fields and maps, fields of groups,
 * and Timestamps are read by way of protobufjs' message object, at several times the cost.
 */
function compileType(type: MessageType, fields: readonly (string | undefined)[]): CompiledMessage {
  const planned = compileMessagePlan(type.schema, fields);
  if ('plan' in planned)
    return { reader: new ProtobufReader(planned.plan, planned.fields, (bytes) => type.decode(bytes)) };
  const asked = fields.map((field) => field ?? '$');
  const { paths, problems } = parseFieldPaths(asked);
  if (problems.length > 0) return { problems };
  const resolved = paths.paths.map(({ keys, inner }, index) =>
    fields[index] === undefined ? ABSENT : resolveTreeField(type.schema, keys, inner),
  );
  const found = resolved.some((field) => typeof field === 'string')
    ? planned.problems.map((problem) => betterProblem(problem, fields, resolved))
    : [];
  const real = found.filter((problem) => problem !== undefined);
  if (real.length > 0) return { problems: real };
  return { reader: treeReader(type, paths, resolved as TreeField[]) };
}

const ABSENT: TreeField = { info: { type: 'any' }, zero: undefined, convert: () => undefined };

/** What the tree can't read either. */
function betterProblem(
  problem: FieldProblem,
  fields: readonly (string | undefined)[],
  resolved: readonly (TreeField | string)[],
): FieldProblem | undefined {
  const expected = resolved[problem.field];
  if (typeof expected !== 'string') return undefined;
  // The specialised reader goes no further than a list or a map, which is not what is wrong with the path.
  if (!/, which is (a map|repeated)$/.test(problem.found)) return problem;
  return { ...problem, found: fields[problem.field] ?? problem.found, expected };
}

function treeReader(type: MessageType, paths: FieldPaths, fields: readonly TreeField[]): TreeReader {
  return new TreeReader(
    {
      name: type.name,
      contentType: `application/protobuf; proto=${type.name}`,
      parse: (payload) => type.decode(payload),
      // One element alone is another message, or none at all: as a raw value it is JSON.
      write: (value) => Buffer.from(JSON.stringify(value ?? null, plain), 'utf8'),
      readsItsOwn: false,
    },
    paths,
    { fields: fields.map(({ info }) => info), conversions: fields, emptyListIsAbsent: true },
  );
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

/** A field must be in one of the messages at least; in the others it is absent. */
function compileChoice(
  file: string,
  { by, messages }: MessageChoice,
  fields: readonly string[],
  levels: readonly string[],
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
  const type = load(file, message, path);
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
