import type { ReadAhead } from './read-ahead.ts';

/** Why bytes can't be cut into frames. */
export type FrameProblem = 'malformed-length' | 'too-large' | 'no-memory';

/** What is done with frames; see {@link FrameReader}. */
export interface FrameHandler {
  /**
   * One whole control packet: its first byte, and in buffer[start, end) what follows the fixed header. The buffer
   * is valid during the call only. `false` stops the reader behind this frame.
   */
  frame(header: number, buffer: Buffer, start: number, end: number): boolean;
  /** Nothing further can be read. */
  unreadable(problem: FrameProblem): void;
}

/** One byte of type and flags, and up to four of remaining length (MQTT 3.1.1 section 2.2). */
const MAX_FIXED_HEADER = 5;

/**
 * Cuts a byte stream into MQTT control packets, in one pass and without copying: only a frame that is split
 * over two reads is put together in a buffer of its own.
 */
export class FrameReader {
  readonly #handler: FrameHandler;
  readonly #memory: ReadAhead;
  /** Largest frame, fixed header included. */
  maxFrameBytes: number;
  #partial: Buffer | undefined;
  #partialLength = 0;

  constructor(handler: FrameHandler, memory: ReadAhead, maxFrameBytes: number) {
    this.#handler = handler;
    this.#memory = memory;
    this.maxFrameBytes = maxFrameBytes;
  }

  /**
   * Reads chunk[from, end of chunk). Returns the position up to which it was read: the chunk's length, or less
   * if the handler said stop.
   */
  read(chunk: Buffer, from: number): number {
    const length = chunk.length;
    let at = from;
    if (this.#partial !== undefined) {
      at = this.#continue(chunk, from);
      if (at < 0) return -at - 1;
    }
    while (at < length) {
      let remaining = 0;
      let body = at + 1;
      let shift = 0;
      let byte = 0x80;
      while (byte > 0x7f && body < length && shift < 28) {
        byte = chunk[body++] as number;
        remaining |= (byte & 0x7f) << shift;
        shift += 7;
      }
      if (byte > 0x7f) {
        if (shift === 28) {
          this.#handler.unreadable('malformed-length');
          return length;
        }
        this.#keep(chunk, at, MAX_FIXED_HEADER);
        return length;
      }
      const end = body + remaining;
      if (end - at > this.maxFrameBytes) {
        this.#handler.unreadable('too-large');
        return length;
      }
      if (end > length) {
        this.#keep(chunk, at, end - at);
        return length;
      }
      if (!this.#handler.frame(chunk[at] as number, chunk, body, end)) return end;
      at = end;
    }
    return length;
  }

  /** Memory that an unfinished frame takes. */
  get heldBytes(): number {
    return this.#partial?.length ?? 0;
  }

  /** Gives up an unfinished frame. */
  reset(): void {
    this.#memory.count(-this.heldBytes);
    this.#partial = undefined;
    this.#partialLength = 0;
  }

  #keep(chunk: Buffer, at: number, frameBytes: number): void {
    const length = chunk.length - at;
    // A frame may be announced large and come slowly, or never: memory follows what has come.
    const capacity = Math.min(frameBytes, Math.max(64, 2 * length));
    this.#partial = Buffer.allocUnsafeSlow(capacity);
    this.#partialLength = chunk.copy(this.#partial, 0, at);
    this.#memory.count(capacity);
  }

  /** Returns where reading goes on, or `-position - 1` if it stops there. */
  #continue(chunk: Buffer, from: number): number {
    let at = from;
    for (;;) {
      const partial = this.#partial as Buffer;
      const needed = frameBytesOf(partial, this.#partialLength);
      if (needed === MALFORMED || needed > this.maxFrameBytes) {
        this.#handler.unreadable(needed === MALFORMED ? 'malformed-length' : 'too-large');
        return -chunk.length - 1;
      }
      // Without the whole fixed header, one byte more: the header must not be overshot.
      const target = needed === UNKNOWN ? this.#partialLength + 1 : needed;
      if (this.#partialLength === target) break;
      const wanted = Math.min(target - this.#partialLength, chunk.length - at);
      if (wanted === 0) return -chunk.length - 1;
      if (!this.#grow(this.#partialLength + wanted, target)) {
        this.#handler.unreadable('no-memory');
        return -chunk.length - 1;
      }
      chunk.copy(this.#partial as Buffer, this.#partialLength, at, at + wanted);
      this.#partialLength += wanted;
      at += wanted;
    }
    const frame = this.#partial as Buffer;
    const end = this.#partialLength;
    this.#partial = undefined;
    this.#partialLength = 0;
    this.#memory.count(-frame.length);
    let body = 1;
    while ((frame[body++] as number) > 0x7f);
    return this.#handler.frame(frame[0] as number, frame, body, end) ? at : -at - 1;
  }

  #grow(needed: number, frameBytes: number): boolean {
    const partial = this.#partial as Buffer;
    if (needed <= partial.length) return true;
    const capacity = Math.max(needed, Math.min(frameBytes, 2 * partial.length));
    if (!this.#memory.allowsPartial(capacity)) return false;
    const grown = Buffer.allocUnsafeSlow(capacity);
    partial.copy(grown, 0, 0, this.#partialLength);
    this.#partial = grown;
    this.#memory.count(capacity - partial.length);
    return true;
  }
}

const UNKNOWN = 0;
const MALFORMED = -1;

/** The whole length of the frame that begins `buffer`; UNKNOWN while its length has not come. */
function frameBytesOf(buffer: Buffer, length: number): number {
  let remaining = 0;
  for (let index = 1; index < MAX_FIXED_HEADER; index++) {
    if (index >= length) return UNKNOWN;
    const byte = buffer[index] as number;
    remaining |= (byte & 0x7f) << (7 * (index - 1));
    if (byte <= 0x7f) return index + 1 + remaining;
  }
  return MALFORMED;
}

/** Bytes of one connection that may not be looked at yet: what came behind a packet that has no answer. */
export class HeldBytes {
  readonly #memory: ReadAhead;
  #bytes: Buffer | undefined;
  #at = 0;

  constructor(memory: ReadAhead) {
    this.#memory = memory;
  }

  /** Memory that is held. */
  get length(): number {
    return this.#bytes?.length ?? 0;
  }

  get empty(): boolean {
    return this.#bytes === undefined;
  }

  /** Copies more bytes behind those that are held. */
  append(bytes: Buffer): void {
    const rest = this.#bytes?.subarray(this.#at);
    const held = Buffer.allocUnsafeSlow((rest?.length ?? 0) + bytes.length);
    rest?.copy(held);
    bytes.copy(held, rest?.length ?? 0);
    this.#memory.count(held.length - this.length);
    this.#bytes = held;
    this.#at = 0;
  }

  /** Has `read` read on from a position; it returns how far it came. */
  readOn(read: (bytes: Buffer, from: number) => number): void {
    const bytes = this.#bytes;
    if (bytes === undefined) return;
    const at = read(bytes, this.#at);
    if (at >= bytes.length) this.clear();
    // Unless it was cleared meanwhile.
    else if (this.#bytes === bytes) this.#at = at;
  }

  clear(): void {
    this.#memory.count(-this.length);
    this.#bytes = undefined;
    this.#at = 0;
  }
}
