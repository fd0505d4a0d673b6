/** The smallest piece, in bytes: enough for the few publications that most connections ever hold. */
const SMALLEST_BYTES = 8 * 1024;
/** Each size is a quarter more than the one before, so that at most a fifth of a piece is room that nobody uses. */
const GROWTH = 1.25;
const SIZES = Array.from({ length: 20 }, (_, index) => Math.floor(SMALLEST_BYTES * GROWTH ** index));

/**
 * Memory in pieces of a few sizes, each kept for the next one who wants that size. Memory outside of V8's heap
 * that is new every time has V8 collect garbage for every 64 MB of it: while the devices of a hundred
 * connections sent more than Kafka took, that was a third of the gateway's processor time.
 */
export class PiecePool {
  readonly #mostBytes: number;
  readonly #pieces: readonly Buffer[][] = SIZES.map(() => []);
  #bytes = 0;

  /** Keeps at most so many bytes that nobody uses. */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** At least so many bytes, with anything in them. */
  take(bytes: number): Buffer {
    const size = SIZES.findIndex((piece) => piece >= bytes);
    const piece = this.#pieces[size]?.pop();
    if (piece === undefined) return Buffer.allocUnsafeSlow(SIZES[size] ?? bytes);
    this.#bytes -= piece.length;
    return piece;
  }

  /** A piece that nobody looks at any more. */
  give(piece: Buffer): void {
    const pieces = this.#pieces[SIZES.indexOf(piece.length)];
    if (pieces === undefined || this.#bytes + piece.length > this.#mostBytes) return;
    pieces.push(piece);
    this.#bytes += piece.length;
  }
}
