/*
 * WebSocket frames (RFC 6455 section 5), the server's side. A message is never put together: MQTT packets need
 * not keep to WebSocket's frames ([MQTT-6.0.0-2]), so each piece of payload is passed on as it comes, and a
 * connection holds at most the 125 bytes of a control frame.
 */

export const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const;
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

export const CloseCode = { Normal: 1000, ProtocolError: 1002, UnsupportedData: 1003 } as const;

/** What a client sent that it may not send. */
export interface WebSocketFault {
  readonly code: number;
  readonly detail: string;
}

export interface WebSocketHandler {
  /** A piece of binary payload; valid during the call. */
  payload(bytes: Buffer): void;
  ping(payload: Buffer): void;
  /** The client closes; nothing that follows is looked at. */
  closing(): void;
}

const FIN = 0x80;
const RESERVED = 0x70;
const MASKED = 0x80;
const MASK_BYTES = 4;
const MAX_HEADER_BYTES = 14;
const MAX_CONTROL_BYTES = 125;
const NO_BYTES = Buffer.alloc(0);

/** Takes a client's frames apart, whatever pieces they come in. */
export class WebSocketReader {
  readonly #handler: WebSocketHandler;
  readonly #header = Buffer.alloc(MAX_HEADER_BYTES);
  #headerLength = 0;
  /** The frame whose payload is being read; -1: a header is. */
  #opcode = -1;
  /** Payload bytes that are still to come, and how many have come. */
  #remaining = 0;
  #position = 0;
  /** A message of several frames has begun. */
  #inMessage = false;
  #control: Buffer = NO_BYTES;
  #closed = false;

  constructor(handler: WebSocketHandler) {
    this.#handler = handler;
  }

  /** Reads on; unmasks in place. After a fault, nothing more may be read. */
  read(bytes: Buffer): WebSocketFault | undefined {
    let at = 0;
    while (at < bytes.length && !this.#closed) {
      if (this.#opcode < 0) {
        this.#header[this.#headerLength++] = bytes[at++] as number;
        const fault = this.#headerByte();
        if (fault !== undefined) return fault;
      } else {
        const end = Math.min(bytes.length, at + this.#remaining);
        this.#payload(bytes.subarray(at, end));
        at = end;
      }
    }
    return undefined;
  }

  /** One more byte of a header: looks whether it is complete. */
  #headerByte(): WebSocketFault | undefined {
    const header = this.#header;
    if (this.#headerLength < 2) return undefined;
    const first = header[0] as number;
    const second = header[1] as number;
    if (this.#headerLength === 2) {
      const fault = this.#frameFault(first, second);
      if (fault !== undefined) return fault;
    }
    const short = second & 0x7f;
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
    if (this.#headerLength < 2 + lengthBytes + MASK_BYTES) return undefined;
    let length = short;
    if (short === 126) length = header.readUInt16BE(2);
    // A frame may be long, because it is never held: beyond 2^53 it is nonsense all the same.
    if (short === 127) length = header.readUInt32BE(2) * 2 ** 32 + header.readUInt32BE(6);
    if (!Number.isSafeInteger(length)) return protocolError('a WebSocket frame of more than 2^53 bytes');
    this.#begin(first, length);
    return undefined;
  }

  #frameFault(first: number, second: number): WebSocketFault | undefined {
    const opcode = first & 0x0f;
    if ((first & RESERVED) !== 0) return protocolError('a WebSocket frame with reserved bits');
    if ((second & MASKED) === 0) return protocolError('a WebSocket frame that is not masked');
    switch (opcode) {
      case Opcode.Text:
        return {
          code: CloseCode.UnsupportedData,
          detail: 'a WebSocket text frame, and MQTT comes in binary ones ([MQTT-6.0.0-1])',
        };
      case Opcode.Binary:
        return this.#inMessage ? protocolError('a WebSocket message within another') : undefined;
      case Opcode.Continuation:
        return this.#inMessage ? undefined : protocolError('a WebSocket continuation of nothing');
      case Opcode.Close:
      case Opcode.Ping:
      case Opcode.Pong:
        return (first & FIN) !== 0 && (second & 0x7f) <= MAX_CONTROL_BYTES
          ? undefined
          : protocolError('a WebSocket control frame that is too long, or in pieces');
      default:
        return protocolError(`a WebSocket frame of the unknown kind ${opcode}`);
    }
  }

  #begin(first: number, length: number): void {
    const opcode = first & 0x0f;
    if (opcode < Opcode.Close) this.#inMessage = (first & FIN) === 0;
    else this.#control = Buffer.alloc(length);
    this.#opcode = opcode;
    this.#remaining = length;
    this.#position = 0;
    if (length === 0) this.#finish();
  }

  #payload(bytes: Buffer): void {
    const maskAt = this.#headerLength - MASK_BYTES;
    const header = this.#header;
    for (let index = 0; index < bytes.length; index++) {
      const mask = header[maskAt + ((this.#position + index) & 3)] as number;
      bytes[index] = (bytes[index] as number) ^ mask;
    }
    const isControl = this.#opcode >= Opcode.Close;
    if (isControl) this.#control.set(bytes, this.#position);
    // A mask of 2^53 bytes' positions needs only its last bits.
    this.#position += bytes.length;
    this.#remaining -= bytes.length;
    if (!isControl) this.#handler.payload(bytes);
    if (this.#remaining === 0) this.#finish();
  }

  #finish(): void {
    const opcode = this.#opcode;
    const payload = this.#control;
    this.#opcode = -1;
    this.#headerLength = 0;
    this.#control = NO_BYTES;
    if (opcode === Opcode.Ping) this.#handler.ping(payload);
    if (opcode !== Opcode.Close) return;
    this.#closed = true;
    this.#handler.closing();
  }
}

function protocolError(detail: string): WebSocketFault {
  return { code: CloseCode.ProtocolError, detail: `${detail} (RFC 6455 section 5)` };
}

/** The header of a whole, unmasked frame with so many bytes of payload. */
export function frameHeader(opcode: Opcode, payloadBytes: number): Buffer {
  if (payloadBytes <= MAX_CONTROL_BYTES) return Buffer.from([FIN | opcode, payloadBytes]);
  if (payloadBytes <= 0xffff) {
    return Buffer.from([FIN | opcode, 126, payloadBytes >>> 8, payloadBytes & 0xff]);
  }
  const header = Buffer.alloc(10);
  header[0] = FIN | opcode;
  header[1] = 127;
  header.writeUIntBE(payloadBytes, 4, 6);
  return header;
}
