import { writeVarint } from '../batches/record-batch.ts';
import { asBuffer, SerializationError } from '../serializers/serializer.ts';

/**
 * Confluent's wire format: the byte 0, the schema's id as int32 big-endian, then the payload. A Protobuf payload
 * begins with the message's place in its .proto file: the number of message indexes and the indexes, from the
 * outermost message in, as zigzag varints; [0], the first message, is the single byte 0.
 */
export const FRAME_BYTES = 5;

const MAGIC_BYTE = 0;
const MAX_VARINT_BYTES = 5;

/** What stands in front of every payload of a schema. */
export function framePrefix(schemaId: number, messageIndexes?: readonly number[]): Uint8Array {
  const frame = Buffer.alloc(FRAME_BYTES);
  frame.writeInt32BE(schemaId, 1);
  return messageIndexes === undefined ? frame : Buffer.concat([frame, encodeMessageIndexes(messageIndexes)]);
}

/** @throws SerializationError UNKNOWN_MAGIC_BYTE if the bytes are not in this format */
export function readSchemaId(topic: string, data: Uint8Array): number {
  const id = peekSchemaId(data);
  if (id !== undefined) return id;
  const found =
    data.length < FRAME_BYTES ? `it has ${data.length} bytes` : `it begins with byte ${data[0] ?? 0}`;
  const format = "Confluent's wire format (byte 0, schema id of 4 bytes)";
  const message = `data from topic '${topic}' is not in ${format}: ${found}`;
  throw new SerializationError('UNKNOWN_MAGIC_BYTE', topic, message);
}

/** The schema id, or undefined if the bytes are not in this format. */
export function peekSchemaId(data: Uint8Array): number | undefined {
  return data.length < FRAME_BYTES || data[0] !== MAGIC_BYTE ? undefined : asBuffer(data).readInt32BE(1);
}

function encodeMessageIndexes(indexes: readonly number[]): Uint8Array {
  if (indexes.length === 1 && indexes[0] === 0) return Uint8Array.of(0);
  const bytes = Buffer.alloc(MAX_VARINT_BYTES * (indexes.length + 1));
  const end = [indexes.length, ...indexes].reduce((at, number) => writeVarint(bytes, number, at), 0);
  return bytes.subarray(0, end);
}

export interface FramedMessage {
  readonly messageIndexes: readonly number[];
  /** Where the message's own bytes begin. */
  readonly offset: number;
}

const FIRST_MESSAGE: FramedMessage = { messageIndexes: [0], offset: FRAME_BYTES + 1 };

/** undefined if the bytes are no message indexes. */
export function readMessageIndexes(data: Uint8Array): FramedMessage | undefined {
  if (data[FRAME_BYTES] === 0) return FIRST_MESSAGE;
  let offset = FRAME_BYTES;
  const next = (): number => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = data[offset++];
      if (byte === undefined) return -1;
      value += (byte & 0x7f) * 2 ** shift;
      // An index is never negative, and zigzag makes odd numbers of negative ones only.
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -1;
    }
    return -1;
  };
  const count = next();
  // Each index takes a byte at least: a length that can't be is no reason to allocate.
  if (count < 1 || count > data.length - offset) return undefined;
  const messageIndexes: number[] = [];
  for (let i = 0; i < count; i++) {
    const index = next();
    if (index < 0) return undefined;
    messageIndexes.push(index);
  }
  return { messageIndexes, offset };
}
