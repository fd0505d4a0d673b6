import type { QoS } from '../../core/publication.ts';
import { DUP_FLAG, QOS_FLAGS } from '../protocol/codec.ts';
import type { ReadAhead } from '../connection/read-ahead.ts';

const NO_BYTES = Buffer.alloc(0);
const CUT_OFF = 'PUBLISH is cut off';

/**
 * A PUBLISH (MQTT 3.1.1 section 3.3), read once: topic with two bytes of length, packet identifier with QoS 1 and 2,
 * payload. One instance serves all lanes, because a message should not cost an object; it is valid until the next
 * {@link read}.
 */
export class PublishFrame {
  /** The first byte of the packet. */
  header = 0;
  /** As the frame is laid out; that of a will is 0. */
  qos: QoS = 0;
  buffer: Buffer = NO_BYTES;
  /** Behind the fixed header. */
  start = 0;
  topicEnd = 0;
  payloadStart = 0;
  end = 0;
  packetId = 0;
  receivedAtMs = 0;

  /**
   * Reads buffer[start, end), a PUBLISH without its fixed header. Returns what is wrong with its form, if anything
   * is; the topic's characters are not looked at.
   */
  read(header: number, buffer: Buffer, start: number, end: number, receivedAtMs: number): string | undefined {
    const qos = (header & QOS_FLAGS) >> 1;
    if (qos === 3) return 'PUBLISH with QoS 3 ([MQTT-3.3.1-4])';
    if (qos === 0 && (header & DUP_FLAG) !== 0) return 'PUBLISH with QoS 0 and DUP ([MQTT-3.3.1-2])';
    if (start + 2 > end) return CUT_OFF;
    const topicEnd = start + 2 + uint16At(buffer, start);
    const payloadStart = qos === 0 ? topicEnd : topicEnd + 2;
    if (payloadStart > end) return CUT_OFF;
    const packetId = qos === 0 ? 0 : uint16At(buffer, topicEnd);
    if (qos !== 0 && packetId === 0) return 'PUBLISH with packet identifier 0 ([MQTT-2.3.1-1])';
    this.header = header;
    this.qos = qos as QoS;
    this.buffer = buffer;
    this.start = start;
    this.topicEnd = topicEnd;
    this.payloadStart = payloadStart;
    this.end = end;
    this.packetId = packetId;
    this.receivedAtMs = receivedAtMs;
    return undefined;
  }

  /** Reads a will, which has no packet identifier, whatever its QoS. */
  readWill(header: number, buffer: Buffer, start: number, end: number, receivedAtMs: number): void {
    this.read(header & ~QOS_FLAGS, buffer, start, end, receivedAtMs);
    this.header = header;
  }
}

const uint16At = (buffer: Buffer, at: number): number =>
  ((buffer[at] as number) << 8) | (buffer[at + 1] as number);

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

  /** Copies the publication. */
  push(kind: ParkedKind, { header, buffer: source, start, end, receivedAtMs }: PublishFrame): void {
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

  // The oldest entry; only while count > 0.

  get kind(): ParkedKind {
    return this.#held[this.#head + 5] as ParkedKind;
  }

  /** Reads it into `frame`, which is valid until the next push or shift. */
  read(frame: PublishFrame): void {
    const buffer = this.#held;
    const header = buffer[this.#head + 4] as number;
    const receivedAtMs = this.#firstAtMs + buffer.readInt32LE(this.#head + 6);
    const start = this.#head + ENTRY_HEADER;
    const end = this.#end;
    if (this.kind === ParkedKind.Will) frame.readWill(header, buffer, start, end, receivedAtMs);
    else frame.read(header, buffer, start, end, receivedAtMs);
  }

  get #held(): Buffer {
    return this.#buffer as Buffer;
  }

  get #end(): number {
    return this.#head + ENTRY_HEADER + this.#held.readUInt32LE(this.#head);
  }

  shift(): void {
    if (this.kind === ParkedKind.Publish) this.#publications--;
    this.#head = this.#end;
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
