import type { DecodeFault } from '../../core/route.ts';
import {
  MAX_READINGS,
  PAYLOAD_EMPTY,
  decodeFailed,
  tooManyReadings,
  type BoundTopic,
  type FieldInfo,
  type Inspection,
  type PayloadReader,
  type ReadingBatch,
} from '../formats/payload-reader.ts';
import type { FieldValues } from '../formats/field-values.ts';

/** Reads any number of messages, each behind its length as a varint: protobuf's writeDelimitedTo. */
export class DelimitedReader implements PayloadReader {
  readonly contentType: string;
  readonly fields: readonly FieldInfo[];
  readonly batch: ReadingBatch;
  readonly #inner: PayloadReader;
  #messages: readonly Buffer[] = [];
  #selected: Buffer | undefined;

  constructor(inner: PayloadReader) {
    this.#inner = inner;
    this.contentType = inner.contentType;
    this.fields = inner.fields;
    this.batch = {
      open: (payload) => {
        const messages = split(payload);
        if ('code' in messages) return messages;
        this.#messages = messages;
        return messages.length;
      },
      select: (index) => {
        this.#selected = this.#messages[index];
      },
      bytes: () => this.#selected,
      alone: () => this.#selected && delimited(this.#selected),
      close: () => {
        this.#messages = [];
        this.#selected = undefined;
      },
    };
  }

  bind(topic: BoundTopic): PayloadReader {
    const inner = this.#inner.bind?.(topic) ?? this.#inner;
    return inner === this.#inner ? this : new DelimitedReader(inner);
  }

  inspect(payload: Buffer): Inspection | DecodeFault {
    const messages = split(payload);
    if ('code' in messages) return messages;
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
    return this.#inner.read(this.#selected ?? payload, values);
  }
}

function split(payload: Buffer): readonly Buffer[] | DecodeFault {
  if (payload.length === 0) return PAYLOAD_EMPTY;
  const messages: Buffer[] = [];
  let position = 0;
  while (position < payload.length) {
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
    if (messages.length === MAX_READINGS) return tooManyReadings(MAX_READINGS + 1, MAX_READINGS);
    messages.push(payload.subarray(position, position + length));
    position += length;
  }
  return messages;
}

/** A message behind its length. */
function delimited(message: Buffer): Buffer {
  const length: number[] = [];
  let rest = message.length;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) length.push((rest & 0x7f) | 0x80);
  return Buffer.concat([Uint8Array.from([...length, rest]), message]);
}
