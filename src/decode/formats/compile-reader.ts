import type { DecoderSpec } from '../../core/profile/decoder-spec.ts';
import { systemClock } from '../../core/clock.ts';
import type { KeyFault } from '../../core/fault.ts';
import type { RouteServices } from '../../core/route.ts';
import { loadAvroSchema } from './avro.ts';
import { CBOR_FORMAT } from './cbor.ts';
import { csvFormat } from './csv.ts';
import { parseFieldPaths, type FieldPaths } from './field-path.ts';
import { JSON_FORMAT } from './json.ts';
import { MSGPACK_FORMAT } from './msgpack.ts';
import type { FieldInfo, FieldProblem, PayloadReader } from './payload-reader.ts';
import { compileProtobufReader } from '../protobuf/protobuf-readers.ts';
import { SharedReaders } from './shared-readers.ts';
import { EdgeNodes } from '../sparkplug/edge-nodes.ts';
import { loadPayloadType, rebirthCommand } from '../sparkplug/message.ts';
import { SPARKPLUG_FIELDS, SparkplugReader } from '../sparkplug/sparkplug-reader.ts';
import { textFormat } from './text-pattern.ts';
import { TextReader, type TextFormat } from './text-reader.ts';
import { thriftFormat } from './thrift.ts';
import { TreeReader, type TreeFormat } from './tree-reader.ts';
import { UnwrappingReader } from './unwrapping-reader.ts';

/** What is wrong with a decoder: with one of the fields that are asked for, or at a key of the profile. */
export type ReaderProblem = FieldProblem | KeyFault;

export type CompiledReader =
  | {
      readonly reader: PayloadReader | undefined;
      /** Of Sparkplug B: what is remembered of edge nodes. */
      readonly edgeNodes?: EdgeNodes;
    }
  | { readonly problems: readonly ReaderProblem[] };

/**
 * Compiles the reader of a profile's payloads for the fields that it names: slot n is the n-th field. No reader:
 * the payload isn't read. `levels` are the names of the topic pattern; `edgeNodes` is what an earlier reader of
 * Sparkplug B remembers; `shared` has the readers of other profiles. Never throws.
 */
export function compileReader(
  decode: DecoderSpec,
  fields: readonly string[],
  levels: readonly string[],
  services: RouteServices = {},
  edgeNodes?: EdgeNodes,
  shared = new SharedReaders(),
): CompiledReader {
  const compiled = compileFormat(decode, fields, levels, services, edgeNodes, shared);
  const { compression, framing } = decode;
  if ('problems' in compiled || (compression === undefined && framing === undefined)) return compiled;
  if (compiled.reader === undefined) {
    const expected = 'neither compression nor framing, because `raw` reads nothing';
    return { problems: [{ path: ['decode'], found: compression ?? framing ?? '', expected }] };
  }
  return { ...compiled, reader: new UnwrappingReader(compiled.reader, decode, decode.kind === 'protobuf') };
}

function compileFormat(
  decode: DecoderSpec,
  fields: readonly string[],
  levels: readonly string[],
  services: RouteServices,
  edgeNodes: EdgeNodes | undefined,
  shared: SharedReaders,
): CompiledReader {
  switch (decode.kind) {
    case 'raw': {
      const expected = 'no fields, because `decode: raw` reads nothing';
      const problems = fields.map((found, field) => ({ field, found, expected }));
      return problems.length > 0 ? { problems } : { reader: undefined };
    }
    case 'json':
      return treeReader(JSON_FORMAT, fields);
    case 'cbor':
      return treeReader(CBOR_FORMAT, fields);
    case 'msgpack':
      return treeReader(MSGPACK_FORMAT, fields);
    case 'thrift':
      return treeReader(thriftFormat(decode.protocol), fields);
    case 'avro': {
      const loaded = loadAvroSchema(decode.file);
      if ('schema' in loaded) return treeReader(loaded.schema.format, fields, loaded.schema.field);
      const path = ['decode', 'avro', 'file'];
      return { problems: [{ path, found: loaded.problem, expected: 'an Avro schema' }] };
    }
    case 'csv':
      return textReader(csvFormat(decode), fields);
    case 'text': {
      const compiled = textFormat(decode);
      if ('format' in compiled) return textReader(compiled.format, fields);
      const found = JSON.stringify(decode.pattern);
      return { problems: [{ path: ['decode', 'text', 'pattern'], found, expected: compiled.problem }] };
    }
    case 'protobuf':
      return compileProtobufReader(decode, fields, levels, shared);
    case 'sparkplug':
      return sparkplugReader(fields, services, edgeNodes);
  }
}

/** Any name may be a metric's; those that begin with `$` are ours. */
function sparkplugReader(
  fields: readonly string[],
  services: RouteServices,
  known: EdgeNodes | undefined,
): CompiledReader {
  const own = Object.keys(SPARKPLUG_FIELDS);
  const problems = fields.flatMap((found, field) =>
    found.startsWith('$') && !own.includes(found)
      ? [{ field, found, expected: `a metric's name, or one of ${own.join(', ')}` }]
      : [],
  );
  if (problems.length > 0) return { problems };
  const type = loadPayloadType();
  const { commands, clock = systemClock } = services;
  const nodes =
    known ??
    new EdgeNodes(
      (group, node) =>
        commands?.publish(`spBv1.0/${group}/NCMD/${node}`, rebirthCommand(type, clock.wallMs())),
      () => clock.monotonicMs(),
    );
  return { reader: new SparkplugReader(fields, type, nodes), edgeNodes: nodes };
}

type FieldOf = (
  keys: FieldPaths['paths'][number]['keys'],
  inner: readonly string[] | undefined,
) => FieldInfo | string;

function treeReader(format: TreeFormat, fields: readonly string[], fieldOf?: FieldOf): CompiledReader {
  const { paths, problems } = parseFieldPaths(fields);
  if (problems.length > 0) return { problems };
  if (fieldOf === undefined) return { reader: new TreeReader(format, paths) };
  const infos = paths.paths.map(({ keys, inner }) => fieldOf(keys, inner));
  const unknown = infos.flatMap((info, field) =>
    typeof info === 'string' ? [{ field, found: fields[field] as string, expected: info }] : [],
  );
  if (unknown.length > 0) return { problems: unknown };
  return { reader: new TreeReader(format, paths, { fields: infos as FieldInfo[] }) };
}

function textReader(format: TextFormat, fields: readonly string[]): CompiledReader {
  const names = format.columns.map(({ name }) => name);
  const problems = fields.flatMap((found, field) =>
    names.includes(found) ? [] : [{ field, found, expected: `one of ${names.join(', ')}` }],
  );
  return problems.length > 0 ? { problems } : { reader: new TextReader(format, fields) };
}
