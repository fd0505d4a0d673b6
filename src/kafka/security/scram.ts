import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { LoginError, type Credentials, type Exchange } from './sasl.ts';

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

function parseServerFirst(
  message: string,
  nonce: string,
): { serverNonce: string; salt: Buffer; iterations: number } {
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
