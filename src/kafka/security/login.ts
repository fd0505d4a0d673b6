import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { KafkaError, KafkaErrorCode } from '../../producer/cluster/kafka-errors.ts';
import type { NegotiatedVersions, RequestSender } from '../protocol/api-versions.ts';
import { ProtocolReader, ProtocolWriter } from '../protocol/protocol-bytes.ts';
import { rejectedTokenReason, type BearerToken } from './oauth.ts';
import { LoginError, type Credentials, type Exchange, type Sasl } from './sasl.ts';

/** A login that has all that it needs, before the broker is asked to begin one: `converse` is its conversation. */
type PreparedLogin = Awaited<ReturnType<typeof prepareLogin>>;

/**
 * Gets the credentials that are valid now, which may take an endpoint's answer.
 * @throws SecurityConfigError, TokenError
 */
export async function prepareLogin(sasl: Sasl) {
  const { mechanism } = sasl;
  if (mechanism === 'OAUTHBEARER') {
    const token = await sasl.token();
    return { mechanism, converse: (exchange: Exchange) => bearerLogin(token, exchange) };
  }
  const credentials = sasl.credentials();
  if (mechanism === 'PLAIN') {
    return { mechanism, converse: (exchange: Exchange) => plainLogin(credentials, exchange) };
  }
  return { mechanism, converse: (exchange: Exchange) => scramLogin(mechanism, credentials, exchange) };
}

/**
 * Logs in by SaslHandshake 1 and SaslAuthenticate 0 to 2, for the first time or again (KIP-43, KIP-152, KIP-368).
 *
 * @returns for how long the login is good, milliseconds; 0: as long as the connection
 * @throws KafkaError the broker does not want this mechanism, or us
 * @throws LoginError it says what is not right
 */
export async function logIn(
  channel: RequestSender,
  versions: NegotiatedVersions,
  { mechanism, converse }: PreparedLogin,
): Promise<number> {
  const handshake = versions.of('saslHandshake');
  const answer = await channel.request(handshake, [new ProtocolWriter(false).string(mechanism)]);
  throwRefusal(new ProtocolReader(answer, false).int16(), null);

  const api = versions.of('saslAuthenticate');
  const write = new ProtocolWriter(api.requestTags);
  let lifetimeMs = 0n;
  await converse(async (message) => {
    const body = [write.length(message.length), message, write.noTags()];
    const reader = new ProtocolReader(await channel.request(api, body), api.responseTags);
    throwRefusal(reader.int16(), reader.nullableString());
    const said = reader.bytes();
    if (api.version >= 1) lifetimeMs = reader.int64();
    return said;
  });
  return Number(lifetimeMs);
}

function throwRefusal(errorCode: number, message: string | null): void {
  if (errorCode !== KafkaErrorCode.NONE) throw new KafkaError(errorCode, 'the login', message);
}

/** RFC 4616: no identity but our own. */
async function plainLogin({ username, password }: Credentials, exchange: Exchange): Promise<void> {
  await exchange(Buffer.from(`\0${username}\0${password}`));
}

/** RFC 7628, section 3.1, with the extensions of KIP-342. */
async function bearerLogin({ value, extensions }: BearerToken, exchange: Exchange): Promise<void> {
  const pairs = Object.entries({ auth: `Bearer ${value}`, ...extensions });
  const message = `n,,\x01${pairs.map(([key, text]) => `${key}=${text}\x01`).join('')}\x01`;
  const reason = rejectedTokenReason(await exchange(Buffer.from(message)));
  if (reason !== undefined) {
    throw new LoginError(`refused our login (${reason}): is the token this cluster's, and not too old?`);
  }
}

const HASHES = {
  'SCRAM-SHA-256': { name: 'sha256', bytes: 32 },
  'SCRAM-SHA-512': { name: 'sha512', bytes: 64 },
} as const;
export type ScramMechanism = keyof typeof HASHES;

/** RFC 7677, section 4; Kafka takes no fewer either. */
const LEAST_ITERATIONS = 4_096;
/** A second or so of one thread. Kafka itself makes no user with more than 16,384. */
const MOST_ITERATIONS = 1_000_000;

/** GS2 header: no channel binding, no other identity (RFC 5802, section 7). */
const GS2_HEADER = 'n,,';
const NONCE_BYTES = 24;

/** server-first-message and server-final-message (RFC 5802, section 7). Mandatory extensions (m=) are none that we know. */
const SERVER_FIRST = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9]\d{0,9})(?:,|$)/;
const SERVER_FINAL = /^([ev])=([^,]+)/;

const derive = promisify(pbkdf2);

/**
 * Logs in by SCRAM (RFC 5802, RFC 7677). The broker never sees the password, and has to prove that it knows it too.
 * As in Kafka, names and passwords are their UTF-8 bytes, without SASLprep: it would log in others than the broker
 * has made.
 *
 * @param nonce printable, without a comma; a new one for each login
 * @throws LoginError the broker's part of the conversation is not right, or it refuses us
 */
export async function scramLogin(
  mechanism: ScramMechanism,
  { username, password }: Credentials,
  exchange: Exchange,
  nonce = randomBytes(NONCE_BYTES).toString('base64url'),
): Promise<void> {
  const hash = HASHES[mechanism];
  const hmac = (key: Buffer, text: string): Buffer => createHmac(hash.name, key).update(text).digest();

  const clientFirst = `n=${saslName(username)},r=${nonce}`;
  const serverFirst = (await exchange(Buffer.from(GS2_HEADER + clientFirst))).toString('utf8');
  const { serverNonce, salt, iterations } = parseServerFirst(serverFirst, nonce);

  const clientFinal = `c=${Buffer.from(GS2_HEADER).toString('base64')},r=${serverNonce}`;
  const authMessage = `${clientFirst},${serverFirst},${clientFinal}`;
  const saltedPassword = await derive(Buffer.from(password), salt, iterations, hash.bytes, hash.name);
  const clientKey = hmac(saltedPassword, 'Client Key');
  const storedKey = createHash(hash.name).update(clientKey).digest();
  const proof = xor(clientKey, hmac(storedKey, authMessage)).toString('base64');
  const serverFinal = (await exchange(Buffer.from(`${clientFinal},p=${proof}`))).toString('utf8');
  verify(serverFinal, hmac(hmac(saltedPassword, 'Server Key'), authMessage));
}

function parseServerFirst(message: string, nonce: string) {
  const [, serverNonce, salt, count] = SERVER_FIRST.exec(message) ?? [];
  if (serverNonce === undefined || salt === undefined) {
    throw new LoginError('does not speak SCRAM as RFC 5802 has it: its first message is none');
  }
  if (!serverNonce.startsWith(nonce) || serverNonce.length === nonce.length) {
    throw new LoginError('does not answer our login, but another one (wrong nonce)');
  }
  const iterations = Number(count);
  if (iterations < LEAST_ITERATIONS || iterations > MOST_ITERATIONS) {
    throw new LoginError(
      `wants ${iterations} iterations of SCRAM for this user: at least ${LEAST_ITERATIONS} are safe, ` +
        `and at most ${MOST_ITERATIONS} are done`,
    );
  }
  return { serverNonce, salt: Buffer.from(salt, 'base64'), iterations };
}

function verify(message: string, signature: Buffer): void {
  const [, kind, value = ''] = SERVER_FINAL.exec(message) ?? [];
  if (kind === 'e') throw new LoginError(`refused our login (${value}): check user and password`);
  const given = Buffer.from(kind === 'v' ? value : '', 'base64');
  if (given.length !== signature.length || !timingSafeEqual(given, signature)) {
    throw new LoginError(
      'does not prove that it knows our password (wrong signature): is it the broker that it claims to be?',
    );
  }
}

/** saslname (RFC 5802, section 7). */
function saslName(username: string): string {
  return username.replaceAll('=', '=3D').replaceAll(',', '=2C');
}

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, i) => byte ^ (b[i] as number)));
}
