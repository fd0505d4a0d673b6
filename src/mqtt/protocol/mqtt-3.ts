import { isTopicFilter } from '../topics/topic-filter.ts';
import { MAX_TOPIC_BYTES, MAX_TOPIC_LEVELS } from '../topics/topic-table.ts';
import { FieldReader, PacketType, ReasonCode, type Codec } from './codec.ts';

/** What is wrong with what isTopicFilter refuses. */
const NO_TOPIC_FILTER = `an invalid topic filter, or one of more than ${MAX_TOPIC_BYTES} bytes or ${MAX_TOPIC_LEVELS} levels`;
const RESERVED_FLAGS = 'reserved flags in the fixed header ([MQTT-2.2.2-2])';
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

/** MQTT 3.1 and 3.1.1, which differ in little: their acknowledgements have no reason. */
class Mqtt3 implements Codec {
  readonly version: '3.1' | '3.1.1';
  readonly maxAckBytes = ACK_BYTES;

  constructor(version: '3.1' | '3.1.1') {
    this.version = version;
  }

  connackRefusing(reason: ReasonCode): Buffer {
    return Buffer.from([PacketType.Connack << 4, 2, 0, RETURN_CODES.get(reason) ?? SERVER_UNAVAILABLE]);
  }

  /** MQTT 3.1 may set DUP on repeated SUBSCRIBE, UNSUBSCRIBE and PUBREL (its section 2.1), 3.1.1 may not. */
  plainHeader(header: number): number {
    const type = header >> 4;
    const isRepeatable =
      type === PacketType.Subscribe || type === PacketType.Unsubscribe || type === PacketType.Pubrel;
    return this.version === '3.1' && isRepeatable ? header & ~0x08 : header;
  }

  controlFault(header: number, body: Buffer): string | undefined {
    const type = header >> 4;
    if (type === PacketType.Connect) return 'a second CONNECT ([MQTT-3.1.0-2])';
    const flags = FLAGS.get(type);
    if (flags === undefined) return `a packet of type ${type}, which no client sends`;
    if ((header & 0x0f) !== flags) return RESERVED_FLAGS;
    switch (type) {
      case PacketType.Subscribe:
        return subscriptionFault(body, 'SUBSCRIBE');
      case PacketType.Unsubscribe:
        return subscriptionFault(body, 'UNSUBSCRIBE');
      case PacketType.Pingreq:
      case PacketType.Disconnect:
        return body.length === 0 ? undefined : 'a PINGREQ or DISCONNECT with content';
      default:
        return packetIdFault(body);
    }
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

function packetIdFault(body: Buffer): string | undefined {
  if (body.length !== 2) return `an acknowledgement of ${body.length} instead of 2 bytes`;
  return body.readUInt16BE(0) === 0 ? 'packet identifier 0 ([MQTT-2.3.1-1])' : undefined;
}

/**
 * What is wrong with a SUBSCRIBE (MQTT 3.1.1 section 3.8) or UNSUBSCRIBE (section 3.10), body without the
 * fixed header; undefined if nothing is.
 */
function subscriptionFault(body: Buffer, type: 'SUBSCRIBE' | 'UNSUBSCRIBE'): string | undefined {
  const fields = new FieldReader(body);
  const packetId = fields.uint16();
  if (packetId === undefined) return `${type} without a packet identifier`;
  if (packetId === 0) return `${type} with packet identifier 0 ([MQTT-2.3.1-1])`;
  let filters = 0;
  for (; fields.remaining > 0; filters++) {
    const filter = fields.utf8();
    if (filter === undefined || !isTopicFilter(filter)) return `${type} with ${NO_TOPIC_FILTER}`;
    if (type === 'UNSUBSCRIBE') continue;
    const qos = fields.byte();
    if (qos === undefined || qos > 2) return 'SUBSCRIBE with an invalid QoS ([MQTT-3-8.3-4])';
  }
  return filters === 0 ? `${type} without a topic filter ([MQTT-3.8.3-3], [MQTT-3.10.3-2])` : undefined;
}
