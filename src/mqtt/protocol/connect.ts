import { isTopicName, NO_TOPIC_NAME } from '../topics/topic-table.ts';
import { FieldReader, PacketType, ReasonCode, type Codec } from './codec.ts';
import { MQTT_3_1, MQTT_3_1_1 } from './mqtt-3.ts';

/** MQTT 5 section 3.2: reason code 0x84, Unsupported Protocol Version, no properties. */
const CONNACK_VERSION_5_UNSUPPORTED = Buffer.from([
  PacketType.Connack << 4,
  3,
  0,
  ReasonCode.UnsupportedProtocolVersion,
  0,
]);

const DOLLAR = 0x24;

/** What goes to the sink when the connection ends without DISCONNECT (MQTT 3.1.1 section 3.1.2.5). */
export interface Will {
  /** First byte of its PUBLISH. */
  readonly header: number;
  readonly topic: string;
  /** Its topic, with two bytes of length, and its message. */
  readonly frame: Buffer;
}

/** What a CONNECT asks for. */
export interface ConnectRequest {
  readonly codec: Codec;
  readonly clientId: string;
  readonly clean: boolean;
  /** Seconds; 0 for none. */
  readonly keepAliveSeconds: number;
  readonly will: Will | undefined;
  readonly userName: string | undefined;
  readonly password: Buffer | undefined;
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
  const level = fields.byte();
  if (protocolName === undefined || level === undefined) return violation('cut off');
  if (protocolName !== 'MQTT' && protocolName !== 'MQIsdp') {
    return violation(`protocol name ${JSON.stringify(protocolName.slice(0, 16))} ([MQTT-3.1.2-1])`);
  }
  if (protocolName === 'MQTT' && level === 5) {
    return refusal(
      'unsupported-version',
      'the client speaks MQTT 5; MQTT 3.1.1 and 3.1 are supported: set its protocol version to 4',
      CONNACK_VERSION_5_UNSUPPORTED,
    );
  }
  if (level !== (protocolName === 'MQTT' ? 4 : 3)) {
    return refusal(
      'unsupported-version',
      `protocol ${protocolName} level ${level} ([MQTT-3.1.2-2])`,
      MQTT_3_1_1.connackRefusing(ReasonCode.UnsupportedProtocolVersion),
    );
  }
  return readConnectFields(fields, body, level === 4 ? MQTT_3_1_1 : MQTT_3_1, generateClientId);
}

function readConnectFields(
  fields: FieldReader,
  body: Buffer,
  codec: Codec,
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
  if (clientId === '' && (!clean || codec === MQTT_3_1)) {
    return refusal(
      'identifier-rejected',
      'an empty client id needs a clean session ([MQTT-3.1.3-8])',
      codec.connackRefusing(ReasonCode.ClientIdentifierNotValid),
    );
  }
  const name = clientId === '' ? generateClientId() : clientId;
  const packet = fixedHeader(PacketType.Connect << 4, [
    body.subarray(0, keepAliveAt),
    Buffer.from([0, 0]),
    clientId === '' ? lengthPrefixed(Buffer.from(name)) : body.subarray(clientIdAt, clientIdEnd),
    body.subarray(clientIdEnd),
  ]);
  return { request: { codec, clientId: name, clean, keepAliveSeconds, ...rest, packet } };
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

/** Reads what stands behind the client id. Returns what is wrong with it, or copies. */
function readRest(
  fields: FieldReader,
  flags: number,
): string | Pick<ConnectRequest, 'will' | 'userName' | 'password'> {
  let will: Will | undefined;
  if ((flags & 0x04) !== 0) {
    const topic = fields.bytes();
    if (topic === undefined || !isTopicName(topic)) return `a will with ${NO_TOPIC_NAME}`;
    const message = fields.bytes();
    if (message === undefined) return 'cut off in the will message';
    const retain = (flags >> 5) & 1;
    // No client may write `$` topics, and an empty retained message only deletes one: no telemetry.
    if (topic[0] !== DOLLAR && (retain === 0 || message.length > 0)) {
      will = {
        header: (PacketType.Publish << 4) | ((flags >> 2) & 0x06) | retain,
        topic: topic.toString('utf8'),
        frame: Buffer.concat([lengthPrefixed(topic), message]),
      };
    }
  }
  const userName = (flags & 0x80) === 0 ? undefined : fields.utf8();
  if ((flags & 0x80) !== 0 && userName === undefined) return 'an invalid user name ([MQTT-3.1.3-11])';
  const password = (flags & 0x40) === 0 ? undefined : fields.bytes();
  if ((flags & 0x40) !== 0 && password === undefined) return 'cut off in the password';
  if (fields.remaining > 0) return 'bytes behind the last field';
  return { will, userName, password: password === undefined ? undefined : Buffer.from(password) };
}

const refusal = (
  reason: ConnectRefusal['reason'],
  detail: string,
  reply: Buffer,
): { refusal: ConnectRefusal } => ({ refusal: { reason, detail, reply } });

const violation = (detail: string): { refusal: ConnectRefusal } => ({
  refusal: { reason: 'protocol-violation', detail: `CONNECT: ${detail}` },
});

const lengthPrefixed = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);

function fixedHeader(firstByte: number, body: readonly Buffer[]): Buffer {
  let rest = body.reduce((sum, part) => sum + part.length, 0);
  const header = [firstByte];
  do {
    header.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.concat([Buffer.from(header), ...body]);
}
