import type { DecodeFault } from '../../core/route.ts';
import {
  ListBatch,
  MAX_READINGS,
  PAYLOAD_EMPTY,
  decodeFailed,
  type BoundTopic,
  type FieldInfo,
  type Inspection,
  type PayloadReader,
  type Apart,
} from '../formats/payload-reader.ts';
import type { FieldValues } from '../formats/field-values.ts';

/** Reads any number of messages, each behind its length as a varint: protobuf's writeDelimitedTo. */
export class DelimitedReader implements PayloadReader {
  readonly contentType: string;
  readonly fields: readonly FieldInfo[];
  readonly batch = new ListBatch(split, (message) => message, delimited);
  readonly #inner: PayloadReader;

  constructor(inner: PayloadReader) {
    this.#inner = inner;
    this.contentType = inner.contentType;
    this.fields = inner.fields;
  }

  bind(topic: BoundTopic): PayloadReader {
    const inner = this.#inner.bind?.(topic) ?? this.#inner;
    return inner === this.#inner ? this : new DelimitedReader(inner);
  }

  inspect(payload: Buffer): Inspection | DecodeFault {
    const apart = split(payload);
    if ('code' in apart) return apart;
    const { readings: messages } = apart;
    const seen = messages.map((message) => this.#inner.inspect?.(message) ?? { tree: undefined, notes: [] });
    const first = seen[0];
    return {
      tree: seen.map((one) => ('code' in one ? one.message : one.tree)),
      notes: [
        `${messages.length} messages behind their lengths`,
        ...(first !== undefined && 'notes' in first ? first.notes : []),
      ],
    };
  }

  read(payload: Buffer, values: FieldValues): DecodeFault | undefined {
    return this.#inner.read(this.batch.selected?.reading ?? payload, values);
  }
}

function split(payload: Buffer): Apart<Buffer, undefined> | DecodeFault {
  if (payload.length === 0) return PAYLOAD_EMPTY;
  const messages: Buffer[] = [];
  let position = 0;
  // One more than may be is enough to refuse them.
  while (position < payload.length && messages.length <= MAX_READINGS) {
    let length = 0;
    let shift = 0;
    for (;;) {
      const byte = payload[position++];
      if (byte === undefined || shift > 28) return decodeFailed('no length before a message');
      length += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
      shift += 7;
    }
    if (length > payload.length - position) return decodeFailed('a message cut short');
    messages.push(payload.subarray(position, position + length));
    position += length;
  }
  return { readings: messages, rest: undefined };
}

/** A message behind its length. */
function delimited(message: Buffer): Buffer {
  const length: number[] = [];
  let rest = message.length;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) length.push((rest & 0x7f) | 0x80);
  return Buffer.concat([Uint8Array.from([...length, rest]), message]);
}
