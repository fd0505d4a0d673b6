import { SluiceError } from '../../core/errors.ts';
import type { SecurityConfig } from '../../producer/config/security-table.ts';
import { parseJaas } from './jaas.ts';
import { tokenProvider, type BearerToken } from './oauth.ts';
import { followReferences, SecurityConfigError, type SecuritySources } from './sources.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** How to log in. Both calls give what is valid now: files and tokens may have been renewed. */
export type Sasl =
  | {
      readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512';
      /** @throws SecurityConfigError */
      credentials(): Credentials;
    }
  | { readonly mechanism: 'OAUTHBEARER'; token(): Promise<BearerToken> };

/** Sends one message of a mechanism to the broker, and resolves with what it says to that. */
export type Exchange = (message: Buffer) => Promise<Buffer>;

/** The broker, and not its error code, shows that a login can't be. The message completes the sentence "the broker …". */
export class LoginError extends SluiceError {
  constructor(message: string) {
    super('KAFKA_AUTHENTICATION_FAILED', message);
  }
}

const MODULES = {
  PLAIN: 'PlainLoginModule',
  'SCRAM-SHA-256': 'ScramLoginModule',
  'SCRAM-SHA-512': 'ScramLoginModule',
  OAUTHBEARER: 'OAuthBearerLoginModule',
} as const;

/**
 * The login that the settings describe.
 * @throws SecurityConfigError
 */
export function saslLogin(config: SecurityConfig, sources: SecuritySources): Sasl {
  const { saslMechanism: mechanism, securityProtocol } = config;
  if (mechanism === undefined) {
    throw new SecurityConfigError(
      'sasl.mechanism',
      'nothing',
      `a mechanism, because security.protocol is ${securityProtocol}`,
    );
  }
  const options = jaasOptions(config, MODULES[mechanism]);
  const option = (name: string, setting = 'sasl.jaas.config'): string | undefined => {
    const value = options?.get(name);
    return value === undefined ? undefined : followReferences(setting, value, sources);
  };
  if (mechanism === 'OAUTHBEARER') return { mechanism, token: tokenProvider(config, options, sources) };

  const credentials = (): Credentials => {
    const username =
      option('username') ??
      (config.saslUsername && followReferences('sasl.username', config.saslUsername, sources));
    const password =
      option('password') ??
      (config.saslPassword && followReferences('sasl.password', config.saslPassword.reveal(), sources));
    if (username === undefined || username === '') throw missing('username', mechanism, options);
    if (password === undefined || password === '') throw missing('password', mechanism, options);
    return { username, password };
  };
  credentials();
  return { mechanism, credentials };
}

function missing(
  what: 'username' | 'password',
  mechanism: keyof typeof MODULES,
  options: ReadonlyMap<string, string> | undefined,
): SecurityConfigError {
  return new SecurityConfigError(
    options === undefined ? `sasl.${what}` : 'sasl.jaas.config',
    options === undefined ? 'nothing' : `no ${what}`,
    `a ${what}: sasl.jaas.config: '…${MODULES[mechanism]} required username="…" password="…";', or sasl.username and sasl.password`,
  );
}

/** The options of sasl.jaas.config; undefined without one. */
function jaasOptions(config: SecurityConfig, module: string): ReadonlyMap<string, string> | undefined {
  const { saslJaasConfig, saslUsername, saslPassword } = config;
  if (saslJaasConfig === undefined) return undefined;
  const refuse = (found: string, expected: string): SecurityConfigError =>
    new SecurityConfigError('sasl.jaas.config', found, expected);
  if (saslUsername !== undefined || saslPassword !== undefined) {
    throw refuse(
      'credentials here and in sasl.username or sasl.password',
      'one place: here, or sasl.username and sasl.password',
    );
  }
  const entry = parseJaas(saslJaasConfig.reveal());
  if ('problem' in entry) {
    throw refuse(entry.problem, `one entry: org.apache.kafka.….${module} required key="value" …;`);
  }
  if (entry.module !== module) {
    throw refuse(`the login module ${entry.module}`, `${module}, because of 'sasl.mechanism'`);
  }
  if (entry.options.get('tokenauth') === 'true') {
    throw refuse('tokenauth="true"', 'a user’s password: delegation tokens are not supported');
  }
  return entry.options;
}
