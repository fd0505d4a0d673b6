import { isUtf8 } from 'node:buffer';
import { isTopicFilter } from '../topics/topic-filter.ts';
import { isTopicName, MAX_TOPIC_BYTES, MAX_TOPIC_LEVELS, NO_TOPIC_NAME } from '../topics/topic-table.ts';

/** What is wrong with what isTopicFilter refuses. */
const NO_TOPIC_FILTER = `an invalid topic filter, or one of more than ${MAX_TOPIC_BYTES} bytes or ${MAX_TOPIC_LEVELS} levels`;

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

/** CONNACK return codes (MQTT 3.1.1 table 3.1). */
export const ConnackCode = {
  Accepted: 0,
  UnacceptableProtocolVersion: 1,
  IdentifierRejected: 2,
  ServerUnavailable: 3,
} as const;

/** A CONNACK for MQTT 3.1 and 3.1.1. */
export const connack = (code: number): Buffer => Buffer.from([PacketType.Connack << 4, 2, 0, code]);

/** MQTT 5 section 3.2: reason code 0x84, Unsupported Protocol Version, no properties. */
const CONNACK_VERSION_5_UNSUPPORTED = Buffer.from([PacketType.Connack << 4, 3, 0, 0x84, 0]);

const DOLLAR = 0x24;

/** What goes to the sink when the connection ends without DISCONNECT (MQTT 3.1.1 section 3.1.2.5). */
export interface Will {
  /** First byte of its PUBLISH. */
  readonly header: number;
  /** Its topic, with two bytes of length, and its message. */
  readonly frame: Buffer;
}

/** What a CONNECT asks for. */
export interface ConnectRequest {
  readonly protocolVersion: 3 | 4;
  readonly clientId: string;
  readonly clean: boolean;
  /** Seconds; 0 for none. */
  readonly keepAliveSeconds: number;
  readonly will: Will | undefined;
  /** The packet for aedes: keepalive 0, because the clock is ours, and never without a client id. */
  readonly packet: Buffer;
}

/** Why a CONNECT is refused, and the packet that says so, if one may be sent. */
export interface ConnectRefusal {
  readonly reason: 'protocol-violation' | 'unsupported-version' | 'identifier-rejected';
  readonly detail: string;
  readonly reply?: Buffer;
}

/**
 * Reads a CONNECT (MQTT 3.1.1 section 3.1), body without the fixed header, and checks everything that can be
 * checked without knowing sessions or users. `generateClientId` names a client that left its id empty.
 */
export function readConnect(
  body: Buffer,
  generateClientId: () => string,
): { readonly request: ConnectRequest } | { readonly refusal: ConnectRefusal } {
  const fields = new FieldReader(body);
  const protocolName = fields.utf8();
  const protocolVersion = fields.byte();
  if (protocolName === undefined || protocolVersion === undefined) return violation('cut off');
  if (protocolName !== 'MQTT' && protocolName !== 'MQIsdp') {
    return violation(`protocol name ${JSON.stringify(protocolName.slice(0, 16))} ([MQTT-3.1.2-1])`);
  }
  if (protocolName === 'MQTT' && protocolVersion === 5) {
    return {
      refusal: {
        reason: 'unsupported-version',
        detail: 'the client speaks MQTT 5; MQTT 3.1.1 and 3.1 are supported: set its protocol version to 4',
        reply: CONNACK_VERSION_5_UNSUPPORTED,
      },
    };
  }
  if (protocolVersion !== (protocolName === 'MQTT' ? 4 : 3)) {
    return {
      refusal: {
        reason: 'unsupported-version',
        detail: `protocol ${protocolName} level ${protocolVersion} ([MQTT-3.1.2-2])`,
        reply: connack(ConnackCode.UnacceptableProtocolVersion),
      },
    };
  }
  return readConnectFields(fields, body, protocolVersion === 4 ? 4 : 3, generateClientId);
}

function readConnectFields(
  fields: FieldReader,
  body: Buffer,
  protocolVersion: 3 | 4,
  generateClientId: () => string,
): { readonly request: ConnectRequest } | { readonly refusal: ConnectRefusal } {
  const flags = fields.byte();
  const keepAliveAt = fields.position;
  const keepAliveSeconds = fields.uint16();
  const clientIdAt = fields.position;
  const clientId = fields.utf8();
  if (flags === undefined || keepAliveSeconds === undefined) return violation('cut off');
  if (clientId === undefined) return violation('a client id that is not valid UTF-8 ([MQTT-3.1.3-4])');
  const clientIdEnd = fields.position;
  const rest = flagsFault(flags) ?? readRest(fields, flags);
  if (typeof rest === 'string') return violation(rest);

  const clean = (flags & 0x02) !== 0;
  if (clientId === '' && (!clean || protocolVersion === 3)) {
    return {
      refusal: {
        reason: 'identifier-rejected',
        detail: 'an empty client id needs a clean session ([MQTT-3.1.3-8])',
        reply: connack(ConnackCode.IdentifierRejected),
      },
    };
  }
  const name = clientId === '' ? generateClientId() : clientId;
  const packet = fixedHeader(PacketType.Connect << 4, [
    body.subarray(0, keepAliveAt),
    Buffer.from([0, 0]),
    ...(clientId === '' ? [lengthPrefixed(name)] : [body.subarray(clientIdAt, clientIdEnd)]),
    body.subarray(clientIdEnd),
  ]);
  return { request: { protocolVersion, clientId: name, clean, keepAliveSeconds, will: rest.will, packet } };
}

function flagsFault(flags: number): string | undefined {
  const will = (flags & 0x04) !== 0;
  const willQos = (flags >> 3) & 3;
  if ((flags & 0x01) !== 0) return 'the reserved connect flag is set ([MQTT-3.1.2-3])';
  if (willQos === 3) return 'Will QoS 3 ([MQTT-3.1.2-14])';
  if (!will && (flags & 0x38) !== 0) return 'Will QoS or Will Retain without a will ([MQTT-3.1.2-13])';
  if ((flags & 0xc0) === 0x40) return 'a password without a user name ([MQTT-3.1.2-22])';
  return undefined;
}

/** Will, user name and password: checked here, read by aedes. Returns what is wrong, or else a copy of the will. */
function readRest(fields: FieldReader, flags: number): string | { readonly will: Will | undefined } {
  let will: Will | undefined;
  if ((flags & 0x04) !== 0) {
    const topic = fields.bytes();
    if (topic === undefined || !isTopicName(topic)) return `a will with ${NO_TOPIC_NAME}`;
    const message = fields.bytes();
    if (message === undefined) return 'cut off in the will message';
    const retain = (flags >> 5) & 1;
    // No client may write `$` topics, and an empty retained message only deletes one: no telemetry.
    if (topic[0] !== DOLLAR && (retain === 0 || message.length > 0)) {
      const length = Buffer.from([topic.length >> 8, topic.length & 0xff]);
      will = {
        header: (PacketType.Publish << 4) | ((flags >> 2) & 0x06) | retain,
        frame: Buffer.concat([length, topic, message]),
      };
    }
  }
  if ((flags & 0x80) !== 0 && fields.utf8() === undefined) return 'an invalid user name ([MQTT-3.1.3-11])';
  if ((flags & 0x40) !== 0 && fields.bytes() === undefined) return 'cut off in the password';
  return fields.remaining === 0 ? { will } : 'bytes behind the last field';
}

const violation = (detail: string): { refusal: ConnectRefusal } => ({
  refusal: { reason: 'protocol-violation', detail: `CONNECT: ${detail}` },
});

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

/**
 * The first byte of a packet without DUP where MQTT 3.1 may set it and 3.1.1 may not: on repeated SUBSCRIBE,
 * UNSUBSCRIBE and PUBREL (MQTT 3.1 section 2.1).
 */
export function withoutDup(header: number): number {
  const type = header >> 4;
  const repeatable =
    type === PacketType.Subscribe || type === PacketType.Unsubscribe || type === PacketType.Pubrel;
  return repeatable ? header & ~0x08 : header;
}

/** What is wrong with the form of a control packet, other than CONNECT and PUBLISH; undefined if nothing is. */
export function controlFault(header: number, body: Buffer): string | undefined {
  const flags = header & 0x0f;
  switch (header >> 4) {
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubcomp:
      return flags === 0 ? packetIdFault(body) : RESERVED_FLAGS;
    case PacketType.Pubrel:
      return flags === 2 ? packetIdFault(body) : RESERVED_FLAGS;
    case PacketType.Subscribe:
      return flags === 2 ? subscriptionFault(body, 'SUBSCRIBE') : RESERVED_FLAGS;
    case PacketType.Unsubscribe:
      return flags === 2 ? subscriptionFault(body, 'UNSUBSCRIBE') : RESERVED_FLAGS;
    case PacketType.Pingreq:
    case PacketType.Disconnect:
      if (flags !== 0) return RESERVED_FLAGS;
      return body.length === 0 ? undefined : 'a PINGREQ or DISCONNECT with content';
    case PacketType.Connect:
      return 'a second CONNECT ([MQTT-3.1.0-2])';
    default:
      return `a packet of type ${header >> 4}, which no client sends`;
  }
}

const RESERVED_FLAGS = 'reserved flags in the fixed header ([MQTT-2.2.2-2])';

function packetIdFault(body: Buffer): string | undefined {
  if (body.length !== 2) return `an acknowledgement of ${body.length} instead of 2 bytes`;
  return body.readUInt16BE(0) === 0 ? 'packet identifier 0 ([MQTT-2.3.1-1])' : undefined;
}

/** Reads the fields of a packet (MQTT 3.1.1 section 1.5); undefined for what is cut off or invalid. */
class FieldReader {
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

function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function fixedHeader(firstByte: number, body: readonly Buffer[]): Buffer {
  let rest = body.reduce((sum, part) => sum + part.length, 0);
  const header = [firstByte];
  do {
    header.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.concat([Buffer.from(header), ...body]);
}
