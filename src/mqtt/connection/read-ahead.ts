import type { Transport } from '../edge/transport.ts';
import type { IngressLimits } from '../limits.ts';
import type { IngressStats } from '../stats.ts';

/** Size of one read from a socket, in bytes: Node's. What is read at once may have to be parked at once. */
const READ_CHUNK_BYTES = 64 * 1024;

/** Memory for what one read may bring: the smallest publications are parked in twice their size. */
const LARGEST_READ_COST = 3 * READ_CHUNK_BYTES;

/** What may be kept for reuse besides: this share of the memory's limit, at most so many bytes. */
const POOL_SHARE = 1 / 32;
const MAX_POOL_BYTES = 16 * 1024 * 1024;

/**
 * The memory that all connections together may hold for bytes that were read and not yet passed on: parked
 * publications, frames that are not complete, bytes behind a packet that is not answered yet.
 */
export class ReadAhead {
  readonly #limits: Pick<IngressLimits, 'readAheadBytes' | 'memoryLimitBytes'>;
  readonly #stats: IngressStats;
  readonly #pool: PiecePool;
  /** Connections that may hold something: open ones, and closed ones that still have publications parked. */
  holders = 0;

  constructor(limits: Pick<IngressLimits, 'readAheadBytes' | 'memoryLimitBytes'>, stats: IngressStats) {
    this.#limits = limits;
    this.#stats = stats;
    this.#pool = new PiecePool(Math.min(limits.memoryLimitBytes * POOL_SHARE, MAX_POOL_BYTES));
  }

  /**
   * Bytes that one connection may hold before its socket isn't read any more: so many that all connections,
   * with one more read each and the room in their buffers that is not used, stay below the limit. With
   * thousands of connections a share is less than one read; then {@link overfull} keeps the limit.
   */
  get allowanceBytes(): number {
    const share = Math.floor((0.8 * this.#limits.memoryLimitBytes) / Math.max(1, this.holders));
    return Math.max(0, Math.min(this.#limits.readAheadBytes, share - Math.min(READ_CHUNK_BYTES, share / 2)));
  }

  /**
   * Nobody may read: another read might pass the limit. With the allowances kept, only very large and very
   * small packets lead here.
   */
  get exhausted(): boolean {
    return this.#stats.parkedBytes + LARGEST_READ_COST >= this.#limits.memoryLimitBytes;
  }

  /**
   * Whether what is held and what Node has read from paused sockets by itself, `unreadBytes`, exceed the limit.
   * Node offers no way to stop a socket's next read, of up to 64 KB; only thousands of connections that flood
   * at once, while nothing is passed on, lead here.
   */
  overfull(unreadBytes: number): boolean {
    return this.#stats.parkedBytes + unreadBytes > this.#limits.memoryLimitBytes;
  }

  /** Everybody may read again. */
  get recovered(): boolean {
    return this.#stats.parkedBytes < 0.75 * this.#limits.memoryLimitBytes;
  }

  /**
   * Whether an unfinished frame may grow to so many bytes. A quarter of the memory always remains for what can
   * be passed on: unfinished frames alone must not fill it, because then nobody could ever finish one.
   */
  allowsPartial(bytes: number): boolean {
    return bytes <= this.allowanceBytes || this.#stats.parkedBytes < this.#limits.memoryLimitBytes * 0.75;
  }

  /** So many bytes more are held, or less when negative. */
  count(bytes: number): void {
    this.#stats.parkedBytes += bytes;
  }

  /** At least so many bytes. */
  allocate(bytes: number): Buffer {
    const buffer = this.#pool.take(bytes);
    this.count(buffer.length);
    return buffer;
  }

  free(buffer: Buffer): void {
    this.count(-buffer.length);
    this.#pool.give(buffer);
  }
}

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

/** Bytes for a device that it doesn't read; above this it isn't read either. */
export const MAX_UNSENT_BYTES = 64 * 1024;
/** A closed gate opens when so much of each bound is free. */
const REOPEN_SHARE = 0.5;

/** A connection, as the gate to its socket sees it. */
export interface GateOwner {
  readonly transport: Transport;
  /** Bytes that were read, and wait; and how many may. */
  readonly waitingBytes: number;
  readonly allowanceBytes: number;
  /** The socket is not read any more, or again. */
  paused(isPaused: boolean): void;
}

/** The hard bound of one connection: decides when its socket isn't read. */
export class ReadGate {
  readonly #owner: GateOwner;
  readonly #memory: ReadAhead;
  #closed = false;

  constructor(owner: GateOwner, memory: ReadAhead) {
    this.#owner = owner;
    this.#memory = memory;
  }

  /** After every read. */
  check(): void {
    if (this.#isFull(1)) this.close();
  }

  /** The socket isn't read any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#owner.transport.pause();
    this.#owner.paused(true);
  }

  /** The socket is read again, if nothing speaks against it. */
  reopen(): void {
    if (!this.#closed || this.#isFull(REOPEN_SHARE)) return;
    this.abandon();
    this.#owner.transport.resume();
  }

  /** The connection has ended. */
  abandon(): void {
    if (this.#closed) this.#owner.paused(false);
    this.#closed = false;
  }

  /**
   * Whether the keepalive clock stands still: we don't look, so we can't say that the device is silent. Unless
   * it is held for not reading.
   */
  get holdsClock(): boolean {
    return this.#closed && this.#owner.transport.writableLength <= MAX_UNSENT_BYTES * REOPEN_SHARE;
  }

  #isFull(share: number): boolean {
    const { waitingBytes, transport } = this.#owner;
    return (
      (waitingBytes > 0 && waitingBytes > this.#owner.allowanceBytes * share) ||
      transport.writableLength > MAX_UNSENT_BYTES * share ||
      this.#memory.exhausted
    );
  }
}
