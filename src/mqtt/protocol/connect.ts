import type { QoS } from '../../core/publication.ts';
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

/** What is published when the connection ends without DISCONNECT (MQTT 3.1.1 section 3.1.2.5). */
export interface Will {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: QoS;
  readonly retain: boolean;
  /** First byte of its PUBLISH. */
  readonly header: number;
  /** Its topic, with two bytes of length, and its message. */
  readonly frame: Buffer;
}

/** Whether the sink gets it: an empty retained message only deletes one. */
export const isTelemetry = ({ retain, payload }: Will): boolean => !retain || payload.length > 0;

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
}

/** Why a CONNECT is refused, and the packet that says so, if one may be sent. */
export interface ConnectRefusal {
  readonly reason: 'protocol-violation' | 'unsupported-version' | 'identifier-rejected' | 'not-authorised';
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
  return readConnectFields(fields, level === 4 ? MQTT_3_1_1 : MQTT_3_1, generateClientId);
}

function readConnectFields(
  fields: FieldReader,
  codec: Codec,
  generateClientId: () => string,
): { readonly request: ConnectRequest } | { readonly refusal: ConnectRefusal } {
  const rawFlags = fields.byte();
  const keepAliveSeconds = fields.uint16();
  const clientId = fields.utf8();
  if (rawFlags === undefined || keepAliveSeconds === undefined) return violation('cut off');
  if (clientId === undefined) return violation('a client id that is not valid UTF-8 ([MQTT-3.1.3-4])');
  const flags = codec === MQTT_3_1 ? usedFlags(rawFlags) : rawFlags;
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
  if (rest.will?.topic.startsWith('$SYS/') === true) {
    const answer = codec.connackRefusing(ReasonCode.NotAuthorized);
    return refusal('not-authorised', 'a will to a $SYS topic', answer);
  }
  const name = clientId === '' ? generateClientId() : clientId;
  return { request: { codec, clientId: name, clean, keepAliveSeconds, ...rest } };
}

/** MQTT 3.1 (its section 3.1) leaves bit 0 unused, and says nothing of the will's bits where there is no will. */
const usedFlags = (flags: number): number => ((flags & 0x04) === 0 ? flags & 0xc2 : flags & 0xfe);

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
    // No client may write `$` topics.
    if (topic[0] !== DOLLAR || topic.toString('utf8', 0, 5) === '$SYS/') {
      const qos = ((flags >> 3) & 3) as QoS;
      const frame = Buffer.concat([lengthPrefixed(topic), message]);
      will = {
        topic: topic.toString('utf8'),
        payload: frame.subarray(2 + topic.length),
        qos,
        retain: retain !== 0,
        header: (PacketType.Publish << 4) | (qos << 1) | retain,
        frame,
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
