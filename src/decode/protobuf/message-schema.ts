/** The scalar types of protobuf (protobuf language guide, "Scalar Value Types"). */
export type ScalarType =
  | 'double'
  | 'float'
  | 'int32'
  | 'int64'
  | 'uint32'
  | 'uint64'
  | 'sint32'
  | 'sint64'
  | 'fixed32'
  | 'fixed64'
  | 'sfixed32'
  | 'sfixed64'
  | 'bool'
  | 'string'
  | 'bytes';

/** A message type as the decoder needs to know it. May be recursive. */
export interface MessageSchema {
  /** Full name, e.g. `fleet.EnvSensor`. */
  readonly name: string;
  readonly fields: readonly FieldSchema[];
}

export interface FieldSchema {
  readonly name: string;
  readonly number: number;
  readonly type: ScalarType | 'enum' | 'message' | 'group';
  readonly repeated: boolean;
  /** A map; its `message` is the entry. */
  readonly map: boolean;
  /** Whether "not on the wire" differs from "zero"; not so for proto3's fields without `optional`. */
  readonly hasPresence: boolean;
  readonly required: boolean;
  /** The oneof that it belongs to; members of one exclude each other. */
  readonly oneof: string | undefined;
  readonly enumNames: ReadonlyMap<number, string> | undefined;
  readonly closedEnum: boolean;
  /** Whether text that is not valid UTF-8 makes the message invalid: in proto3, not in proto2. */
  readonly verifyUtf8: boolean;
  /** The type of a message, a group or a map's entry. */
  readonly message: MessageSchema | undefined;
}
