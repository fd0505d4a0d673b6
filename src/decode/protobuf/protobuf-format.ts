import type { ProtobufSpec } from '../../core/profile/decoder-spec.ts';
import type { PayloadFormat, ReaderRequest } from '../formats/payload-format.ts';
import { DelimitedReader } from './delimited-reader.ts';
import { compileChoice } from './message-choice.ts';
import { compileMessage, type CompiledMessage } from './message-reader.ts';
import { loadMessageType, protoFiles } from './message-type.ts';
import { ProtobufReader } from './protobuf-reader.ts';

/** Protobuf: one message, one of several, or any number behind each other. */
export const protobuf: PayloadFormat<ProtobufSpec> = {
  reader(spec, request) {
    const { message, file } = spec;
    const compiled =
      typeof message === 'string'
        ? compileOnce(file, message, request)
        : compileChoice(file, message, request);
    if ('problems' in compiled || spec.delimited !== true) return compiled;
    if (compiled.reader.batch === undefined) return { reader: new DelimitedReader(compiled.reader) };
    const path = ['decode', 'protobuf', 'delimited'];
    return { problems: [{ path, found: 'true', expected: 'false, because a field has []' }] };
  },
  writer({ file, message, delimited }) {
    if (typeof message !== 'string' || delimited === true) return undefined;
    const type = loadMessageType(file, message);
    return (payload) => type.encode(payload);
  },
  files: ({ file }) => protoFiles(file),
};

/** The only message of a profile, unless another profile has the same reader. */
function compileOnce(file: string, message: string, { fields, shared }: ReaderRequest): CompiledMessage {
  const known = shared?.find(file, message, fields);
  if (known !== undefined) return { reader: known };
  const compiled = compileMessage(file, message, ['decode', 'protobuf', 'message'], fields);
  // The one by way of protobufjs keeps a message while its readings are gone through.
  if ('reader' in compiled && compiled.reader instanceof ProtobufReader) {
    shared?.add(file, message, fields, compiled.reader);
  }
  return compiled;
}
