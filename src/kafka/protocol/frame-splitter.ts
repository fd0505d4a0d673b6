import { SluiceError } from '../../core/errors.ts';

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
