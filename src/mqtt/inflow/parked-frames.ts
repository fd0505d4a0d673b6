import type { ReadAhead } from '../connection/read-ahead.ts';

/** What a parked publication waits for. */
export const ParkedKind = {
  /** To be handed to the sink. */
  Publish: 0,
  /** Only for its turn: it is acknowledged without the sink. */
  Acknowledge: 1,
  /** A repeated QoS 2 publication: acknowledged when its first occurrence is. */
  Repeat: 2,
  /** A repeated QoS 1 publication whose first occurrence was in flight when it came. */
  Join: 3,
  /** The will of a connection that was lost: without packet identifier, whatever its QoS. */
  Will: 4,
} as const;

export type ParkedKind = (typeof ParkedKind)[keyof typeof ParkedKind];

/**
 * Before each frame: length of the body (4 bytes), first byte of the packet, kind, milliseconds since the first
 * one was parked (4 bytes). Small, because the smallest publication has 5 bytes.
 */
const ENTRY_HEADER = 10;
/** A buffer is made room in by moving what it holds, as long as this share of it then is free. */
const ROOM = 0.2;

/**
 * Publications that wait at their connection, in order of receipt: copies in one buffer, because a slice of a
 * socket's buffer would pin all of it, and because a message should not cost an object.
 */
export class ParkedFrames {
  readonly #memory: ReadAhead;
  #buffer: Buffer | undefined;
  #head = 0;
  #tail = 0;
  #count = 0;
  #publications = 0;
  #firstAtMs = 0;

  constructor(memory: ReadAhead) {
    this.#memory = memory;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#tail - this.#head;
  }

  /** Of {@link count}, those that the sink has not seen. */
  get publications(): number {
    return this.#publications;
  }

  /** Copies source[start, end), the packet without its fixed header. */
  push(
    kind: ParkedKind,
    header: number,
    receivedAtMs: number,
    source: Buffer,
    start: number,
    end: number,
  ): void {
    const length = end - start;
    const buffer = this.#withRoomFor(ENTRY_HEADER + length);
    if (this.#count === 0) this.#firstAtMs = receivedAtMs;
    buffer.writeUInt32LE(length, this.#tail);
    buffer[this.#tail + 4] = header;
    buffer[this.#tail + 5] = kind;
    // A wall clock that was set back gives a negative difference.
    buffer.writeInt32LE(Math.trunc(receivedAtMs - this.#firstAtMs) | 0, this.#tail + 6);
    source.copy(buffer, this.#tail + ENTRY_HEADER, start, end);
    this.#tail += ENTRY_HEADER + length;
    this.#count++;
    if (kind === ParkedKind.Publish) this.#publications++;
  }

  // The oldest entry; valid while count > 0, until the next push or shift.

  get buffer(): Buffer {
    return this.#buffer as Buffer;
  }

  get header(): number {
    return this.buffer[this.#head + 4] as number;
  }

  get kind(): ParkedKind {
    return this.buffer[this.#head + 5] as ParkedKind;
  }

  get receivedAtMs(): number {
    return this.#firstAtMs + this.buffer.readInt32LE(this.#head + 6);
  }

  get start(): number {
    return this.#head + ENTRY_HEADER;
  }

  get end(): number {
    return this.start + this.buffer.readUInt32LE(this.#head);
  }

  shift(): void {
    if (this.kind === ParkedKind.Publish) this.#publications--;
    this.#head = this.end;
    this.#count--;
    if (this.#count === 0) this.clear();
  }

  clear(): void {
    if (this.#buffer !== undefined) this.#memory.free(this.#buffer);
    this.#buffer = undefined;
    this.#head = 0;
    this.#tail = 0;
    this.#count = 0;
    this.#publications = 0;
  }

  #withRoomFor(bytes: number): Buffer {
    const buffer = this.#buffer;
    if (buffer !== undefined && this.#tail + bytes <= buffer.length) return buffer;
    const held = this.#tail - this.#head;
    if (buffer !== undefined && held + bytes <= buffer.length * (1 - ROOM)) {
      buffer.copyWithin(0, this.#head, this.#tail);
      this.#head = 0;
      this.#tail = held;
      return buffer;
    }
    const grown = this.#memory.allocate(Math.max(held + bytes, Math.ceil(held / (1 - ROOM))));
    if (buffer !== undefined) {
      buffer.copy(grown, 0, this.#head, this.#tail);
      this.#memory.free(buffer);
    }
    this.#buffer = grown;
    this.#head = 0;
    this.#tail = held;
    return grown;
  }
}
