import { KafkaError, KafkaErrorCode } from '../../producer/cluster/kafka-errors.ts';
import type { NegotiatedVersions } from '../protocol/api-versions.ts';
import { ProtocolReader, ProtocolWriter } from '../protocol/protocol-bytes.ts';
import type { RequestChannel } from '../connection/request-channel.ts';
import { bearerMessage, rejectedTokenReason, type BearerToken } from './oauth.ts';
import { LoginError, type Credentials, type Exchange, type Sasl } from './sasl.ts';
import { scramLogin } from './scram.ts';

/** A login that has all that it needs, before the broker is asked to begin one. */
export interface PreparedLogin {
  readonly mechanism: Sasl['mechanism'];
  /** Holds the conversation of the mechanism. */
  readonly converse: (exchange: Exchange) => Promise<void>;
}

/**
 * Gets the credentials that are valid now, which may take an endpoint's answer.
 * @throws SecurityConfigError, TokenError
 */
export async function prepareLogin(sasl: Sasl): Promise<PreparedLogin> {
  const { mechanism } = sasl;
  if (mechanism === 'OAUTHBEARER') {
    const token = await sasl.token();
    return { mechanism, converse: (exchange) => bearerLogin(token, exchange) };
  }
  const credentials = sasl.credentials();
  return {
    mechanism,
    converse: (exchange) =>
      mechanism === 'PLAIN'
        ? plainLogin(credentials, exchange)
        : scramLogin(mechanism, credentials, exchange),
  };
}

/**
 * Logs in by SaslHandshake 1 and SaslAuthenticate 0 to 2, for the first time or again (KIP-43, KIP-152, KIP-368).
 *
 * @returns for how long the login is good, milliseconds; 0: as long as the connection
 * @throws KafkaError the broker does not want this mechanism, or us
 * @throws LoginError it says what is not right
 */
export async function logIn(
  channel: Pick<RequestChannel, 'request'>,
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
  if (errorCode !== KafkaErrorCode.None) throw new KafkaError(errorCode, 'the login', message);
}

/** RFC 4616: no identity but our own. */
async function plainLogin({ username, password }: Credentials, exchange: Exchange): Promise<void> {
  await exchange(Buffer.from(`\0${username}\0${password}`));
}

async function bearerLogin(token: BearerToken, exchange: Exchange): Promise<void> {
  const reason = rejectedTokenReason(await exchange(bearerMessage(token)));
  if (reason !== undefined) {
    throw new LoginError(`refused our login (${reason}): is the token this cluster's, and not too old?`);
  }
}
