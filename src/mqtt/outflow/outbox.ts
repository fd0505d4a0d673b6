import type { PublishFrame } from '../broker/local-message.ts';
import type { Transport } from '../edge/transport.ts';

/** What is written in one piece: more would be copied for nothing. */
const MAX_PIECE_BYTES = 64 * 1024;

/** Packets for one client, in order: those of one turn are written together. */
export class Outbox {
  readonly #transport: Transport;
  /** Called when the client has read, after {@link flush} has left something for it. */
  readonly #drained: () => void;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #closed = false;
  #awaitsDrain = false;

  constructor(transport: Transport, drained: () => void) {
    this.#transport = transport;
    this.#drained = drained;
  }

  /** Bytes that the kernel has not taken. */
  get unsentBytes(): number {
    return this.#bytes + this.#transport.writableLength;
  }

  /** Takes bytes that stay as they are until they are written. */
  write(bytes: Buffer): void {
    if (this.#closed) return;
    if (this.#chunks.length === 0) {
      queueMicrotask(() => this.flush());
    }
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
  }

  publish({ bytes, packetIdAt, payload }: PublishFrame, packetId: number): void {
    if (packetIdAt === 0) this.write(bytes);
    else {
      const own = Buffer.from(bytes);
      own.writeUInt16BE(packetId, packetIdAt);
      this.write(own);
    }
    if (payload !== undefined) this.write(payload);
  }

  /** Writes what there is. */
  flush(): void {
    const chunks = this.#chunks;
    if (chunks.length === 0) return;
    this.#chunks = [];
    this.#bytes = 0;
    const transport = this.#transport;
    if (transport.destroyed) return;
    let piece: Buffer[] = [];
    let pieceBytes = 0;
    for (const chunk of chunks) {
      if (piece.length > 0 && pieceBytes + chunk.length > MAX_PIECE_BYTES) {
        transport.write(Buffer.concat(piece, pieceBytes));
        piece = [];
        pieceBytes = 0;
      }
      piece.push(chunk);
      pieceBytes += chunk.length;
    }
    const [only] = piece;
    const isOne = piece.length === 1 && only !== undefined;
    const hasRoom = transport.write(isOne ? only : Buffer.concat(piece, pieceBytes));
    if (hasRoom) this.#drained();
    else this.awaitDrain();
  }

  /** Somebody waits until the client has read. */
  awaitDrain(): void {
    if (this.#awaitsDrain) return;
    this.#awaitsDrain = true;
    this.#transport.once('drain', () => {
      this.#awaitsDrain = false;
      if (!this.#closed) this.#drained();
    });
  }

  /** The connection has ended: what there is is written, and nothing more. */
  close(): void {
    this.flush();
    this.#closed = true;
  }
}
