import type { DecoderSpec, FormatSpec } from '../core/profile/decoder-spec.ts';
import { avro } from './formats/avro.ts';
import { cbor } from './formats/cbor.ts';
import { json } from './formats/json.ts';
import { msgpack } from './formats/msgpack.ts';
import {
  problemsOf,
  type CompiledReader,
  type PayloadFormat,
  type PayloadWriter,
  type ReaderRequest,
} from './formats/payload-format.ts';
import { csv, text } from './formats/text.ts';
import { thrift } from './formats/thrift.ts';
import { compressionOf, UnwrappingReader } from './formats/unwrapping-reader.ts';
import { protobuf } from './protobuf/protobuf-format.ts';
import { sparkplug } from './sparkplug/sparkplug-reader.ts';

/** The payload goes to Kafka as it is. */
const raw: PayloadFormat<unknown> = {
  reader(_spec, { fields }) {
    const problems = problemsOf(fields, () => 'no fields, because `decode: raw` reads nothing');
    return problems.length > 0 ? { problems } : { reader: undefined };
  },
};

/** What a profile can name as `decode`, a row each. */
const FORMATS: {
  readonly [Kind in FormatSpec['kind']]: PayloadFormat<FormatSpec & { readonly kind: Kind }>;
} = { json, cbor, msgpack, protobuf, avro, thrift, csv, text, sparkplug, raw };

/** The row of a decoder: it takes specifications of its own kind alone. */
function formatOf({ kind }: FormatSpec): PayloadFormat<FormatSpec> {
  return FORMATS[kind];
}

/** Compiles the reader of a profile's payloads: takes off what they are wrapped in, then reads their format. Never throws. */
export function compileReader(decode: DecoderSpec, request: ReaderRequest): CompiledReader {
  const compiled = formatOf(decode).reader(decode, request);
  const { compression, framing } = decode;
  if ('problems' in compiled || (compression === undefined && framing === undefined)) return compiled;
  if (compiled.reader === undefined) {
    const expected = 'neither compression nor framing, because `raw` reads nothing';
    return { problems: [{ path: ['decode'], found: compression ?? framing ?? '', expected }] };
  }
  return { ...compiled, reader: new UnwrappingReader(compiled.reader, decode, decode.kind === 'protobuf') };
}

/** Writes payloads as a device of the profile would send them; see {@link PayloadFormat.writer}. */
export function payloadWriter(decode: DecoderSpec): PayloadWriter | undefined {
  const write = decode.framing === undefined ? formatOf(decode).writer?.(decode) : undefined;
  const compress = compressionOf(decode)?.compress;
  if (write === undefined || compress === undefined) return write;
  return (payload) => compress(write(payload));
}

/** The files that a profile's schema is made of; see {@link PayloadFormat.files}. */
export function schemaFiles(decode: DecoderSpec): readonly string[] {
  return formatOf(decode).files?.(decode) ?? [];
}
