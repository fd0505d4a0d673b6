import zlib from 'node:zlib';
import { MAX_INFLATED_BYTES, type Compression, type WrappingSpec } from '../../core/profile/decoder-spec.ts';
import { errorMessage } from '../../core/errors.ts';
import type { DecodeFault } from '../../core/route.ts';
import {
  decodeFailed,
  PAYLOAD_EMPTY,
  type BoundTopic,
  type FieldInfo,
  type Inspection,
  type PayloadReader,
  type ReadingBatch,
} from './payload-reader.ts';
import type { FieldValues } from './field-values.ts';

/**
 * Takes compression and Confluent's frame off, and has another reader read what is inside. It inflates on the
 * event loop, because a device's messages must stay in order and a megabyte takes a few milliseconds; the
 * inflated size is bounded, so that no payload can take all memory.
 */
export class UnwrappingReader implements PayloadReader {
  readonly contentType: string;
  readonly fields: readonly FieldInfo[];
  readonly batch: ReadingBatch | undefined;
  readonly #inner: PayloadReader;
  readonly #wrapping: WrappingSpec;
  /** Whether a frame holds a message's indexes too. */
  readonly #indexes: boolean;
  #schemaId: number | undefined;

  constructor(inner: PayloadReader, wrapping: WrappingSpec, indexes: boolean) {
    this.#inner = inner;
    this.#wrapping = wrapping;
    this.#indexes = indexes;
    this.fields = inner.fields;
    this.contentType = wrappedContentType(wrapping.compression) ?? inner.contentType;
    if (inner.batch !== undefined) this.batch = this.#unwrapped(inner.batch);
  }

  bind(topic: BoundTopic): PayloadReader {
    const inner = this.#inner.bind?.(topic) ?? this.#inner;
    return inner === this.#inner ? this : new UnwrappingReader(inner, this.#wrapping, this.#indexes);
  }

  taken(): void {
    this.#inner.taken?.();
  }

  read(payload: Buffer, values: FieldValues): DecodeFault | undefined {
    // A batch was unwrapped when it was opened.
    const inside = this.batch === undefined ? this.#unwrap(payload) : payload;
    if ('code' in inside) return inside;
    const fault = this.#inner.read(inside, values);
    values.schemaId = this.#schemaId;
    return fault;
  }

  inspect(payload: Buffer): Inspection | DecodeFault {
    const inside = this.#unwrap(payload);
    if ('code' in inside) return inside;
    const seen = this.#inner.inspect?.(inside) ?? { tree: undefined, notes: [] };
    if ('code' in seen) return seen;
    const { compression, framing } = this.#wrapping;
    const notes = [
      ...(compression === undefined
        ? []
        : [`${compression}: ${payload.length} bytes, ${inside.length} inside`]),
      ...(framing === undefined ? [] : [`framed with schema id ${String(this.#schemaId)}`]),
    ];
    return { tree: seen.tree, notes: [...notes, ...seen.notes] };
  }

  #unwrapped(batch: ReadingBatch): ReadingBatch {
    return {
      open: (payload) => {
        const inside = this.#unwrap(payload);
        return 'code' in inside ? inside : batch.open(inside);
      },
      select: (index) => batch.select(index),
      bytes: () => batch.bytes(),
      // What is inside would have to be wrapped again, and would not be what the device sent.
      alone: () => undefined,
      close: () => batch.close(),
    };
  }

  #unwrap(payload: Buffer): Buffer | DecodeFault {
    if (payload.length === 0) return PAYLOAD_EMPTY;
    const { compression, maxInflatedBytes = MAX_INFLATED_BYTES, framing } = this.#wrapping;
    const inflated = compression === undefined ? payload : inflate(payload, compression, maxInflatedBytes);
    if ('code' in inflated || framing === undefined) return inflated;
    return this.#unframe(inflated);
  }

  #unframe(payload: Buffer): Buffer | DecodeFault {
    if (payload.length < 5 || payload[0] !== 0) {
      return decodeFailed("not in Confluent's wire format: it does not begin with 0 and a schema id");
    }
    const start = this.#indexes ? afterIndexes(payload) : 5;
    if (start === undefined) return decodeFailed("not in Confluent's wire format: no message indexes");
    this.#schemaId = payload.readInt32BE(1);
    return payload.subarray(start);
  }
}

function wrappedContentType(compression: Compression | undefined): string | undefined {
  if (compression === undefined) return undefined;
  return compression === 'auto' ? 'application/octet-stream' : `application/${compression}`;
}

/** Each compression, both ways. */
const COMPRESSIONS = {
  gzip: { inflate: zlib.gunzipSync, compress: zlib.gzipSync },
  zlib: { inflate: zlib.inflateSync, compress: zlib.deflateSync },
  deflate: { inflate: zlib.inflateRawSync, compress: zlib.deflateRawSync },
  zstd: { inflate: zlib.zstdDecompressSync, compress: zlib.zstdCompressSync },
} as const;

/** undefined: nothing has to be compressed for a reader of this. */
export function compressionOf({ compression }: WrappingSpec) {
  return compression === undefined || compression === 'auto' ? undefined : COMPRESSIONS[compression];
}

function inflate(payload: Buffer, compression: Compression, maxOutputLength: number): Buffer | DecodeFault {
  const chosen = compression === 'auto' ? detect(payload) : compression;
  if (chosen === undefined) return payload;
  try {
    return COMPRESSIONS[chosen].inflate(payload, { maxOutputLength });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') {
      return { code: 'INFLATED_TOO_LARGE', message: `inflates to more than ${maxOutputLength} bytes` };
    }
    return decodeFailed(`not ${chosen}: ${errorMessage(error)}`);
  }
}

/** By the first bytes (RFC 1952, 1950, 8878). */
function detect(payload: Buffer): keyof typeof COMPRESSIONS | undefined {
  if (payload.length < 2) return undefined;
  const head = payload.readUInt16BE(0);
  if (head === 0x1f8b) return 'gzip';
  // Deflate with a window of 32 KiB, and a check that makes it a multiple of 31.
  if (head >> 8 === 0x78 && head % 31 === 0) return 'zlib';
  return payload.length >= 4 && payload.readUInt32LE(0) === 0xfd2fb528 ? 'zstd' : undefined;
}

/** Where a protobuf message begins: behind the number of its indexes and the indexes, zigzag varints. */
function afterIndexes(payload: Buffer): number | undefined {
  let position = 5;
  const next = (): number | undefined => {
    for (let value = 0, shift = 0; shift < 35; shift += 7) {
      const byte = payload[position++];
      if (byte === undefined) return undefined;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : undefined;
    }
    return undefined;
  };
  const count = next();
  if (count === undefined || count > payload.length - position) return undefined;
  for (let index = 0; index < count; index++) if (next() === undefined) return undefined;
  return position;
}
