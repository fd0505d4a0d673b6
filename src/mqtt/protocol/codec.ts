import { isUtf8 } from 'node:buffer';
import type { QoS } from '../../core/publication.ts';

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

/** Flags of a PUBLISH in its first byte (MQTT 3.1.1 section 3.3.1). */
export const QOS_FLAGS = 0x06;
export const DUP_FLAG = 0x08;
export const RETAIN_FLAG = 0x01;

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

/** What a SUBSCRIBE asks for; of an UNSUBSCRIBE the QoS says nothing. */
export interface FilterRequest {
  readonly filter: string;
  readonly qos: QoS;
}

/** A control packet of a client, other than CONNECT and PUBLISH. */
export interface ControlPacket {
  readonly type: number;
  /** 0 where there is none. */
  readonly packetId: number;
  readonly filters: readonly FilterRequest[];
}

/** What stands before the payload of a PUBLISH, and where its packet identifier has to be written; 0: nowhere. */
export interface PublishHead {
  readonly bytes: Buffer;
  readonly packetIdAt: number;
}

/** One version of MQTT: how its packets are read and checked, and how ours are written. */
export interface Codec {
  /** As people know it. */
  readonly version: '3.1' | '3.1.1';
  /** Versions with the same number have the same PUBLISH packets. */
  readonly publishFormat: number;
  /** Reads a control packet, body without the fixed header. Returns what is wrong with its form, if anything is. */
  read(header: number, body: Buffer): ControlPacket | string;
  /** The CONNACK that lets a client in, and the one that refuses it. */
  connack(sessionPresent: boolean): Buffer;
  connackRefusing(reason: ReasonCode): Buffer;
  /** `granted`: by filter, in the order of the SUBSCRIBE; undefined: refused. */
  suback(packetId: number, granted: readonly (QoS | undefined)[]): Buffer;
  unsuback(packetId: number): Buffer;
  pubrel(packetId: number): Buffer;
  readonly pingresp: Buffer;
  /** The head of a PUBLISH; `flags`: those of its first byte. */
  publishHead(topic: string, payloadBytes: number, flags: number): PublishHead;
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
