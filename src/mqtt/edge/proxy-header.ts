import { isIP } from 'node:net';

/*
 * The header with which a load balancer tells whose connection it forwards: HAProxy's PROXY protocol, versions
 * 1 (text) and 2 (binary), as in its proxy-protocol.txt.
 */

/**
 * `client` is `address:port`, or undefined where the balancer speaks for itself (health checks) or doesn't know;
 * the connection's bytes begin at `end`.
 */
export type ProxyHeader =
  | { readonly kind: 'header'; readonly client: string | undefined; readonly end: number }
  | { readonly kind: 'unfinished' }
  | { readonly kind: 'problem'; readonly detail: string };

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V1_START = Buffer.from('PROXY ', 'latin1');
/** A line of version 1, CRLF included (section 2.1). */
const V1_MAX_BYTES = 107;
/** Addresses of version 2 take 12 to 216 bytes; the rest is for what balancers add, certificates at most. */
const V2_MAX_BODY_BYTES = 4_096;
/** No header is longer. */
export const MAX_PROXY_HEADER_BYTES = SIGNATURE.length + 4 + V2_MAX_BODY_BYTES;

const UNFINISHED = { kind: 'unfinished' } as const;

/** Reads the header at the begin of a connection. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsLike(bytes, SIGNATURE)) return bytes.length < SIGNATURE.length + 4 ? UNFINISHED : readV2(bytes);
  if (startsLike(bytes, V1_START)) return readV1(bytes);
  return problem('it does not begin with a PROXY protocol header');
}

/** Whether what is there of the bytes is what is there of the prefix. */
function startsLike(bytes: Buffer, prefix: Buffer): boolean {
  const length = Math.min(bytes.length, prefix.length);
  return bytes.subarray(0, length).equals(prefix.subarray(0, length));
}

function readV1(bytes: Buffer): ProxyHeader {
  const lineEnd = bytes.subarray(0, V1_MAX_BYTES).indexOf('\r\n');
  if (lineEnd < 0) {
    return bytes.length < V1_MAX_BYTES ? UNFINISHED : problem('a PROXY line of more than 107 bytes');
  }
  const end = lineEnd + 2;
  const [, protocol, source = '', destination = '', sourcePort = '', destinationPort = '', ...rest] = bytes
    .toString('latin1', 0, lineEnd)
    .split(' ');
  // Whatever stands behind UNKNOWN is to be ignored.
  if (protocol === 'UNKNOWN') return { kind: 'header', client: undefined, end };
  const family = protocol === 'TCP4' ? 4 : protocol === 'TCP6' ? 6 : -1;
  const sound =
    isIP(source) === family &&
    isIP(destination) === family &&
    isPort(sourcePort) &&
    isPort(destinationPort) &&
    rest.length === 0;
  return sound
    ? { kind: 'header', client: `${source}:${sourcePort}`, end }
    : problem('a PROXY line that is not well-formed');
}

const isPort = (text: string): boolean => /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;

const COMMAND_LOCAL = 0x20;
const COMMAND_PROXY = 0x21;
const FAMILY_IPV4 = 1;
const FAMILY_IPV6 = 2;
/** Bytes of source and destination with their ports. */
const IPV4_BYTES = 12;
const IPV6_BYTES = 36;

function readV2(bytes: Buffer): ProxyHeader {
  const command = bytes[12] as number;
  const family = (bytes[13] as number) >> 4;
  const bodyBytes = bytes.readUInt16BE(14);
  const start = 16;
  const end = start + bodyBytes;
  if (command !== COMMAND_LOCAL && command !== COMMAND_PROXY) {
    return problem('a PROXY header with a version or command that does not exist');
  }
  if (bodyBytes > V2_MAX_BODY_BYTES) return problem(`a PROXY header of ${bodyBytes} bytes`);
  if (bytes.length < end) return UNFINISHED;
  if (command === COMMAND_LOCAL) return { kind: 'header', client: undefined, end };
  switch (family) {
    case FAMILY_IPV4:
      if (bodyBytes < IPV4_BYTES) return problem('a PROXY header that is too short for its addresses');
      return {
        kind: 'header',
        client: `${bytes.subarray(start, start + 4).join('.')}:${bytes.readUInt16BE(start + 8)}`,
        end,
      };
    case FAMILY_IPV6:
      if (bodyBytes < IPV6_BYTES) return problem('a PROXY header that is too short for its addresses');
      return { kind: 'header', client: `${ipv6(bytes, start)}:${bytes.readUInt16BE(start + 32)}`, end };
    default:
      return { kind: 'header', client: undefined, end };
  }
}

/** An IPv6 address as people write it. */
function ipv6(bytes: Buffer, start: number): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(start + 2 * index).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

function problem(detail: string): ProxyHeader {
  return { kind: 'problem', detail };
}
