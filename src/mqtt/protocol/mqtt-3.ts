import type { QoS } from '../../core/publication.ts';
import { isTopicFilter } from '../topics/topic-filter.ts';
import { MAX_TOPIC_BYTES, MAX_TOPIC_LEVELS } from '../topics/topic-table.ts';
import {
  DUP_FLAG,
  FieldReader,
  PacketType,
  QOS_FLAGS,
  ReasonCode,
  type Codec,
  type ControlPacket,
  type FilterRequest,
  type PublishHead,
} from './codec.ts';

/** What is wrong with what isTopicFilter refuses. */
const NO_TOPIC_FILTER = `an invalid topic filter, or one of more than ${MAX_TOPIC_BYTES} bytes or ${MAX_TOPIC_LEVELS} levels`;
const RESERVED_FLAGS = 'reserved flags in the fixed header ([MQTT-2.2.2-2])';
const NO_PACKET_ID = 'packet identifier 0 ([MQTT-2.3.1-1])';
const ACK_BYTES = 4;

/** CONNACK return codes (MQTT 3.1.1 table 3.1). */
const RETURN_CODES: ReadonlyMap<ReasonCode, number> = new Map([
  [ReasonCode.UnsupportedProtocolVersion, 1],
  [ReasonCode.ClientIdentifierNotValid, 2],
  [ReasonCode.ServerUnavailable, 3],
  [ReasonCode.BadUserNameOrPassword, 4],
  [ReasonCode.NotAuthorized, 5],
]);
const SERVER_UNAVAILABLE = 3;

/** The flags that a client's control packet must have (MQTT 3.1.1 table 2.2), by type; other types never come. */
const FLAGS: ReadonlyMap<number, number> = new Map([
  [PacketType.Puback, 0],
  [PacketType.Pubrec, 0],
  [PacketType.Pubrel, 2],
  [PacketType.Pubcomp, 0],
  [PacketType.Subscribe, 2],
  [PacketType.Unsubscribe, 2],
  [PacketType.Pingreq, 0],
  [PacketType.Disconnect, 0],
]);

/** A SUBACK's return code for a filter that is refused (MQTT 3.1.1 section 3.9.3). */
const FILTER_REFUSED = 0x80;
const NO_FILTERS: readonly FilterRequest[] = [];

/** MQTT 3.1 and 3.1.1, which differ in little: their acknowledgements have no reason. */
class Mqtt3 implements Codec {
  readonly version: '3.1' | '3.1.1';
  readonly publishFormat = 0;
  readonly maxAckBytes = ACK_BYTES;
  readonly pingresp = Buffer.from([PacketType.Pingresp << 4, 0]);

  constructor(version: '3.1' | '3.1.1') {
    this.version = version;
  }

  read(header: number, body: Buffer): ControlPacket | string {
    const type = header >> 4;
    if (type === PacketType.Connect) return 'a second CONNECT ([MQTT-3.1.0-2])';
    const flags = FLAGS.get(type);
    if (flags === undefined) return `a packet of type ${type}, which no client sends`;
    if ((header & ~this.#optionalFlags(type) & 0x0f) !== flags) return RESERVED_FLAGS;
    switch (type) {
      case PacketType.Subscribe:
      case PacketType.Unsubscribe:
        return readFilters(type, body);
      case PacketType.Pingreq:
      case PacketType.Disconnect:
        if (body.length > 0) return 'a PINGREQ or DISCONNECT with content';
        return { type, packetId: 0, filters: NO_FILTERS };
      default: {
        if (body.length !== 2) return `an acknowledgement of ${body.length} instead of 2 bytes`;
        const packetId = body.readUInt16BE(0);
        return packetId === 0 ? NO_PACKET_ID : { type, packetId, filters: NO_FILTERS };
      }
    }
  }

  /** MQTT 3.1 may set DUP on repeated SUBSCRIBE, UNSUBSCRIBE and PUBREL (its section 2.1), 3.1.1 may not. */
  #optionalFlags(type: number): number {
    const isRepeatable =
      type === PacketType.Subscribe || type === PacketType.Unsubscribe || type === PacketType.Pubrel;
    return this.version === '3.1' && isRepeatable ? DUP_FLAG : 0;
  }

  connack(sessionPresent: boolean): Buffer {
    return Buffer.from([PacketType.Connack << 4, 2, sessionPresent ? 1 : 0, 0]);
  }

  connackRefusing(reason: ReasonCode): Buffer {
    return Buffer.from([PacketType.Connack << 4, 2, 0, RETURN_CODES.get(reason) ?? SERVER_UNAVAILABLE]);
  }

  suback(packetId: number, granted: readonly (QoS | undefined)[]): Buffer {
    const { bytes, end } = packetOf(PacketType.Suback << 4, 2 + granted.length);
    bytes.writeUInt16BE(packetId, end - 2 - granted.length);
    for (const [index, qos] of granted.entries()) {
      bytes[end - granted.length + index] = qos ?? FILTER_REFUSED;
    }
    return bytes;
  }

  unsuback(packetId: number): Buffer {
    return acknowledgement(PacketType.Unsuback << 4, packetId);
  }

  pubrel(packetId: number): Buffer {
    return acknowledgement((PacketType.Pubrel << 4) | 2, packetId);
  }

  publishHead(topic: string, payloadBytes: number, flags: number): PublishHead {
    const topicBytes = Buffer.byteLength(topic);
    const idBytes = (flags & QOS_FLAGS) === 0 ? 0 : 2;
    const header = (PacketType.Publish << 4) | flags;
    const { bytes, end } = packetOf(header, 2 + topicBytes + idBytes + payloadBytes, payloadBytes);
    const topicAt = end - idBytes - topicBytes;
    bytes.writeUInt16BE(topicBytes, topicAt - 2);
    bytes.write(topic, topicAt, topicBytes);
    return { bytes, packetIdAt: idBytes === 0 ? 0 : end - idBytes };
  }

  writeAck(type: number, packetId: number, _reason: ReasonCode, buffer: Buffer, at: number): number {
    buffer[at] = type << 4;
    buffer[at + 1] = 2;
    buffer[at + 2] = packetId >>> 8;
    buffer[at + 3] = packetId & 0xff;
    return at + ACK_BYTES;
  }
}

export const MQTT_3_1: Codec = new Mqtt3('3.1');
export const MQTT_3_1_1: Codec = new Mqtt3('3.1.1');

/** Room for a packet of `remaining` bytes behind its fixed header, which is written; `without` its last bytes. */
function packetOf(header: number, remaining: number, without = 0): { bytes: Buffer; end: number } {
  let lengthBytes = 1;
  while (remaining >= 2 ** (7 * lengthBytes)) lengthBytes++;
  const end = 1 + lengthBytes + remaining - without;
  const bytes = Buffer.allocUnsafe(end);
  bytes[0] = header;
  let rest = remaining;
  for (let at = 1; at <= lengthBytes; at++, rest >>>= 7) {
    bytes[at] = (rest & 0x7f) | (at < lengthBytes ? 0x80 : 0);
  }
  return { bytes, end };
}

const acknowledgement = (header: number, packetId: number): Buffer =>
  Buffer.from([header, 2, packetId >>> 8, packetId & 0xff]);

/** Reads a SUBSCRIBE (MQTT 3.1.1 section 3.8) or UNSUBSCRIBE (section 3.10), body without the fixed header. */
function readFilters(type: number, body: Buffer): ControlPacket | string {
  const isSubscribe = type === PacketType.Subscribe;
  const name = isSubscribe ? 'SUBSCRIBE' : 'UNSUBSCRIBE';
  const fields = new FieldReader(body);
  const packetId = fields.uint16();
  if (packetId === undefined) return `${name} without a packet identifier`;
  if (packetId === 0) return `${name} with ${NO_PACKET_ID}`;
  const filters: FilterRequest[] = [];
  while (fields.remaining > 0) {
    const filter = fields.utf8();
    if (filter === undefined || !isTopicFilter(filter)) return `${name} with ${NO_TOPIC_FILTER}`;
    const qos = isSubscribe ? fields.byte() : 0;
    if (qos === undefined || qos > 2) return 'SUBSCRIBE with an invalid QoS ([MQTT-3-8.3-4])';
    filters.push({ filter, qos: qos as QoS });
  }
  if (filters.length === 0) return `${name} without a topic filter ([MQTT-3.8.3-3], [MQTT-3.10.3-2])`;
  return { type, packetId, filters };
}
