import { z } from 'zod';
import {
  COMPRESSIONS,
  TEXT_TYPES,
  type CsvSpec,
  type DecoderSpec,
  type MessageChoice,
  type TextType,
} from '../../core/profile/decoder-spec.ts';
import { boolean, choice, integer, list, path, section, text, type InProgramTerms } from '../key.ts';

/* The `decode:` of a device profile: how its payloads are read. */

const WORDS = ['json', 'cbor', 'msgpack', 'sparkplug', 'raw'] as const;
const KINDS = ['protobuf', 'csv', 'text', 'avro', 'thrift'] as const;
const EXPECTED = `${WORDS.join(', ')}, or a map of ${KINDS.join(', ')}`;

const messageName = text("the message's full name, e.g. fleet.EnvSensor");

const messageChoice = section({
  level: text('the name of a topic level')
    .optional()
    .describe('A named level of the topic tells the message.'),
  byte: z
    .literal('first', { error: 'first' })
    .optional()
    .describe('The first byte, as a number, tells the message, which begins behind it.'),
  field: text('the path of a field of `header`')
    .optional()
    .describe('A field tells the message: by its text, its number, or the name of its enum value.'),
  header: messageName
    .optional()
    .describe('The message in which `field` is found; default: the first of `messages`.'),
  messages: z
    .record(text('a value'), messageName, { error: 'a map of values to messages' })
    .describe('The message for each value.'),
}).refine(({ level, byte, field }) => [level, byte, field].filter((key) => key !== undefined).length === 1, {
  error: 'one of level, byte, field, and messages',
});

const protobuf = section({
  file: path('file', 'path of a .proto file or a FileDescriptorSet, relative to this file').describe(
    'The schema. A file that is not named *.proto is what `protoc --include_imports --descriptor_set_out` writes.',
  ),
  message: z
    .union([messageName, messageChoice], {
      error: "the message's full name, e.g. fleet.EnvSensor, or a map of level, byte or field, and messages",
    })
    .describe(
      'The message of the schema that payloads are. Where there are several, this says what tells them apart.',
    ),
  delimited: boolean()
    .default(false)
    .describe(
      'The payload is any number of messages, each with its length as a varint in front. Each becomes a record.',
    ),
});

const textType = choice(TEXT_TYPES);
const column = z.union([text('a name'), z.record(text('a name'), textType)], {
  error: 'a name, or a name and its type: number, integer, bool or text',
});

const csv = section({
  columns: list(column, 'a list of columns', 'at least one column').describe(
    'The columns from left to right: a name, or `name: type`. A column without a type is a number.',
  ),
  separator: z
    .string({ error: 'one character' })
    .regex(/^[^\w"\r\n]$/, { error: 'one character that is no letter, digit or quote' })
    .default(',')
    .describe('The character between the columns.'),
  'header.lines': integer(0, 100).default(0).describe('How many lines at the top are no readings.'),
});

const pattern = section({
  pattern: text('a regular expression with named groups, e.g. ^T=(?<temp>[0-9.]+)$').describe(
    'Matches all of the text (RE2 syntax); its named groups are the fields.',
  ),
  types: z
    .record(text('a group'), textType, { error: 'a map of groups to types' })
    .default({})
    .describe('The types of the groups. A group without a type is a number.'),
  lines: boolean().default(false).describe('Each line is a record.'),
});

export const decodeSchema = z.union(
  [
    choice(WORDS),
    section({
      format: choice(WORDS)
        .optional()
        .describe('A format without settings, for a `decode` that has other keys.'),
      protobuf: protobuf
        .optional()
        .describe('Protocol Buffers, proto2, proto3 and editions; fields by the names of the schema.'),
      csv: csv
        .optional()
        .describe('Lines of values (RFC 4180): each is a record, its fields are the columns.'),
      text: pattern.optional().describe('Text that a pattern takes apart.'),
      avro: section({
        file: path('file', 'path of an Avro schema, .avsc, relative to this file').describe(
          "The writer's schema.",
        ),
      })
        .optional()
        .describe('Avro in its binary encoding, without a header; fields by the names of the schema.'),
      thrift: section({
        protocol: choice(['binary', 'compact'])
          .default('binary')
          .describe('The Thrift protocol of the payload.'),
      })
        .optional()
        .describe(
          'A Thrift struct. Its fields are named by their numbers: `2.1` is field 1 of the struct in field 2.',
        ),
      compression: choice(COMPRESSIONS)
        .optional()
        .describe('How the payload is compressed. `auto`: its first bytes tell, and it may be uncompressed.'),
      'max.inflated.bytes': integer(1_024, 268_435_456)
        .optional()
        .describe('A payload that inflates to more is a dead letter; default 1048576.'),
      framing: choice(['confluent'])
        .optional()
        .describe(
          'A byte 0 and a schema id stand before the payload; the id becomes the header `schema.id`.',
        ),
    }).refine(
      (decode) => ['format' as const, ...KINDS].filter((kind) => decode[kind] !== undefined).length === 1,
      { error: `one of format, ${KINDS.join(', ')}` },
    ),
  ],
  { error: EXPECTED },
);

type Decode = InProgramTerms<z.output<typeof decodeSchema>>;

export function toDecoder(decode: Decode): DecoderSpec {
  if (typeof decode === 'string') return { kind: decode };
  // Of the formats there is one.
  const { format, protobuf, csv, text, avro, thrift, ...wrapping } = decode;
  if (protobuf !== undefined) {
    const { file, message: given, delimited } = protobuf;
    const message = typeof given === 'string' ? given : toChoice(given);
    return { kind: 'protobuf', file, message, ...(delimited && { delimited }), ...wrapping };
  }
  if (csv !== undefined) return { kind: 'csv', ...csv, columns: csv.columns.flatMap(toColumns), ...wrapping };
  if (text !== undefined) {
    return { kind: 'text', ...text, types: new Map(Object.entries(text.types)), ...wrapping };
  }
  if (avro !== undefined) return { kind: 'avro', ...avro, ...wrapping };
  if (thrift !== undefined) return { kind: 'thrift', ...thrift, ...wrapping };
  return { kind: format ?? 'raw', ...wrapping };
}

function toChoice(given: InProgramTerms<z.output<typeof messageChoice>>): MessageChoice {
  const { level, field, header, messages } = given;
  const names = new Map(Object.entries(messages));
  if (level !== undefined) return { by: { level }, messages: names };
  if (field === undefined) return { by: { kind: 'byte' }, messages: names };
  return { by: { field, header: header ?? ([...names.values()][0] as string) }, messages: names };
}

function toColumns(column: string | Readonly<Record<string, TextType>>): CsvSpec['columns'] {
  if (typeof column === 'string') return [{ name: column, type: 'number' }];
  return Object.entries(column).map(([name, type]) => ({ name, type }));
}
