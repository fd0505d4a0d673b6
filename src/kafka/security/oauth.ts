import { fileURLToPath } from 'node:url';
import { SluiceError, errorMessage } from '../../core/errors.ts';
import type { SecurityConfig } from '../../producer/config/config-table.ts';
import { followReferences, readNamedFile, SecurityConfigError, type SecuritySources } from './sources.ts';

/** What SASL/OAUTHBEARER hands to the broker (RFC 7628; extensions: KIP-342). */
export interface BearerToken {
  readonly value: string;
  readonly extensions: Readonly<Record<string, string>>;
}

/** No token could be had. */
export class TokenError extends SluiceError {
  constructor(message: string, options?: ErrorOptions) {
    super('KAFKA_TOKEN_UNAVAILABLE', message, options);
  }
}

/** A token is asked for again when this share of its life is over (Kafka: sasl.login.refresh.window.factor). */
const REFRESH_FACTOR = 0.8;
const ENDPOINT_TIMEOUT_MS = 10_000;
const ENDPOINT = 'sasl.oauthbearer.token.endpoint.url';
const UNSECURED_CLAIM = 'unsecuredLoginStringClaim_';
const UNSECURED_LIFETIME_S = 3_600;

type JaasOptions = ReadonlyMap<string, string> | undefined;

/**
 * Where tokens come from: an endpoint by OAuth 2's client credentials (RFC 6749, section 4.4; KIP-768), a file
 * that something else keeps fresh, or, for clusters that are set up to test, made up and unsigned (KIP-255).
 * @throws SecurityConfigError
 */
export function tokenProvider(
  config: SecurityConfig,
  options: JaasOptions,
  sources: SecuritySources,
): () => Promise<BearerToken> {
  const source = tokenSource(config, options, sources);
  return async () => {
    const extensions: Record<string, string> = {};
    for (const [name, value] of prefixed(options, 'extension_')) {
      extensions[name] = followReferences('sasl.jaas.config', value, sources);
    }
    return { value: await source(), extensions };
  };
}

/** The options whose names begin with `prefix`, without it. */
function* prefixed(options: JaasOptions, prefix: string): Generator<readonly [name: string, value: string]> {
  for (const [name, value] of options ?? []) {
    if (name.startsWith(prefix)) yield [name.slice(prefix.length), value];
  }
}

function tokenSource(
  config: SecurityConfig,
  options: JaasOptions,
  sources: SecuritySources,
): () => Promise<string> {
  const url = config.saslOauthbearerTokenEndpointUrl;
  if (url === undefined) {
    const claims = Object.fromEntries(prefixed(options, UNSECURED_CLAIM));
    if (claims.sub !== undefined) return () => Promise.resolve(unsecuredToken(claims, sources));
    throw new SecurityConfigError(ENDPOINT, 'nothing', 'where a token is had: an https: or a file: URL');
  }
  if (!URL.canParse(url) || !/^(https?|file):/.test(url)) {
    throw new SecurityConfigError(ENDPOINT, 'no URL', 'an https: or a file: URL');
  }
  if (url.startsWith('file:')) {
    const read = (): string => readNamedFile(ENDPOINT, fileURLToPath(url), sources).toString('utf8').trim();
    read();
    return () => Promise.resolve(read());
  }
  const request = () => tokenRequest(config, options, sources);
  request();
  return cached(() => fetchToken(url, request()), sources.monotonicMs);
}

type TokenRequest = ReturnType<typeof tokenRequest>;

/** Who asks: the settings of Kafka 4.1 and up (KIP-1139), or the options in sasl.jaas.config before it. */
function tokenRequest(config: SecurityConfig, options: JaasOptions, sources: SecuritySources) {
  const read = (setting: string, value: string | undefined, option: string): string | undefined => {
    if (value !== undefined) return followReferences(setting, value, sources);
    const inJaas = options?.get(option);
    return inJaas && followReferences('sasl.jaas.config', inJaas, sources);
  };
  const required = (setting: string, value: string | undefined, option: string, what: string): string => {
    const given = read(setting, value, option);
    if (given !== undefined) return given;
    const expected = `${what}, here or as ${option} in sasl.jaas.config`;
    throw new SecurityConfigError(setting, 'nothing', expected);
  };
  const idSetting = 'sasl.oauthbearer.client.credentials.client.id';
  const secretSetting = 'sasl.oauthbearer.client.credentials.client.secret';
  const secret = config.saslOauthbearerClientSecret?.reveal();
  const clientId = required(idSetting, config.saslOauthbearerClientId, 'clientId', 'a client id');
  const clientSecret = required(secretSetting, secret, 'clientSecret', 'its secret');
  const scope = read('sasl.oauthbearer.scope', config.saslOauthbearerScope, 'scope');
  return { clientId, clientSecret, scope };
}

/** `lifetimeMs` is undefined when nobody says. */
async function fetchToken(url: string, request: TokenRequest) {
  const { clientId, clientSecret, scope } = request;
  const basic = Buffer.from(`${clientId}:${clientSecret}`);
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Basic ${basic.toString('base64')}`, accept: 'application/json' },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...(scope !== undefined && { scope }) }),
      signal: AbortSignal.timeout(ENDPOINT_TIMEOUT_MS),
    });
    body = await response.json().catch(() => undefined);
  } catch (error) {
    const why = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw noToken(url, `${errorMessage(why)}; check ${ENDPOINT}`, { cause: error });
  }
  const answer = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const { access_token: value, expires_in: expiresIn, error: reason } = answer;
  if (!response.ok || typeof value !== 'string') {
    const said = typeof reason === 'string' ? `: ${reason}` : '';
    throw noToken(url, `HTTP ${response.status}${said}; check the client id, its secret and the scope`);
  }
  return { value, lifetimeMs: typeof expiresIn === 'number' ? expiresIn * 1_000 : undefined };
}

/** Names the host alone: path and query may hold what nobody should read. */
function noToken(url: string, why: string, options?: ErrorOptions): TokenError {
  return new TokenError(`no token from ${new URL(url).host}: ${why}`, options);
}

/** One request at a time, and none while the last token has life left. */
function cached(fetchOne: () => ReturnType<typeof fetchToken>, nowMs: () => number): () => Promise<string> {
  let value = '';
  let refreshAtMs = Number.NEGATIVE_INFINITY;
  let pending: Promise<string> | undefined;
  const renew = async (): Promise<string> => {
    try {
      const token = await fetchOne();
      value = token.value;
      refreshAtMs = nowMs() + (token.lifetimeMs ?? 0) * REFRESH_FACTOR;
      return value;
    } finally {
      pending = undefined;
    }
  };
  return () => (nowMs() < refreshAtMs ? Promise.resolve(value) : (pending ??= renew()));
}

/** An unsigned JSON Web Token, as Kafka's OAuthBearerUnsecuredLoginCallbackHandler makes it. */
function unsecuredToken(claims: Readonly<Record<string, string>>, sources: SecuritySources): string {
  const nowS = Math.floor(sources.wallMs() / 1_000);
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  return `${encode({ alg: 'none' })}.${encode({ iat: nowS, exp: nowS + UNSECURED_LIFETIME_S, ...claims })}.`;
}

/**
 * Why the broker does not want the token. It says so in what should be the empty end of the conversation
 * (RFC 7628, section 3.2.2), without an error code. undefined: it took the token.
 */
export function rejectedTokenReason(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return undefined;
  const text = Buffer.from(bytes).toString('utf8');
  const [, status] = /"status"\s*:\s*"([^"]*)"/.exec(text) ?? [];
  return status ?? 'the broker did not accept the token';
}
