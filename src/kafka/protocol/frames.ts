import { SluiceError } from '../../core/errors.ts';
import type { ApiVersion } from './api-versions.ts';

/** Larger than any request or response of Kafka (`socket.request.max.bytes` is 100 MiB). */
const MOST_FRAME_BYTES = 128 * 1024 * 1024;

const SIZE_BYTES = 4;
/** The least that a frame holds: the correlation id of a response. */
const LEAST_FRAME_BYTES = 4;

/** Bytes that can't be the protocol's: what sent them is perhaps no Kafka broker. */
export class NotKafkaError extends SluiceError {
  /** They are the beginning of a TLS record (RFC 8446, section 5.1). */
  readonly isTls: boolean;

  constructor(size: number) {
    const isTls = looksLikeTls(size);
    super(
      'NOT_KAFKA',
      isTls ? 'it speaks TLS' : `what it sends ${startOf(size)}: it is perhaps no Kafka broker`,
    );
    this.isTls = isTls;
  }
}

/** Whole requests or responses of a stream of bytes, each with its size of 4 bytes in front. */
export class FrameSplitter {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #wantedBytes = SIZE_BYTES;

  /** Whether the last chunk ended with a part of a frame. */
  get isWithinFrame(): boolean {
    return this.#bytes > 0;
  }

  /**
   * The frames that this chunk completes: views on it where one holds all of a frame.
   * @throws NotKafkaError a size that no frame of Kafka has; the stream is then of no use any more
   */
  take(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const frames: Buffer[] = [];
    while (this.#bytes >= this.#wantedBytes) {
      const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
      const end = frameEnd(all);
      if (all.length >= end) {
        frames.push(all.subarray(0, end));
        this.#keep(all.subarray(end), SIZE_BYTES);
      } else this.#keep(all, end);
    }
    return frames;
  }

  #keep(rest: Buffer, wantedBytes: number): void {
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
    this.#wantedBytes = wantedBytes;
  }
}

function frameEnd(bytes: Buffer): number {
  const size = bytes.readInt32BE(0);
  if (size < LEAST_FRAME_BYTES || size > MOST_FRAME_BYTES) throw new NotKafkaError(size);
  return SIZE_BYTES + size;
}

/** Content type 20 to 23, and version 3.0 to 3.4 with one more byte, which is that of the length. */
function looksLikeTls(size: number): boolean {
  const [type, major, minor] = [size >>> 24, (size >>> 16) & 0xff, (size >>> 8) & 0xff];
  return type >= 0x14 && type <= 0x17 && major === 3 && minor <= 4;
}

/** What came where a size should be. Other protocols mostly begin with a word. */
function startOf(size: number): string {
  const bytes = Buffer.alloc(SIZE_BYTES);
  bytes.writeInt32BE(size);
  const text = bytes.toString('latin1');
  if (text === 'HTTP') return 'is HTTP';
  return /^[\x20-\x7e]{4}$/.test(text) ? `begins with '${text}'` : `has a size of ${size} bytes`;
}

/** size int32, request_api_key int16, request_api_version int16, correlation_id int32, client_id's length int16 */
const FIXED_HEADER_BYTES = 14;

/**
 * Pieces of this size are written from where they are; smaller ones are copied into one buffer, because each piece
 * of its own costs an object in Node and an entry of writev().
 */
const WRITTEN_IN_PLACE_BYTES = 4_096;

/**
 * A request as it goes over the wire, in as few pieces as that takes: size, request header 1 or 2 (Kafka protocol
 * guide, "Request Headers"), body. Large pieces of the body are not copied: they must stay as they are until the
 * request is answered, or handed over.
 *
 * @param clientId in UTF-8
 */
export function encodeRequest(
  api: ApiVersion,
  correlationId: number,
  clientId: Uint8Array,
  body: readonly Uint8Array[],
): Uint8Array[] {
  const headerBytes = FIXED_HEADER_BYTES + clientId.length + (api.requestTags ? 1 : 0);
  let bodyBytes = 0;
  let copiedBytes = 0;
  for (const { length } of body) {
    bodyBytes += length;
    if (length < WRITTEN_IN_PLACE_BYTES) copiedBytes += length;
  }
  const copy = Buffer.allocUnsafe(headerBytes + copiedBytes);
  copy.writeInt32BE(headerBytes - 4 + bodyBytes, 0);
  copy.writeInt16BE(api.key, 4);
  copy.writeInt16BE(api.version, 6);
  copy.writeInt32BE(correlationId, 8);
  copy.writeInt16BE(clientId.length, 12);
  copy.set(clientId, FIXED_HEADER_BYTES);
  if (api.requestTags) copy.writeUInt8(0, headerBytes - 1); // no tagged fields

  const pieces: Uint8Array[] = [];
  let written = 0;
  let end = headerBytes;
  for (const piece of body) {
    if (piece.length < WRITTEN_IN_PLACE_BYTES) {
      copy.set(piece, end);
      end += piece.length;
    } else {
      if (end > written) pieces.push(copy.subarray(written, end));
      pieces.push(piece);
      written = end;
    }
  }
  if (end > written) pieces.push(copy.subarray(written, end));
  return pieces;
}
