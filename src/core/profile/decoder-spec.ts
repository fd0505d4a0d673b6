/** How a payload is read: what it is wrapped in, and the format inside. */
export type DecoderSpec = FormatSpec & WrappingSpec;

/** The layers around the format, from the outside in: compression, then a frame. */
export interface WrappingSpec {
  readonly compression?: Compression;
  /** A payload that inflates to more than this is refused; left out, {@link MAX_INFLATED_BYTES}. */
  readonly maxInflatedBytes?: number;
  /**
   * `confluent`: the byte 0, a schema id of 4 bytes, and for protobuf the message's indexes. The schema is the
   * profile's; the id goes along as a header.
   */
  readonly framing?: 'confluent';
}

/** `auto` looks at the payload's first bytes: gzip, zlib or zstd, or else not compressed. `deflate` has no header. */
export const COMPRESSIONS = ['gzip', 'zlib', 'deflate', 'zstd', 'auto'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

export const MAX_INFLATED_BYTES = 1_048_576;

export type FormatSpec =
  | ProtobufSpec
  | CsvSpec
  | TextSpec
  | {
      readonly kind: 'avro';
      /** Absolute path of the schema, .avsc. */ readonly file: string;
    }
  | { readonly kind: 'thrift'; readonly protocol: 'binary' | 'compact' }
  | { readonly kind: 'json' | 'cbor' | 'msgpack' | 'sparkplug' | 'raw' };

export interface ProtobufSpec {
  readonly kind: 'protobuf';
  /** Absolute path of a .proto file, or of a FileDescriptorSet (`protoc --descriptor_set_out`). */
  readonly file: string;
  readonly message: string | MessageChoice;
  /** Whether the payload is any number of messages, each behind its length as a varint. */
  readonly delimited?: boolean;
}

/** Which message a payload holds, told by what stands beside it. */
export interface MessageChoice {
  readonly by:
    | { readonly level: string }
    /** The payload's first byte, which isn't part of the message. */
    | { readonly kind: 'byte' }
    /** A field of `header`. `header` is a message that has this field under the same number as all the others. */
    | { readonly field: string; readonly header: string };
  /** What stands there -> the message's full name. */
  readonly messages: ReadonlyMap<string, string>;
}

/** What a text stands for. */
export const TEXT_TYPES = ['number', 'integer', 'bool', 'text'] as const;
export type TextType = (typeof TEXT_TYPES)[number];

/** Lines of values (RFC 4180): each line is a reading. */
export interface CsvSpec {
  readonly kind: 'csv';
  readonly separator: string;
  /** From left to right. The name `_` leaves a column out. */
  readonly columns: readonly { readonly name: string; readonly type: TextType }[];
  /** How many lines at the beginning are headers and no readings. */
  readonly headerLines: number;
}

/** Text that a pattern takes apart. */
export interface TextSpec {
  readonly kind: 'text';
  /** A regular expression (RE2) that matches all of it; its named groups are the fields. */
  readonly pattern: string;
  readonly types: ReadonlyMap<string, TextType>;
  /** Whether each line is a reading. */
  readonly lines: boolean;
}
