import { isUtf8 } from 'node:buffer';

/** Types of MQTT control packets (MQTT 3.1.1 table 2.1). */
export const PacketType = {
  Connect: 1,
  Connack: 2,
  Publish: 3,
  Puback: 4,
  Pubrec: 5,
  Pubrel: 6,
  Pubcomp: 7,
  Subscribe: 8,
  Suback: 9,
  Unsubscribe: 10,
  Unsuback: 11,
  Pingreq: 12,
  Pingresp: 13,
  Disconnect: 14,
} as const;

/** What an answer says, by the numbers of MQTT 5 (table 2.6). A codec says as much of it as its version can. */
export const ReasonCode = {
  Success: 0,
  UnsupportedProtocolVersion: 0x84,
  ClientIdentifierNotValid: 0x85,
  BadUserNameOrPassword: 0x86,
  NotAuthorized: 0x87,
  ServerUnavailable: 0x88,
} as const;
export type ReasonCode = (typeof ReasonCode)[keyof typeof ReasonCode];

/** One version of MQTT: how its packets are checked, and how ours are written. */
export interface Codec {
  /** As people know it. */
  readonly version: '3.1' | '3.1.1';
  /** The CONNACK that refuses a client. */
  connackRefusing(reason: ReasonCode): Buffer;
  /** The first byte of a client's control packet, without the flags that only this version has. */
  plainHeader(header: number): number;
  /** What is wrong with the form of a control packet, other than CONNECT and PUBLISH; undefined if nothing is. */
  controlFault(header: number, body: Buffer): string | undefined;
  /** Bytes that an acknowledgement takes at most. */
  readonly maxAckBytes: number;
  /** Writes a PUBACK, PUBREC or PUBCOMP at a position of the buffer. Returns the position behind it. */
  writeAck(type: number, packetId: number, reason: ReasonCode, buffer: Buffer, at: number): number;
}

/** Reads the fields of a packet (MQTT 3.1.1 section 1.5); undefined for what is cut off or invalid. */
export class FieldReader {
  readonly #body: Buffer;
  position = 0;

  constructor(body: Buffer) {
    this.#body = body;
  }

  get remaining(): number {
    return this.#body.length - this.position;
  }

  byte(): number | undefined {
    return this.#body[this.position++];
  }

  uint16(): number | undefined {
    if (this.position + 2 > this.#body.length) return undefined;
    this.position += 2;
    return this.#body.readUInt16BE(this.position - 2);
  }

  bytes(): Buffer | undefined {
    const length = this.uint16();
    if (length === undefined || this.position + length > this.#body.length) return undefined;
    this.position += length;
    return this.#body.subarray(this.position - length, this.position);
  }

  /** A string of valid UTF-8, without surrogates ([MQTT-1.5.3-1]) and NUL ([MQTT-1.5.3-2]). */
  utf8(): string | undefined {
    const bytes = this.bytes();
    return bytes !== undefined && isUtf8(bytes) && !bytes.includes(0) ? bytes.toString('utf8') : undefined;
  }
}
