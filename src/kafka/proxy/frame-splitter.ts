/** Larger than any request or response of Kafka (`socket.request.max.bytes` is 100 MiB). */
const MOST_FRAME_BYTES = 128 * 1024 * 1024;

/** Whole requests or responses of a stream of bytes, each with its size of 4 bytes in front. */
export class FrameSplitter {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #wantedBytes = 4;

  /**
   * The frames that this chunk completes.
   * @throws RangeError a size that no frame of Kafka has
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
        this.#keep(all.subarray(end), 4);
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
  if (size < 4 || size > MOST_FRAME_BYTES) throw new RangeError(`a frame of ${size} bytes is not Kafka's`);
  return 4 + size;
}
