/** A record header. Keys may repeat; a null value is legal (Kafka protocol guide, "Record Batch"). */
export interface Header {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** A record as an application hands it to a producer, before serialization. */
export interface ProducerRecord<K = unknown, V = unknown> {
  readonly topic: string;
  /** Sends to exactly this partition; left out, the partitioner chooses. */
  readonly partition?: number;
  readonly key?: K | null;
  /** null is a tombstone: a compacted topic forgets the key. */
  readonly value: V | null;
  /** CreateTime, milliseconds since 1970-01-01 UTC; left out, the time of the send. */
  readonly timestamp?: number;
  readonly headers?: readonly Header[];
}

/** Where Kafka put a record. */
export interface RecordMetadata {
  readonly topic: string;
  readonly partition: number;
  /** -1 with acks=0, and for a batch that the broker already had (DUPLICATE_SEQUENCE_NUMBER). */
  readonly offset: bigint;
  /** The record's CreateTime, or the broker's time on a topic with LogAppendTime; ms since 1970. */
  readonly timestamp: number;
  /** Bytes; -1 for a null key. */
  readonly serializedKeySize: number;
  /** Bytes; -1 for a null value. */
  readonly serializedValueSize: number;
}

/**
 * A record's headers already in wire form: a varint count, then each header (Kafka protocol guide,
 * "Record Header"). Encoded once for all records that share them; a record copies the bytes.
 */
export type EncodedHeaders = Uint8Array;

/** No headers: the single byte for a count of 0. */
export const NO_HEADERS: EncodedHeaders = Uint8Array.of(0);

/** Encodes headers for {@link SerializedRecord.headers}. Keys are UTF-8. */
export function encodeHeaders(headers: readonly Header[]): EncodedHeaders {
  return appendHeaders(NO_HEADERS, headers);
}

/** A copy of encoded headers with more behind them. */
export function appendHeaders(encoded: EncodedHeaders, headers: readonly Header[]): EncodedHeaders {
  let countBytes = 1;
  let count = encoded[0] as number;
  while ((encoded[countBytes - 1] as number) > 0x7f) {
    count = (count & ~(-1 << (7 * countBytes))) | ((encoded[countBytes] as number) << (7 * countBytes));
    countBytes++;
  }
  // Zigzag of a number that is never negative.
  const parts: Uint8Array[] = [zigzagVarint((count >>> 1) + headers.length), encoded.subarray(countBytes)];
  for (const { key, value } of headers) {
    const keyBytes = Buffer.from(key, 'utf8');
    parts.push(zigzagVarint(keyBytes.length), keyBytes);
    if (value === null) parts.push(zigzagVarint(-1));
    else parts.push(zigzagVarint(value.length), value);
  }
  return Buffer.concat(parts);
}

/** The headers in wire form, one by one; values are views. */
export function decodeHeaders(encoded: EncodedHeaders): Header[] {
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.length);
  let position = 0;
  const varint = (): number => {
    let zigzag = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes.readUInt8(position++);
      zigzag |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (zigzag >>> 1) ^ -(zigzag & 1);
    }
  };
  const take = (length: number): Buffer => bytes.subarray(position, (position += length));
  const headers: Header[] = [];
  for (let count = varint(); count > 0; count--) {
    const key = take(varint()).toString('utf8');
    const length = varint();
    headers.push({ key, value: length < 0 ? null : take(length) });
  }
  return headers;
}

function zigzagVarint(value: number): Buffer {
  return unsignedVarint((value << 1) ^ (value >> 31));
}

/** UNSIGNED_VARINT of the Kafka protocol: seven bits a byte, the lowest first. */
export function unsignedVarint(value: number): Buffer {
  let rest = value >>> 0;
  const bytes: number[] = [];
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/**
 * A record in the form in which a producer appends it to a batch. One mutable instance serves many records: read
 * it only during the call that hands it over, and copy the bytes to keep them.
 */
export interface SerializedRecord {
  /** The Kafka topic. */
  topic: string;
  key: Uint8Array | null;
  value: Uint8Array | null;
  /** CreateTime, milliseconds since 1970-01-01 UTC. */
  timestampMs: number;
  headers: EncodedHeaders;
}

/** An instance to be filled anew for each record. */
export function emptyRecord(): SerializedRecord {
  return { topic: '', key: null, value: null, timestampMs: 0, headers: NO_HEADERS };
}
